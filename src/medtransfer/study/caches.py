"""The image caches of a study: what they lack, the disk they take, and making them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from medtransfer.data.images.cache import bytes_missing
from medtransfer.data.splits import assign_splits
from medtransfer.errors import plural
from medtransfer.files import require_disk
from medtransfer.runs.events import OnEvent, Preparing, ignore_progress
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.inputs import (
    CacheRequest,
    cache_requests,
    input_spec,
    known_architecture,
    merge_requests,
)
from medtransfer.study.config import Study
from medtransfer.study.grid import expand
from medtransfer.study.plan import PlannedRun, StudyData


@dataclass(frozen=True)
class CacheState:
    """How far the cache of one recipe is.

    Attributes:
        need: The images that runs read from it.
        missing: Images to be made; pictures of the same content count once.
        nbytes: Disk that these take, at most.
    """

    need: CacheRequest
    missing: int
    nbytes: int


def study_needs(study: Study, data: StudyData) -> list[CacheRequest]:
    """What all runs of a study read; their weights need not be there."""
    found: dict[tuple[str | None, bool, str], tuple[CacheRequest, ...]] = {}
    frames: dict[tuple[str | None, bool], pl.DataFrame] = {}
    for cell in expand(study, data.manifest.frame):
        if (*cell.split_key, cell.rung) not in found:
            if cell.split_key not in frames:
                frames[cell.split_key] = assign_splits(data.manifest, cell.run.data)
            frame = frames[cell.split_key]
            spec = input_spec(cell.run, known_architecture(cell.rung), frame, data.facts)
            found[*cell.split_key, cell.rung] = cache_requests(cell.run, spec, frame)
    return [need for needs in found.values() for need in needs]


def unmet_needs(folder: StudyFolder, planned: Sequence[PlannedRun]) -> list[CacheRequest]:
    """What runs read that are not done: only this is worth making."""
    waiting = [run for run in planned if not folder.run(run.run_id).is_done()]
    return [need for run in waiting for need in run.needs]


def cache_states(
    folder: StudyFolder, data: StudyData, needs: Iterable[CacheRequest]
) -> list[CacheState]:
    """How far caches are, one per recipe, smallest size first."""
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
        what = f"preparing images at {state.need.recipe.size} px"
        state.need.make(
            data.manifest,
            data.facts,
            folder.cache,
            lambda done, total, what=what: on_event(Preparing(what, done, total)),
            verify=verify,
        )
