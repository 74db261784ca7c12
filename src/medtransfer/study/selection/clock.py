"""Time that an automatic study has used, over all of its commands."""

import time
from collections.abc import Callable
from pathlib import Path

from medtransfer.errors import StudyError
from medtransfer.files import make_folder, read_json, write_json
from medtransfer.integrity.study_seal import CLOCK
from medtransfer.runs.folders import StudyFolder

NOTE_SECONDS = 5.0
"""Time between notes; a killed command forgets as much."""


class Clock:
    """Seconds that were used, kept in the study's folder; pauses between commands do not count."""

    def __init__(
        self,
        folder: StudyFolder,
        seconds: float,
        now: Callable[[], float] = time.monotonic,
        begun: float | None = None,
    ) -> None:
        """Go on from the last note.

        Args:
            folder: Of the study.
            seconds: That may be used.
            now: Clock of this machine, in seconds.
            begun: Start of the command by that clock; None for now.
        """
        self._path, self.now, self.seconds = folder.path / CLOCK, now, seconds
        self._before, self._noted = _noted(self._path), now()
        self._begun = self._noted if begun is None else begun

    @property
    def spent(self) -> float:
        """Seconds that were used."""
        return self._before + self.now() - self._begun

    @property
    def left(self) -> float:
        """Seconds that may still be used."""
        return self.seconds - self.spent

    def note(self, *, least: float = NOTE_SECONDS) -> None:
        """Note the time, at most every few seconds."""
        if self.now() - self._noted >= least:
            self._noted = self.now()
            make_folder(self._path.parent)
            write_json(self._path, {"seconds": round(self.spent, 1)})


def _noted(path: Path) -> float:
    """Seconds of the last note; none where there is no note, or it is damaged."""
    try:
        return float(read_json(path)["seconds"]) if path.is_file() else 0.0
    except (StudyError, KeyError, TypeError, ValueError):
        return 0.0
