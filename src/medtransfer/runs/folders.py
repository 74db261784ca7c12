"""Folders of a study and of its runs. Files are the truth; everything else is a view.

Tables are imported where they are read or written, so that `medtransfer status` answers at once.

```
studies/<name>/
├── study.yaml      as it was run            plan.json    the runs and their ids
├── report.html     results.parquet .csv     predictions.parquet     runs.csv
├── data.json       digest, findings, splits             images.parquet  facts of the images
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
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from medtransfer.errors import StudyError
from medtransfer.files import (
    is_temporary,
    make_folder,
    read_json,
    remove,
    sha256,
    sweep_temporaries,
    write_json,
    write_text,
)
from medtransfer.runs.records import Record, RunCheck, RunCost, RunError, State

if TYPE_CHECKING:
    import polars as pl

MARK = "study.json"
LEASE = "lease.json"
LEASE_SECONDS = 120
"""A lease of another machine that was not renewed for this long is taken over."""


class RunFolder:
    """One run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def run_id(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def checkpoint(self) -> Path:
        """Checkpoints while it trains, the selected weights afterwards."""
        return self.path / "checkpoint"

    def is_done(self) -> bool:
        """True if the run ended with predictions and results."""
        return (self.path / "done").is_file()

    def error(self) -> RunError | None:
        """The reason why the run failed or diverged; None if it did neither."""
        path = self.path / "error.json"
        return RunError.of(read_json(path)) if path.is_file() else None

    def state(self) -> State:
        """Done, failed, diverged, or waiting; only the study knows that a run is running."""
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
        environments = self.environments() if path.is_file() else []
        if environment not in environments:
            write_json(path, [*environments, environment])

    def write_history(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Write one JSON line per validation."""
        lines = (json.dumps(row, sort_keys=True) for row in rows)
        write_text(self.path / "history.jsonl", "".join(f"{line}\n" for line in lines))

    def history_rows(self) -> list[Mapping[str, Any]]:
        """The validations as JSON objects; runs and rungs have different fields."""
        path = self.path / "history.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines]

    def history(self) -> list[RunCheck]:
        """Validations on the tuning split."""
        return [RunCheck.of(row) for row in self.history_rows()]

    def write_outcome(self, predictions: "pl.DataFrame", cost: RunCost) -> None:
        """Write predictions and cost."""
        from medtransfer.tables.predictions import write_predictions

        write_predictions(predictions, self.path / "predictions.parquet")
        self.write_cost(cost)

    def write_cost(self, cost: Record) -> None:
        """Write the cost of the run."""
        write_json(self.path / "cost.json", vars(cost))

    def write_results(self, results: "pl.DataFrame", scoring: str) -> None:
        """Write results with the digest of their scoring."""
        from medtransfer.tables.results import write_results

        write_results(results, self.path / "results.parquet")
        write_json(self.path / "scoring.json", {"digest": scoring})

    def is_scored(self, scoring: str) -> bool:
        """True if the results were made by a scoring."""
        path = self.path / "scoring.json"
        return path.is_file() and read_json(path)["digest"] == scoring

    def finish(self) -> None:
        """Mark the run as done, with the digest of its predictions; nothing is written after."""
        write_json(self.path / "done", {"predictions": sha256(self.path / "predictions.parquet")})
        self.tidy()

    def tidy(self) -> None:
        """Remove checkpoints that only resuming would need; the selected weights stay."""
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
        """Write the stacks of a worker that made no progress."""
        write_text(self.path / "stacks.txt", text)

    def predictions(self) -> "pl.DataFrame":
        """Its predictions table."""
        import polars as pl

        return pl.read_parquet(self.path / "predictions.parquet")

    def results(self) -> "pl.DataFrame":
        """Its results table."""
        import polars as pl

        return pl.read_parquet(self.path / "results.parquet")

    def cost(self) -> RunCost:
        """Time, speed and size of the finished run."""
        return RunCost.of(read_json(self.path / "cost.json"))

    def write_progress(self, record: Mapping[str, object]) -> None:
        """Write the run's progress, for `medtransfer status`; a view that may be lost."""
        write_json(self.path / "progress.json", record)

    def progress(self) -> Mapping[str, Any]:
        """The progress written last, for `runs.progress.read_progress`; empty before the first."""
        path = self.path / "progress.json"
        return cast("Mapping[str, Any]", read_json(path)) if path.is_file() else {}

    def environments(self) -> list[dict[str, Any]]:  # open JSON: every version adds facts
        """Machines and packages that the run ran on, as `runs.transfer.environment` gave them."""
        return read_json(self.path / "environment.json")


class StudyFolder:
    """The folder of one study."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cache = path / "cache"
        self.features = path / "features"
        self.images = path / "images.parquet"
        self.report = path / "report.html"

    def claim(self, name: str) -> None:
        """Make this the folder of a study.

        Raises:
            StudyError: It holds another study, or other files.
        """
        mark = self.path / MARK
        if mark.is_file():
            other = read_json(mark)["name"]
            if other != name:
                raise StudyError(
                    f"\"{self.path}\" holds the study '{other}', not '{name}'. Write elsewhere "
                    "with --out, or give the study its old name."
                )
        elif self.path.exists() and not all(map(is_temporary, self.path.iterdir())):
            raise StudyError(
                f'"{self.path}" is not empty and is not a study folder. Write elsewhere with --out.'
            )
        else:
            write_json(mark, {"name": name})

    def run(self, run_id: str) -> RunFolder:
        """The folder of a run."""
        return RunFolder(self.path / "runs" / run_id)

    def run_ids(self) -> list[str]:
        """Ids of all runs that have a folder, planned or not."""
        runs = self.path / "runs"
        return sorted(p.name for p in runs.iterdir()) if runs.is_dir() else []

    def write(self, name: str, value: Any) -> None:
        """Write one of the study's JSON files."""
        write_json(self.path / name, value)

    def read(self, name: str) -> Any:
        """Read one of the study's JSON files.

        Raises:
            StudyError: The file is missing: the folder is not a study's, or was never run.
        """
        path = self.path / name
        if not path.is_file():
            raise StudyError(
                f'"{self.path}" has no {name}: it is not the folder of a study that was run. '
                "`medtransfer run study.yaml` makes one."
            )
        return read_json(path)


class Lease:
    """Right of one process to work on a study; the lease of a dead process is taken over."""

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

    def holder(self) -> Mapping[str, Any] | None:
        """The living process that holds the lease, if any."""
        if not self._path.is_file():
            return None
        holder = cast("Mapping[str, Any]", read_json(self._path))
        if holder.get("host") == self._own["host"]:
            born = _born(int(holder["pid"]))
            return holder if born and born == holder["born"] else None
        age = time.time() - self._path.stat().st_mtime
        return holder if age < LEASE_SECONDS else None

    def renew(self) -> None:
        """Record that the holder is alive."""
        if self._path.is_file():
            os.utime(self._path)

    def drop(self) -> None:
        """Give up the lease."""
        remove(self._path)


def _born(pid: int) -> str:
    """Start of a process of this machine, in ticks since boot; empty if there is none."""
    # ticks since boot: psutil.Process.create_time moves with the clock, so a corrected clock would
    # make a living holder look dead
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""
