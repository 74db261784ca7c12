"""Export of a study's histories and settings, after the fact, to tables or to trackers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from medtransfer.errors import ConfigError, printable
from medtransfer.files import make_folder
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.record.run_logs import RunLog, number_of_points, read_run_logs
from medtransfer.study.record.trackers import write_mlflow, write_tensorboard, write_wandb
from medtransfer.tables.schema import write_spreadsheet

LogFormat = Literal["csv", "tensorboard", "mlflow", "wandb"]


@dataclass(frozen=True)
class ExportedLog:
    """Files of an export.

    Attributes:
        folder: That holds them.
        format: Theirs.
        runs: Number of runs.
        values: Number of values of their validations.
    """

    folder: Path
    format: LogFormat
    runs: int
    values: int

    def plain(self) -> dict[str, object]:
        """The outcome as a JSON object."""
        return {**asdict(self), "folder": str(self.folder)}


def export_log(folder: StudyFolder, out: Path, to: str = "csv") -> ExportedLog:
    """Write histories and settings of a study's runs for other programs, without a network.

    Exported are training settings, input sizes, seeds, label budgets, costs and validations. Paths,
    names of files, of columns and of hospitals are not.

    Args:
        folder: Of the study; it may be at work.
        out: A folder that is new or empty.
        to: `csv` (`runs.csv`, `history.csv`), `tensorboard`, `mlflow` or `wandb`; all but `csv`
            need the extra of that name.

    Returns:
        The folder, with the numbers of runs and values.

    Raises:
        ConfigError: The format is not known, its package is not installed, or the folder is not
            empty.
        StudyError: No run of the study was started.
    """
    if to not in get_args(LogFormat):
        raise ConfigError(f"--to '{printable(to)}' (allowed: {', '.join(get_args(LogFormat))})")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f'"{out}" is not an empty folder. Name another with --out.')
    logs = read_run_logs(folder)
    name = str(folder.read("study.json")["name"])
    match to:
        case "tensorboard":
            write_tensorboard(logs, out)
        case "mlflow":
            write_mlflow(logs, out, name)
        case "wandb":
            write_wandb(logs, out, name)
        case _:
            _write_csv(logs, out)
    fmt: LogFormat = next(name for name in get_args(LogFormat) if name == to)
    return ExportedLog(out, fmt, len(logs), number_of_points(logs))


def _write_csv(logs: Sequence[RunLog], out: Path) -> None:
    make_folder(out)
    runs = [
        {
            "run_id": log.run_id,
            "state": log.state,
            **{name: _cell(value) for name, value in (log.settings | log.costs).items()},
        }
        for log in logs
    ]
    checks = [{"run_id": log.run_id, **asdict(check)} for log in logs for check in log.checks]
    columns = dict.fromkeys(name for row in runs for name in row)
    whole = [{name: row.get(name) for name in columns} for row in runs]
    write_spreadsheet(pl.DataFrame(whole, infer_schema_length=None, strict=False), out / "runs.csv")
    table = pl.DataFrame(checks, infer_schema_length=None, strict=False)
    write_spreadsheet(table, out / "history.csv")


def _cell(value: object) -> object:
    """A value that a table of plain columns can hold."""
    return value if value is None or isinstance(value, int | float | str) else str(value)
