"""Folders of a study and of its runs. Files are the truth; everything else is a view.

Tables are imported where they are read or written, so that `medtransfer status` answers at once.

```
studies/<name>/
├── study.yaml      as it was run            plan.json    the runs and their ids
├── report.html     results.parquet .csv     predictions.parquet     runs.csv
├── data.json       digest, findings, splits             images.parquet  facts of the images
├── cache/          images at the networks' sizes; may be deleted
├── features/       of linear probes; may be deleted
├── estimates/      numbers of runs with their replicates, and cells/ of them; may be deleted
└── runs/<run_id>/  run.json environment.json history.jsonl checkpoint/ predictions.parquet
                    tested.json results.parquet cost.json done (last) | error.json
                    predictions/  cohorts that were predicted later
                    trajectory.parquet  test cases predicted at the validations, if asked for
```
"""

import contextlib
import hashlib
import json
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from medtransfer.errors import StudyError, listed
from medtransfer.files import (
    is_temporary,
    json_text,
    make_folder,
    read_json,
    recording,
    remove,
    sweep_temporaries,
    write_json,
    write_text,
)
from medtransfer.integrity.run_seal import (
    ADDED,
    DONE,
    PREDICTIONS,
    SELECTED_WEIGHTS,
    TESTED,
    TRAJECTORY,
    read_run_seal,
    seal_run,
)
from medtransfer.integrity.study_seal import seal_study, sealed_entry
from medtransfer.runs.lease import Lease
from medtransfer.runs.records import Record, RunCheck, RunCost, RunError, State

if TYPE_CHECKING:
    import polars as pl

    from medtransfer.evaluation.comparison.cells.kept_cells import KeptCells
    from medtransfer.evaluation.comparison.cells.kept_runs import KeptRuns

__all__ = ["MARK", "Lease", "RunFolder", "StudyFolder"]
MARK = "study.json"
PLAN = "plan.json"
"""The one of a study's JSON files that holds a list."""


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

    def require_sealed(self) -> None:
        """Compare the files of a finished run with its seal, before they are passed on.

        Raises:
            StudyError: They were damaged or edited, or the seal was.
        """
        seal = read_run_seal(self.path)
        if seal is not None and (names := seal.damaged(self.path)):
            raise StudyError(
                f"Not as sealed (damaged, edited or deleted): {listed(names)} of run "
                f"{self.run_id}. `medtransfer fsck` compares all files; `medtransfer run "
                "study.yaml` makes them again."
            )

    def error(self) -> RunError | None:
        """The reason why the run failed or diverged; None if it did neither."""
        path = self.path / "error.json"
        if not path.is_file():
            return None
        try:
            return RunError.of(read_json(path))
        except (StudyError, TypeError, AttributeError):  # damaged: the run is tried again
            return None

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
        """Write results with the digest of their scoring; a finished run is sealed again."""
        from medtransfer.tables.results import write_results

        write_results(results, self.path / "results.parquet")
        write_json(self.path / "scoring.json", {"digest": scoring})
        if self.is_done():
            seal_run(self.path)

    def is_scored(self, scoring: str) -> bool:
        """True if the results were made by a scoring."""
        path = self.path / "scoring.json"
        has_results = path.is_file() and (self.path / "results.parquet").is_file()
        return has_results and read_json(path)["digest"] == scoring

    def finish(self) -> None:
        """Mark the run as done by a seal of all its files; nothing is written after."""
        seal_run(self.path)
        self.tidy()

    def reopen(self) -> None:
        """Make the run unfinished: its outcome is dropped, and it is carried out again."""
        outcome = (PREDICTIONS, ADDED, TESTED, "results.parquet", "scoring.json", "cost.json")
        for name in (DONE, *outcome, TRAJECTORY):
            remove(self.path / name)

    def has_weights(self) -> bool:
        """True if the selected weights are in the folder."""
        return any(self.checkpoint.glob(f"{SELECTED_WEIGHTS}*"))

    def drop_weights(self) -> None:
        """Delete the weights of the finished run, and seal what is left."""
        if self.checkpoint.exists():
            remove(self.checkpoint)
            seal_run(self.path)

    def tidy(self) -> None:
        """Remove checkpoints and looks that only resuming would need; the selected weights stay."""
        for kind in ("step-*", "look-*"):
            for leftover in self.checkpoint.glob(kind):
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
        try:
            return cast("Mapping[str, Any]", read_json(path)) if path.is_file() else {}
        except StudyError:  # damaged: as good as none
            return {}

    def environments(self) -> list[dict[str, Any]]:  # open JSON: every version adds facts
        """Machines and packages that the run ran on, as `runs.transfer.environment` gave them."""
        path = self.path / "environment.json"
        machines: Any = read_json(path) if path.is_file() else []
        # what is damaged is named by the seal; nothing that a run says rests on it
        is_list = isinstance(machines, list)
        return [m for m in cast("list[Any]", machines if is_list else []) if _is_machine(m)]


def _is_machine(machine: Any) -> bool:
    """True for an entry of ``environment.json`` as it was written."""
    return isinstance(machine, dict) and isinstance(
        cast("dict[str, Any]", machine).get("packages", {}), dict
    )


class StudyFolder:
    """The folder of one study."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cache = path / "cache"
        self.features = path / "features"
        self.estimates = path / "estimates"
        self.images = path / "images.parquet"
        self.report = path / "report.html"

    def kept_runs(self) -> "KeptRuns":
        """The study's runs, which are measured once."""
        from medtransfer.evaluation.comparison.cells.kept_runs import KeptRuns
        from medtransfer.runs.config import SCORING_VERSION

        return KeptRuns(self.estimates, SCORING_VERSION)

    def kept_cells(self, tables: int) -> "KeptCells":
        """Rungs on their training sets, each summed up once.

        Args:
            tables: Version of what runs are summed up to.
        """
        from medtransfer.evaluation.comparison.cells.kept_cells import KeptCells
        from medtransfer.runs.config import SCORING_VERSION

        return KeptCells(self.estimates / "cells", f"{SCORING_VERSION}/{tables}")

    def claim(self, name: str) -> None:
        """Make this the folder of a study.

        A damaged ``study.json`` is left to `runs.repairs` if the seal knows it as this study's.

        Raises:
            StudyError: It holds another study, or other files.
        """
        mark, sealed = self.path / MARK, sealed_entry(self.path, MARK)
        if sealed is not None and not sealed.is_content_of(mark):
            own_text = json_text({"name": name}).encode()
            if sealed.sha256 != hashlib.sha256(own_text).hexdigest():
                raise StudyError(
                    f'"{self.path}" holds another study, whose {MARK} is damaged. Write elsewhere '
                    "with --out."
                )
        elif mark.is_file():
            other = _marked_name(mark, name)
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
            self.mark(name)

    def mark(self, name: str) -> None:
        """Write the study's name."""
        self.write(MARK, {"name": name})

    def run(self, run_id: str) -> RunFolder:
        """The folder of a run."""
        return RunFolder(self.path / "runs" / run_id)

    def run_ids(self) -> list[str]:
        """Ids of all runs that have a folder, planned or not."""
        runs = self.path / "runs"
        return sorted(p.name for p in runs.iterdir()) if runs.is_dir() else []

    @contextlib.contextmanager
    def sealing(self) -> Generator[None]:
        """Seal what was changed inside, however it is left; the caller has the lease."""
        with recording() as changed:
            try:
                yield
            finally:
                seal_study(self.path, changed)

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
        try:
            content: Any = read_json(path)
            is_whole = isinstance(content, list if name == PLAN else dict)
            if not is_whole or (name == MARK and "name" not in content):
                raise StudyError(f'"{path}" holds something else than was written.')
        except StudyError as error:
            raise StudyError(f"{error} `medtransfer run study.yaml` makes it again.") from error
        return cast("Any", content)


def _marked_name(mark: Path, name: str) -> str:
    """Name in a ``study.json``.

    Raises:
        StudyError: It is damaged, and no seal knows what it held.
    """
    try:
        return str(read_json(mark)["name"])
    except (StudyError, KeyError, TypeError) as error:
        raise StudyError(
            f"\"{mark}\" is damaged. If the folder holds the study '{name}', write "
            f"{json.dumps({'name': name})} into that file; otherwise write elsewhere with --out."
        ) from error
