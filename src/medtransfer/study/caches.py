"""The image caches of a study: what they lack, the disk they take, and making them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.data.images.cache import bytes_missing
from medtransfer.data.splits import assign_splits
from medtransfer.disk import free_bytes, require_disk
from medtransfer.errors import plural
from medtransfer.models.ladder import find_rung
from medtransfer.runs.events import OnEvent, Preparing, ignore_progress
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.runs.inputs import (
    CacheRequest,
    cache_requests,
    input_spec,
    known_architecture,
    merge_requests,
)
from medtransfer.runs.tested.files import missing_cohorts
from medtransfer.sizes.image_size import size_words
from medtransfer.study.config import Study
from medtransfer.study.grid import Cell, expand
from medtransfer.study.plan import PlannedRun, StudyData, read_data
from medtransfer.study.yaml_file import resolve_paths


@dataclass(frozen=True)
class CacheState:
    """Progress of the cache of one recipe.

    Attributes:
        need: The images that runs read from it.
        missing: Images to be made; pictures of the same content count once.
        nbytes: Disk that these take, at most.
    """

    need: CacheRequest
    missing: int
    nbytes: int


@dataclass(frozen=True)
class CachePlan:
    """The image caches of a study.

    Attributes:
        caches: One per recipe, smallest size first.
        folder: Folder that holds them.
        free_bytes: Disk that was free before anything was made.
    """

    caches: tuple[CacheState, ...]
    folder: Path
    free_bytes: int

    @property
    def nbytes(self) -> int:
        """Disk that missing images take, at most."""
        return sum(cache.nbytes for cache in self.caches)


def _ignore_plan(_plan: CachePlan) -> None:
    """Report no plan."""


def prepare_study(
    study: Study,
    out: Path | None = None,
    on_event: OnEvent = ignore_progress,
    *,
    on_plan: Callable[[CachePlan], None] = _ignore_plan,
    verify: bool = False,
) -> CachePlan:
    """Decode and resize all images of a study ahead of its runs.

    Args:
        study: From `read_study`, or made in Python.
        out: The study's folder; ``studies/<name>`` by default.
        on_event: Called with progress events.
        on_plan: Called with images to make and disk to use, before anything is made.
        verify: Read every image again, and compare images that were made earlier with their
            SHA-256.

    Returns:
        The caches, with what they lacked before.

    Raises:
        TableError: The manifest does not keep its contract.
        ImageError: Images are missing or damaged; all of them are listed by row.
        StudyError: The folder holds something else or is in use, or the disk is too small.
    """
    study = resolve_paths(study, Path.cwd())
    folder = StudyFolder(out or Path("studies") / study.name)
    folder.claim(study.name)
    lease = Lease(folder)
    lease.take()
    try:
        with folder.sealing():
            data = read_data(
                study,
                folder.images,
                lambda done, total: on_event(Preparing("reading images", done, total)),
                deep=verify,
            )
            needs = study_needs(expand(study, data.manifest.frame), data)
            states = cache_states(folder, data, needs)
            plan = CachePlan(tuple(states), folder.cache, free_bytes(folder.cache))
            on_plan(plan)
            make_caches(folder, data, states, on_event, verify=verify)
    finally:
        lease.drop()
    return plan


def study_needs(cells: Sequence[Cell], data: StudyData) -> Iterator[CacheRequest]:
    """Images that the runs of a study read; their weights need not be available."""
    frames: dict[tuple[str | None, bool], pl.DataFrame] = {}
    seen: set[tuple[object, ...]] = set()
    for cell in cells:
        is_linear = cell.run.training.tuning.mode == "linear"
        inputs = (*cell.split_key, cell.rung, cell.run.data.image, is_linear)
        if inputs in seen or not find_rung(cell.rung).reads_images:
            continue
        seen.add(inputs)
        if cell.split_key not in frames:
            frames[cell.split_key] = assign_splits(data.manifest, cell.run.data)
        frame = frames[cell.split_key]
        spec = input_spec(cell.run, known_architecture(cell.rung), frame, data.facts)
        yield from cache_requests(cell.run, spec, frame)


def unmet_needs(folder: StudyFolder, planned: Sequence[PlannedRun]) -> list[CacheRequest]:
    """Images that unfinished runs read, and finished ones that are to predict more cohorts."""
    needs: list[CacheRequest] = []
    shared: set[int] = set()  # runs share them: 100,000 runs have a handful
    present = set(folder.run_ids())
    for run in planned:
        if run.run_id not in present or not (run_folder := folder.run(run.run_id)).is_done():
            needs += run.needs if id(run.needs) not in shared else ()
            shared.add(id(run.needs))
        elif run.needs and (cohorts := missing_cohorts(run_folder, run.predicted.cohorts)):
            tested = run.predicted.rows_of([cohort.cohort for cohort in cohorts])
            needs += [CacheRequest(tested, run.needs[1].recipe), run.needs[2]]
    return needs


def cache_states(
    folder: StudyFolder, data: StudyData, needs: Iterable[CacheRequest]
) -> list[CacheState]:
    """Progress of caches, one per recipe, smallest size first."""
    return [
        CacheState(
            need, *bytes_missing(data.manifest, need.indices, data.facts, need.recipe, folder.cache)
        )
        for need in merge_requests(needs)
    ]


def make_caches(
    folder: StudyFolder,
    data: StudyData,
    states: Sequence[CacheState],
    on_event: OnEvent = ignore_progress,
    *,
    verify: bool = True,
) -> None:
    """Decode and resize what runs read, so that damaged images are found now.

    Args:
        folder: Of the study.
        data: Its images.
        states: From `cache_states`.
        on_event: Called with every progress event.
        verify: Compare what is there with its SHA-256; what is damaged is made anew.

    Raises:
        ImageError: Images are damaged; all of them are listed by row.
        StudyError: The disk is full, or has no room for what is missing.
    """
    count, needed = sum(state.missing for state in states), sum(state.nbytes for state in states)
    require_disk(folder.cache, needed, f"Preparing {plural(count, 'picture')}")
    for state in states:
        what = f"preparing images at {size_words(state.need.recipe.size)}"
        state.need.make(
            data.manifest,
            data.facts,
            folder.cache,
            lambda done, total, what=what: on_event(Preparing(what, done, total)),
            verify=verify,
        )
