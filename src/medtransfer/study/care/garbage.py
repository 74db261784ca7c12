"""Files of a study that nothing needs any more: named with their sizes, deleted when asked."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from medtransfer.data.images.pixel_recipe import recipe_size
from medtransfer.data.images.shards import drop_shard, find_shards
from medtransfer.errors import MedTransferError, StudyError
from medtransfer.files import is_temporary, read_json, remove
from medtransfer.models.ladder import find_rung
from medtransfer.runs.folders import StudyFolder
from medtransfer.sizes.image_size import ImageSize
from medtransfer.study.caches import study_needs
from medtransfer.study.care.rest import at_rest, remove_run
from medtransfer.study.grid import Cell, expand
from medtransfer.study.plan import StudyData, read_data
from medtransfer.study.yaml_file import read_study

GarbageKind = Literal["temporary", "checkpoint", "run", "images", "features"]
GARBAGE_REASONS: dict[GarbageKind, str] = {
    "temporary": "half-written file of a killed process",
    "checkpoint": "checkpoint of a finished run, which nothing resumes",
    "run": "run that the study no longer plans",
    "images": "prepared images that no planned run reads",
    "features": "features, while no planned run or arm of adapt is a linear probe of images",
}
UNKNOWN = (
    "Prepared images and features were left: which of them runs read is not known, because the "
    "study's data cannot be read now. {error}"
)

LINKED = "{name} is a link: what lies behind it may be of others, and was left."


@dataclass(frozen=True)
class GarbageItem:
    """A file or folder that nothing needs.

    Attributes:
        path: In the study's folder.
        kind: Reason why nothing needs it.
        nbytes: Its size, or that of all files in it.
    """

    path: str
    kind: GarbageKind
    nbytes: int


@dataclass(frozen=True)
class Garbage:
    """Files that nothing needs.

    Attributes:
        items: Files and folders, by kind.
        notes: Parts that could not be decided.
        is_deleted: True if they were deleted.
    """

    items: tuple[GarbageItem, ...]
    notes: tuple[str, ...]
    is_deleted: bool

    @property
    def nbytes(self) -> int:
        """Size of all of them."""
        return sum(item.nbytes for item in self.items)

    def plain(self) -> dict[str, object]:
        """The items as a JSON object."""
        return {**asdict(self), "nbytes": self.nbytes}


def collect_garbage(folder: StudyFolder, *, delete: bool = False) -> Garbage:
    """Name what nothing needs in a study's folder, and delete it if asked.

    That is: half-written files, checkpoints of finished runs, runs that the study no longer plans,
    and prepared images and features that no planned run reads. The plan is that of the latest
    `run`. Results of a run that is no longer planned are lost with it.

    Args:
        folder: Of the study.
        delete: Delete it.

    Returns:
        The files and folders with their sizes.

    Raises:
        StudyError: Another process works on the study, or it was never run.
    """
    planned = {str(row["run_id"]) for row in folder.read("plan.json")}
    with at_rest(folder):
        notes: list[str] = []
        items = [*_temporaries(folder), *_of_runs(folder, planned)]
        try:
            study = read_study(folder.path / "study.yaml")
            data = read_data(study, folder.images)
            items += _unread(folder, expand(study, data.manifest.frame), data)
            is_probed = study.adapt is not None and "probe" in study.adapt.arms
            if is_probed:  # features of tuned networks, at the shifted hospitals
                items = [item for item in items if item.kind != "features"]
        except MedTransferError as error:
            notes.append(UNKNOWN.format(error=error))
        linked = sorted({linked for item in items if (linked := _link_above(folder, item))})
        items = [item for item in items if not _link_above(folder, item)]
        notes += [LINKED.format(name=name) for name in linked]
        for item in items if delete else ():
            _delete(folder, item)
    return Garbage(tuple(items), tuple(notes), is_deleted=delete)


def _link_above(folder: StudyFolder, item: GarbageItem) -> str | None:
    """The folder above an item that is a link, as a cache on another disk; None without one."""
    above = [*Path(item.path).parents][:-1]
    linked = [path.as_posix() for path in above if (folder.path / path).is_symlink()]
    return linked[-1] if linked else None


def _delete(folder: StudyFolder, item: GarbageItem) -> None:
    path = folder.path / item.path
    match item.kind:
        case "run":
            remove_run(folder.run(path.name))
        case "images" if path.suffix:
            drop_shard(path)
        case _:
            remove(path)


def _temporaries(folder: StudyFolder) -> Iterator[GarbageItem]:
    for path in sorted(folder.path.rglob("*.tmp*")):
        if is_temporary(path) and path.is_file():
            yield _item(folder, path, "temporary")


def _of_runs(folder: StudyFolder, planned: set[str]) -> Iterator[GarbageItem]:
    """Runs that are not planned, and checkpoints of the others."""
    for run_id in folder.run_ids():
        run = folder.run(run_id)
        if run_id not in planned:
            yield _item(folder, run.path, "run")
        elif run.is_done():
            for path in sorted(run.checkpoint.glob("step-*")):
                yield _item(folder, path, "checkpoint")


def _unread(folder: StudyFolder, cells: Sequence[Cell], data: StudyData) -> Iterator[GarbageItem]:
    """Prepared images and features that no planned run reads."""
    contents: dict[str, set[str]] = {}
    for need in study_needs(cells, data):
        place = need.recipe.folder(folder.cache).name
        contents.setdefault(place, set()).update(data.facts["sha256"][need.indices].to_list())
    latest = max(folder.cache.glob("sketch-*"), key=lambda p: p.stat().st_mtime_ns, default=None)
    for path in sorted(folder.cache.glob("*")):
        if path == latest:  # sketches of the images, which the audit compares
            continue
        if path.name not in contents:
            yield _item(folder, path, "images")
            continue
        size = _recipe_size(path / "recipe.json")
        for shard in find_shards(path, size):
            if contents[path.name].isdisjoint(shard.index["content"].to_list()):
                nbytes = sum(p.stat().st_size for p in path.glob(f"{shard.path.stem}.*"))
                name = shard.path.relative_to(folder.path).as_posix()
                yield GarbageItem(name, "images", nbytes)
    is_probed = any(
        cell.run.training.tuning.mode == "linear" and find_rung(cell.rung).reads_images
        for cell in cells
    )
    if not is_probed and folder.features.is_dir():
        yield _item(folder, folder.features, "features")


def _item(folder: StudyFolder, path: Path, kind: GarbageKind) -> GarbageItem:
    files = [p for p in (path, *path.rglob("*")) if p.is_file() and not p.is_symlink()]
    nbytes = sum(file.stat().st_size for file in files)
    return GarbageItem(path.relative_to(folder.path).as_posix(), kind, nbytes)


def _recipe_size(path: Path) -> ImageSize:
    """Size of the images of a cache.

    Raises:
        StudyError: Its recipe is damaged.
    """
    try:
        return recipe_size(read_json(path))
    except (KeyError, TypeError, ValueError) as error:
        message = f'"{path}" is damaged. Delete its folder: the next run prepares the images again.'
        raise StudyError(message) from error
