"""The study's folder and its runs' folders. Files are the truth; everything else is a view.

Tables are imported where they are read or written, so that `medtransfer status` answers at once.

```
studies/<name>/
├── study.yaml      as it was run            plan.json    the runs and their ids
├── report.html     results.parquet .csv     predictions.parquet     runs.csv
├── data.json       what was read, found, split          images.parquet  what was scanned
├── cache/          images at the networks' sizes; may be deleted
├── features/       of linear probes; may be deleted
└── runs/<run_id>/  run.json environment.json history.jsonl checkpoint/ predictions.parquet
                    results.parquet cost.json done (last) | error.json
```
"""

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from medtransfer.errors import StudyError
from medtransfer.files import (
    TEMPORARY,
    make_folder,
    read_json,
    remove,
    sha256,
    sweep_temporaries,
    write_json,
    write_text,
)

if TYPE_CHECKING:
    import polars as pl

State = Literal["waiting", "running", "done", "failed", "diverged"]
MARK = "study.json"
LEASE = "lease.json"
LEASE_SECONDS = 120
"""A lease of another machine that was not renewed for this long is taken over."""


@dataclass(frozen=True)
class RunError:
    """Content of ``error.json``.

    Attributes:
        state: Failed or diverged.
        message: The reason.
        step: At which it diverged.
        traceback: Of a bug.
    """

    state: State
    message: str
    step: int | None = None
    traceback: str | None = None


class RunFolder:
    """One run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def run_id(self) -> str:
        """Its name is the run's."""
        return self.path.name

    @property
    def checkpoint(self) -> Path:
        """Checkpoints while it trains, the selected weights afterwards."""
        return self.path / "checkpoint"

    def is_done(self) -> bool:
        """Whether it ended with predictions and results."""
        return (self.path / "done").is_file()

    def error(self) -> RunError | None:
        """Why the run failed or diverged; None if it did neither."""
        path = self.path / "error.json"
        return RunError(**read_json(path)) if path.is_file() else None

    def state(self) -> State:
        """Done, failed, diverged, or waiting; whether it is running the study knows."""
        if self.is_done():
            return "done"
        error = self.error()
        return "waiting" if error is None else error.state

    def describe(self, record: Mapping[str, object]) -> None:
        """Write ``run.json`` and remove the error of an earlier attempt."""
        make_folder(self.path)
        sweep_temporaries(self.path)
        remove(self.path / "error.json")
        write_json(self.path / "run.json", record)

    def start(self, record: Mapping[str, object], environment: Mapping[str, object]) -> None:
        """Write ``run.json`` and the machine's environment; one entry per kind of machine.

        Args:
            record: Content of ``run.json``.
            environment: From `runs.transfer.environment`.
        """
        self.describe(record)
        path = self.path / "environment.json"
        seen = cast("list[Any]", read_json(path)) if path.is_file() else []
        if environment not in seen:
            write_json(path, [*seen, environment])

    def write_history(self, rows: list[dict[str, Any]]) -> None:
        """One JSON line per look at the tuning split."""
        lines = (json.dumps(row, sort_keys=True) for row in rows)
        write_text(self.path / "history.jsonl", "".join(f"{line}\n" for line in lines))

    def history(self) -> list[dict[str, Any]]:
        """The looks at the tuning split."""
        path = self.path / "history.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines]

    def write_outcome(self, predictions: "pl.DataFrame", cost: dict[str, Any]) -> None:
        """Write predictions and cost."""
        from medtransfer.tables.predictions import write_predictions

        write_predictions(predictions, self.path / "predictions.parquet")
        write_json(self.path / "cost.json", cost)

    def write_results(self, results: "pl.DataFrame", scoring: str) -> None:
        """Write results, and which scoring made them."""
        from medtransfer.tables.results import write_results

        write_results(results, self.path / "results.parquet")
        write_json(self.path / "scoring.json", {"digest": scoring})

    def is_scored(self, scoring: str) -> bool:
        """Whether the results were made by a scoring."""
        path = self.path / "scoring.json"
        return path.is_file() and read_json(path)["digest"] == scoring

    def finish(self) -> None:
        """Mark the run as done, with the digest of its predictions; nothing is written after."""
        about = {"predictions": sha256(self.path / "predictions.parquet")}
        write_json(self.path / "done", about)
        self.tidy()

    def tidy(self) -> None:
        """Drop what only going on would need; the selected weights stay."""
        for leftover in self.checkpoint.glob("step-*"):
            remove(leftover)

    def fail(
        self,
        state: State,
        message: str,
        *,
        step: int | None = None,
        traceback: str | None = None,
    ) -> None:
        """Write why the run ended without results.

        Args:
            state: Failed or diverged.
            message: The reason.
            step: At which it diverged.
            traceback: Of a bug.
        """
        make_folder(self.path)
        fields = vars(RunError(state, message, step, traceback))
        record = {name: value for name, value in fields.items() if value is not None}
        write_json(self.path / "error.json", record)

    def note_stacks(self, text: str) -> None:
        """Leave where a worker stood that made no progress."""
        write_text(self.path / "stacks.txt", text)

    def predictions(self) -> "pl.DataFrame":
        """Its predictions table."""
        import polars as pl

        return pl.read_parquet(self.path / "predictions.parquet")

    def results(self) -> "pl.DataFrame":
        """Its results table."""
        import polars as pl

        return pl.read_parquet(self.path / "results.parquet")

    def cost(self) -> dict[str, Any]:
        """What it took."""
        return cast("dict[str, Any]", read_json(self.path / "cost.json"))

    def write_progress(self, record: Mapping[str, object]) -> None:
        """Write the run's progress, for `medtransfer status`; a view that may be lost."""
        write_json(self.path / "progress.json", record)

    def progress(self) -> Mapping[str, Any]:
        """The progress written last, for `runs.progress.read_progress`; empty before the first."""
        path = self.path / "progress.json"
        return cast("dict[str, Any]", read_json(path)) if path.is_file() else {}

    def environments(self) -> list[dict[str, Any]]:
        """Where it ran."""
        return cast("list[dict[str, Any]]", read_json(self.path / "environment.json"))


class StudyFolder:
    """The folder of one study."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cache = path / "cache"
        self.features = path / "features"
        self.images = path / "images.parquet"
        self.report = path / "report.html"

    def claim(self, name: str) -> None:
        """Make the folder this study's.

        Raises:
            StudyError: It holds another study, or something that is no study.
        """
        mark = self.path / MARK
        if mark.is_file():
            other = read_json(mark)["name"]
            if other != name:
                raise StudyError(
                    f"\"{self.path}\" holds the study '{other}', not '{name}'. Write elsewhere "
                    "with --out, or give the study its old name."
                )
        elif self.path.exists() and any(TEMPORARY not in p.name for p in self.path.iterdir()):
            raise StudyError(
                f'"{self.path}" is not empty and is no study folder. Write elsewhere with --out.'
            )
        else:
            write_json(mark, {"name": name})

    def run(self, run_id: str) -> RunFolder:
        """The folder of a run."""
        return RunFolder(self.path / "runs" / run_id)

    def run_ids(self) -> list[str]:
        """Runs that have a folder, in the plan or not."""
        runs = self.path / "runs"
        return sorted(p.name for p in runs.iterdir()) if runs.is_dir() else []

    def write(self, name: str, value: Any) -> None:
        """Write one of the study's JSON files."""
        write_json(self.path / name, value)

    def read(self, name: str) -> Any:
        """Read one of the study's JSON files.

        Raises:
            StudyError: It is not there: the folder is no study, or was never run.
        """
        path = self.path / name
        if not path.is_file():
            raise StudyError(
                f'"{self.path}" has no {name}: it is not the folder of a study that was run. '
                "`medtransfer run study.yaml` makes one."
            )
        return read_json(path)


class Lease:
    """One process at a time works on a study; a dead one's lease is taken over."""

    def __init__(self, folder: StudyFolder) -> None:
        self._path = folder.path / LEASE
        self._own = {"pid": os.getpid(), "host": socket.gethostname(), "born": _born(os.getpid())}

    def take(self) -> None:
        """Take the lease.

        Raises:
            StudyError: Another living process holds it.
        """
        holder = self.holder()
        if holder is not None and holder != self._own:
            raise StudyError(
                f"Process {holder['pid']} on {holder['host']} is working on this study. Wait for "
                "it, or stop it first."
            )
        write_json(self._path, self._own)

    def holder(self) -> dict[str, Any] | None:
        """The living process that holds the lease, if any."""
        if not self._path.is_file():
            return None
        holder = cast("dict[str, Any]", read_json(self._path))
        if holder.get("host") == self._own["host"]:
            born = _born(int(holder["pid"]))
            return holder if born and born == holder["born"] else None
        age = time.time() - self._path.stat().st_mtime
        return holder if age < LEASE_SECONDS else None

    def renew(self) -> None:
        """Show that the holder is alive."""
        if self._path.is_file():
            os.utime(self._path)

    def drop(self) -> None:
        """Give the lease back."""
        remove(self._path)


def _born(pid: int) -> str:
    """When a process of this machine started; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""
