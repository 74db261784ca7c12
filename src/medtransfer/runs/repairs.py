"""Repair of a study's folder: what was damaged or edited since it was sealed is made again.

The outcome of a run is never repaired: a run whose predictions do not match is carried out again.
"""

import contextlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import cast

from medtransfer.data.images.shards import altered_shards, drop_shard
from medtransfer.errors import StudyError
from medtransfer.files import file_stamp, read_json, remove, write_json, write_text
from medtransfer.integrity.run_seal import (
    ADDED,
    CHECKPOINT,
    DONE,
    PREDICTIONS,
    RunSeal,
    read_run_seal,
    seal_run,
    write_run_seal,
)
from medtransfer.integrity.sealed_file import SealedFile
from medtransfer.integrity.study_seal import RUNS, STUDY_SEAL, has_damaged_seal, remove_damaged
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.tested.reads import READS

REPAIRS = "repairs.json"
SCORED = ("results.parquet", "scoring.json")
AGAIN = "The run is carried out again."
MADE_AGAIN = "It is made again."
MADE_ON_DEMAND = "It is made again when a run needs it."
NOT_MADE_BY_RUNS = {
    "findings.csv": "`medtransfer check` makes it again.",
    "pairs.csv": "`medtransfer check` makes it again.",
    "report.html": "`medtransfer report` makes it again.",
    "report.json": "`medtransfer report` makes it again.",
    READS: "Earlier evaluations of the test cases are no longer counted.",
    REPAIRS: "What it said of earlier repairs is lost.",
    STUDY_SEAL: "It is made again. The files that it listed could not be compared.",
}
"""Consequences for derived files that are not simply made again, by path."""


@dataclass(frozen=True)
class Repair:
    """A file that did not match its seal.

    Attributes:
        file: Its path in the study's folder.
        sentence: What is done about it.
    """

    file: str
    sentence: str

    def __str__(self) -> str:
        """The repair as a message."""
        return f"{self.file} was damaged, edited or deleted. {self.sentence}"


def repair_study(
    folder: StudyFolder, *, verify: bool = False, was_killed: bool = False
) -> list[Repair]:
    """Find what does not match its seal, and clear the way for it to be made again.

    Args:
        folder: The study's; the caller holds its lease.
        verify: Read every file, also where size and times are as they were.
        was_killed: The last process did not end by itself, so files that it wrote may be newer
            than the seal.

    Returns:
        What was found, in the order of the files; also noted in ``repairs.json`` if it concerns a
        run.
    """
    names = [STUDY_SEAL] if has_damaged_seal(folder.path) else []
    names += remove_damaged(folder.path, verify=verify)
    names += _drop_damaged_shards(folder, verify=verify)
    of_study = [] if was_killed else [Repair(name, _consequence(name)) for name in names]
    of_runs = [
        repair
        for run_id in folder.run_ids()
        for repair in repair_run(folder.run(run_id), verify=verify)
    ]
    if of_runs:
        _note(folder, of_runs)
    return [*of_study, *of_runs]


def _consequence(name: str) -> str:
    """Sentence on what the loss of a derived file means."""
    match name.split("/", maxsplit=1)[0]:
        case "cache" | "features":
            return MADE_ON_DEMAND
        case "runs":
            return "The run's outcome does not depend on it."
        case _:
            return NOT_MADE_BY_RUNS.get(name, MADE_AGAIN)


def _drop_damaged_shards(folder: StudyFolder, *, verify: bool) -> list[str]:
    """Delete shards of the cache that do not match their index; the names of their files."""
    names: list[str] = []
    for recipe in sorted(folder.cache.glob("*/recipe.json")):
        with contextlib.suppress(StudyError, KeyError, TypeError, ValueError):
            size = int(read_json(recipe)["size"])
            for path in altered_shards(recipe.parent, size, verify=verify):
                names.append(path.relative_to(folder.path).as_posix())
                drop_shard(path)
    return names


def repair_run(run: RunFolder, *, verify: bool = False) -> list[Repair]:
    """Compare a finished run with its seal, and repair or reopen it."""
    place = f"{RUNS}/{run.run_id}"
    try:
        seal = read_run_seal(run.path)
    except StudyError:
        run.reopen()
        return [Repair(f"{place}/{DONE}", AGAIN)]
    if seal is None:
        return []
    damaged = set(seal.damaged(run.path, verify=verify))
    if not (run.path / CHECKPOINT).is_dir():  # weights may be deleted to save space
        kept = {n: e for n, e in seal.files.items() if not n.startswith(f"{CHECKPOINT}/")}
        is_smaller, seal = len(kept) < len(seal.files), replace(seal, files=kept)
        damaged &= set(kept)
    else:
        is_smaller = False
    if PREDICTIONS in damaged:
        run.reopen()
        return [Repair(f"{place}/{PREDICTIONS}", AGAIN)]
    if not seal.copies:
        seal_run(run.path)  # of version 0.1, which sealed the predictions alone
        return []
    repairs = [Repair(f"{place}/{n}", _mend(run, seal, n)) for n in sorted(damaged)]
    added = {PurePosixPath(name).stem for name in damaged if name.startswith(f"{ADDED}/")}
    if added:
        seal = _without_additions(run, seal, added)
    if damaged & set(SCORED):
        for name in SCORED:
            remove(run.path / name)
    elif is_smaller or added or (not damaged and seal.has_old_stamps(run.path)):
        write_run_seal(run.path, _with_stamps(seal, run.path))
    return repairs


def noted_repairs(folder: StudyFolder) -> list[Repair]:
    """Repairs of runs that were noted, oldest first; none where the notes cannot be read."""
    with contextlib.suppress(StudyError, KeyError, TypeError):
        records = cast("list[dict[str, str]]", read_json(folder.path / REPAIRS))
        return [Repair(record["file"], record["sentence"]) for record in records]
    return []


def _mend(run: RunFolder, seal: RunSeal, name: str) -> str:
    """Mend one file of a run whose predictions are sound; what was done, as a sentence."""
    path = run.path / name
    if name in SCORED:
        return "The run is scored again."
    if name.startswith(f"{ADDED}/"):
        return "The run predicts these cases again."
    if name in seal.copies:
        if path.is_dir():
            remove(path)
        write_text(path, seal.copies[name])
        return "It is restored from the run's seal."
    return (
        f"The run's predictions are sound and kept. To train the run again, delete {RUNS}/"
        f"{run.run_id}/{DONE} and run the same command again."
    )


def _without_additions(run: RunFolder, seal: RunSeal, stems: Collection[str]) -> RunSeal:
    """Delete added predictions, each a table and its record, and the seal's entries of them."""
    for stem in stems:
        for path in (run.path / ADDED).glob(f"{stem}.*"):
            remove(path)
    names = {f"{ADDED}/{stem}{ending}" for stem in stems for ending in (".json", ".parquet")}
    kept = {name: entry for name, entry in seal.files.items() if name not in names}
    return replace(seal, files=kept)


def _with_stamps(seal: RunSeal, folder: Path) -> RunSeal:
    files: dict[str, SealedFile] = {}
    for name, entry in seal.files.items():
        files[name] = replace(entry, stamp=file_stamp(folder / name))
    return replace(seal, files=files)


def _note(folder: StudyFolder, repairs: Sequence[Repair]) -> None:
    noted: Iterable[Repair] = dict.fromkeys([*noted_repairs(folder), *repairs])
    write_json(folder.path / REPAIRS, [asdict(repair) for repair in noted])
