"""Decisions of an automatic study, each in a file of its own that is written once.

The file holds what was decided and what it rested on. A command that resumes reads the decisions
that were made and makes only those that are missing, so it cannot decide otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from medtransfer.errors import StudyError
from medtransfer.files import make_folder, read_json, write_json
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.selection.halving import Dropped

FOLDER = "auto"
"""Folder of the decisions, in the study's."""
SelectionStage = Literal["candidates", "probes", "race", "short", "full", "finalists"]
STAGES: tuple[SelectionStage, ...] = get_args(SelectionStage)


@dataclass(frozen=True)
class Decision:
    """One decision.

    Attributes:
        stage: The stage that it ends.
        kept: Rungs that go on, best first.
        dropped: Rungs that do not, with a reason each.
        sentence: The decision in words.
        tune_auroc: Tuning AUROC that it rested on, by rung; of the finalists by rung and mode.
        seconds: Estimated seconds that it rested on, by rung.
        seconds_left: Of the time that was asked for, when it was made; None if time had no part.
        modes: Of the finalists: `linear` or `full`, by rung.
        seeds: Seeds of the finalists.
    """

    stage: SelectionStage
    kept: tuple[str, ...]
    dropped: tuple[Dropped, ...]
    sentence: str
    tune_auroc: Mapping[str, float]
    seconds: Mapping[str, float]
    seconds_left: float | None = None
    modes: Mapping[str, str] | None = None
    seeds: tuple[int, ...] = ()

    def plain(self) -> dict[str, object]:
        """The decision as a JSON object."""
        return asdict(self)

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Decision":  # JSON of its file
        """The decision of a JSON object."""
        return cls(
            stage=fields["stage"],
            kept=tuple(fields["kept"]),
            dropped=tuple(Dropped(**item) for item in fields["dropped"]),
            sentence=fields["sentence"],
            tune_auroc=fields["tune_auroc"],
            seconds=fields["seconds"],
            seconds_left=fields["seconds_left"],
            modes=fields["modes"],
            seeds=tuple(fields["seeds"]),
        )


class Decisions:
    """The decisions in a study's folder."""

    def __init__(self, folder: StudyFolder) -> None:
        self._folder = folder.path / FOLDER

    def find(self, stage: SelectionStage) -> Decision | None:
        """The decision that ended a stage; None if it was not made.

        Raises:
            StudyError: Its file is damaged.
        """
        path = self._path(stage)
        if not path.is_file():
            return None
        try:
            return Decision.of(cast("Mapping[str, Any]", read_json(path)))
        except (StudyError, KeyError, TypeError) as error:
            raise StudyError(
                f'"{path}" is damaged: what was decided in an automatic study is not known. Put it '
                "back from a copy, or delete it and all files after it in that folder to decide "
                "again; finished runs are kept."
            ) from error

    def record(self, decision: Decision) -> Decision:
        """Write a decision; the one that was written first stands."""
        if (earlier := self.find(decision.stage)) is not None:
            return earlier
        make_folder(self._folder)
        write_json(self._path(decision.stage), decision.plain())
        return decision

    def all(self) -> list[Decision]:
        """The decisions that were made, in their order."""
        return [decision for stage in STAGES if (decision := self.find(stage)) is not None]

    def _path(self, stage: SelectionStage) -> Path:
        return self._folder / f"{STAGES.index(stage) + 1}-{stage}.json"


def dropped_rungs(decisions: Sequence[Decision]) -> list[Dropped]:
    """Every rung that was dropped, once, in the order of the decisions."""
    by_rung: dict[str, Dropped] = {}
    for decision in decisions:
        for item in decision.dropped:
            by_rung.setdefault(item.rung, item)
    return list(by_rung.values())
