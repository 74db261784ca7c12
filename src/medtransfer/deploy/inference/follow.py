"""A folder into which images are dropped: each file is predicted once, when it has come to rest."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medtransfer.deploy.inference.model import BundleModel
from medtransfer.deploy.inference.predict_files import ENDINGS_OUT, write_predictions_file
from medtransfer.deploy.inference.sources import (
    CaseRule,
    FileSource,
    ImageFile,
    case_by_header,
    case_rule,
    image_files,
)
from medtransfer.errors import ConfigError, StudyError, plural
from medtransfer.files import make_folder, read_json, write_json
from medtransfer.interruption import StopRequested
from medtransfer.tables.schema import write_spreadsheet

BATCH_FILES = 512
"""Files of a batch at most: a stop loses the one that is under way."""
STILL_SECONDS, STILL_CASE_SECONDS = 2.0, 30.0
"""Rest of a file before it is taken; of all files of a case, if a case has several."""
LOOK_SECONDS = 1.0
HALF_WRITTEN = (".part", ".partial", ".tmp", ".crdownload", ".filepart")
"""Endings that programs give to files that they have not finished."""
Stamp = tuple[int, int]
"""Size and modification time in nanoseconds."""


@dataclass(frozen=True)
class _Taken:
    """A file that was taken.

    Attributes:
        stamp: As it was.
        case: Case that its header named; empty for none.
    """

    stamp: Stamp
    case: str


@dataclass
class Followed:
    """Files that were taken so far.

    Attributes:
        batches: Number of batches.
        files: Of this call.
        refused: Of these, those that could not be used.
        stopped: True if a signal ended it.
    """

    batches: int = 0
    files: int = 0
    refused: int = 0
    stopped: bool = False


@dataclass
class _Seen:
    """A file that waits.

    Attributes:
        file: The file.
        stamp: As it was last seen.
        since: Time at which it was first seen so.
        case: Case that its header names; empty for none.
    """

    file: ImageFile
    stamp: Stamp
    since: float
    case: str = ""


def follow_folder(
    model: BundleModel,
    folder: Path | str,
    out: Path | str,
    *,
    case: CaseRule = "auto",
    ending: str = ".csv",
    still: float | None = None,
    look: float = LOOK_SECONDS,
    until: Callable[[], bool] = lambda: False,
    on_batch: Callable[[Path, int, int], None] = lambda _path, _files, _refused: None,
) -> Followed:
    """Predict the images of a folder as they come, each once, until a signal or `until` ends it.

    A file is taken when its size and its time have not changed for `still` seconds; a case of
    several files when none of them has. If a file of a case comes later, the case is predicted
    again with all of its files, in a later row. Each batch is a table in `out`, which `monitor`
    reads as a folder, each case by its first row; the list of files that it took is written beside
    it, last. The same call goes on where an earlier one was stopped. A file that was written over
    is predicted again.

    Args:
        model: From `load_bundle`.
        folder: That images are dropped into; folders inside are looked through.
        out: Folder for the tables; not inside `folder`.
        case: As for `BundleModel.predict`.
        ending: Of the tables: ``.csv``, ``.parquet`` or ``.jsonl``.
        still: Seconds that a file must rest; 2 by default, 30 if files make cases.
        look: Seconds between two looks.
        until: Called after every look; True ends it.
        on_batch: Called with the table, the number of files and how many could not be used.

    Returns:
        What was taken.

    Raises:
        ConfigError: A setting or a folder cannot be used.
        BundleError: The bundle's weights cannot be used, or it has expired.
        StudyError: The disk is full.
    """
    if model.facts.clinical:
        raise ConfigError(
            f'Bundle "{model.bundle.path.name}" sees clinical data, which a drop folder does not '
            "hold. Predict tables of cases with `medtransfer predict`."
        )
    follower = _Follower(model, Path(folder), Path(out), case, ending)
    rest = still
    if rest is None:
        rest = STILL_SECONDS if follower.rule == "image" else STILL_CASE_SECONDS
    if rest < 0 or look <= 0:
        raise ConfigError(f"--still is {rest:g} (allowed: 0 seconds or more).")
    try:
        while True:
            for batch in follower.ready(rest):
                on_batch(*follower.predict(batch))
            if until():
                break
            time.sleep(look)
    except StopRequested:
        follower.outcome.stopped = True
    return follower.outcome


class _Follower:
    """One folder being followed."""

    def __init__(
        self, model: BundleModel, folder: Path, out: Path, case: CaseRule, ending: str
    ) -> None:
        faults: list[str] = []
        if not folder.is_dir():
            faults.append(f'"{folder}" is not a folder')
        if ending not in ENDINGS_OUT:
            faults.append(f"ending is '{ending}' (allowed: {', '.join(ENDINGS_OUT)})")
        if out.resolve().is_relative_to(folder.resolve()):
            faults.append(f'"{out}" lies inside the folder that is followed: name another one')
        if out.exists() and not out.is_dir():
            faults.append(f'"{out}" is a file: name a folder for the tables')
        if faults:
            raise ConfigError("; ".join(faults) + ".")
        self.rule: CaseRule = case_rule(case, model.facts.training.images_per_case)
        self.outcome = Followed()
        self._model, self._folder, self._out, self._ending = model, folder, make_folder(out), ending
        self._waiting: dict[str, _Seen] = {}
        self._taken, self._number = _ledgers(out)

    def ready(self, still: float) -> list[list[ImageFile]]:
        """Batches of files that have come to rest, whole cases in each."""
        now = time.monotonic()
        self._look(now)
        cases: dict[str, list[_Seen]] = {}
        for seen in self._waiting.values():
            cases.setdefault(seen.case or seen.file.name, []).append(seen)
        at_rest = [
            of_case
            for of_case in cases.values()
            if all(now - seen.since >= still for seen in of_case)
        ]
        batches: list[list[ImageFile]] = []
        for of_case in at_rest:
            if not batches or len(batches[-1]) + len(of_case) > BATCH_FILES:
                batches.append([])
            batches[-1] += [seen.file for seen in of_case]
            batches[-1] += self._earlier(of_case[0].case, {seen.file.name for seen in of_case})
        return batches

    def _earlier(self, case: str, names: set[str]) -> list[ImageFile]:
        """Files of a case that earlier batches took, and that are still there."""
        root = self._folder.resolve()
        return [
            ImageFile(Path(name), root, name)
            for name, taken in self._taken.items()
            if case and taken.case == case and name not in names and Path(name).is_file()
        ]

    def predict(self, batch: Sequence[ImageFile]) -> tuple[Path, int, int]:
        """Predict a batch and write its table, then the list of its files."""
        new = [self._waiting[file.name] for file in batch if file.name in self._waiting]
        taken = {seen.file.name: _Taken(seen.stamp, seen.case) for seen in new}
        source = FileSource(batch, self.rule, ())
        scored = self._model.score(source, range(len(source.cases)))
        predictions = self._model.decide(source, scored)
        table = self._out / f"batch-{self._number:06d}{self._ending}"
        write_predictions_file(predictions.frame, table)
        refused = len(predictions.refused)
        if refused:
            write_spreadsheet(predictions.refused, table.with_name(f"{table.stem}.refused.csv"))
        listing = {name: [*file.stamp, file.case] for name, file in taken.items()}
        write_json(_ledger(self._out, self._number), listing)
        self._number += 1
        self._taken |= taken
        for name in taken:
            del self._waiting[name]
        self.outcome.batches += 1
        self.outcome.files += len(taken)
        self.outcome.refused += refused
        return table, len(taken), refused

    def _look(self, now: float) -> None:
        """Note which files there are, and since when each has been as it is."""
        files, _ = image_files([self._folder])
        present: dict[str, _Seen] = {}
        for file in files:
            stamp = _stamp(file.path)
            earlier = self._taken.get(file.name)
            is_taken = earlier is not None and earlier.stamp == stamp
            if stamp is None or is_taken or file.path.suffix.lower() in HALF_WRITTEN:
                continue
            seen = self._waiting.get(file.name)
            if seen is None or seen.stamp != stamp:
                case = "" if self.rule == "image" else case_by_header(file.path, self.rule)
                seen = _Seen(file, stamp, now, case or "")
            present[file.name] = seen
        self._waiting = present


def refuse_with_follow(inputs: Sequence[Path] | None, reports: Path | None) -> None:
    """Refuse what does not go with a folder that is followed.

    Raises:
        ConfigError: There are inputs, or reports are asked for.
    """
    if inputs:
        raise ConfigError("--follow names the folder: leave the other files and folders out.")
    if reports is not None:
        raise ConfigError("--dicom-sr does not go with --follow: predict the files afterwards.")


def follow_summary(followed: Followed) -> str:
    """Counts of what was taken, and how to go on."""
    batches = "1 batch" if followed.batches == 1 else f"{followed.batches:,} batches"
    lost = f"{plural(followed.refused, 'image')} could not be used"
    text = f"{plural(followed.files, 'file')} in {batches}, {lost}."
    return f"{text} Run the same command again to go on." if followed.stopped else text


def _stamp(path: Path) -> Stamp | None:
    """Size and time of a file; None if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _ledger(out: Path, number: int) -> Path:
    return out / f"batch-{number:06d}.files.json"


def _ledgers(out: Path) -> tuple[dict[str, _Taken], int]:
    """Files that earlier calls took, and the number of the next batch.

    Raises:
        StudyError: A list of files is damaged.
    """
    taken: dict[str, _Taken] = {}
    number = 1
    while _ledger(out, number).is_file():
        listing = read_json(_ledger(out, number))
        try:
            taken |= {
                str(name): _Taken((int(size), int(when)), str(case))
                for name, (size, when, case) in listing.items()
            }
        except (AttributeError, TypeError, ValueError) as error:
            raise StudyError(
                f'"{_ledger(out, number)}" is no list of files. Name another folder with -o, or '
                "move this one away."
            ) from error
        number += 1
    return taken, number
