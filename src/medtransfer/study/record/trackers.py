"""Files of experiment trackers, written after the fact and without a network.

Each tracker is an optional package with a format of its own, so it writes its files itself.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from medtransfer.errors import ConfigError
from medtransfer.files import make_folder, remove
from medtransfer.study.record.differences import Plain
from medtransfer.study.record.run_logs import RunLog

MISSING = (
    "--to {extra} needs the package '{extra}', which is not installed. Install the extra "
    "`medtransfer[{extra}]`, or take --to csv."
)


def _tracker(extra: str, module: str = "") -> Any:  # none of them is installed with the package
    """A module of a tracker.

    Raises:
        ConfigError: The extra is not installed.
    """
    try:
        return import_module(module or extra)
    except ImportError as error:
        text = MISSING.format(extra=extra)
        raise ConfigError(text) from error


def _plain_text(value: Plain) -> str:
    return "" if value is None else str(value)


def write_tensorboard(logs: Sequence[RunLog], out: Path) -> None:
    """Write one folder of event files a run.

    Raises:
        ConfigError: TensorBoard is not installed.
    """
    events = _tracker("tensorboard", "tensorboard.compat.proto.event_pb2")
    summaries = _tracker("tensorboard", "tensorboard.compat.proto.summary_pb2")
    files = _tracker("tensorboard", "tensorboard.summary.writer.event_file_writer")
    make_folder(out)
    for log in logs:
        writer = files.EventFileWriter(str(out / log.run_id))
        for name, step, value in log.points():
            point = summaries.Summary.Value(tag=name, simple_value=value)
            summary = summaries.Summary(value=[point])
            # no time is known, so the step stands in its place
            writer.add_event(events.Event(wall_time=float(step), step=step, summary=summary))
        writer.close()


def write_mlflow(logs: Sequence[RunLog], out: Path, study: str) -> None:
    """Write a database of MLflow in the folder, with one experiment.

    Raises:
        ConfigError: MLflow is not installed.
    """
    entities = _tracker("mlflow", "mlflow.entities")
    tracking = _tracker("mlflow", "mlflow.tracking")
    make_folder(out)
    client = tracking.MlflowClient(tracking_uri=f"sqlite:///{out.absolute()}/mlflow.db")
    artefacts = (out / "artefacts").absolute().as_uri()
    experiment = client.create_experiment(study, artifact_location=artefacts)
    for log in logs:
        run = client.create_run(experiment, run_name=log.run_id)
        params = [
            entities.Param(name, _plain_text(value)[:500]) for name, value in log.settings.items()
        ]
        metrics = [entities.Metric(name, value, 0, step) for name, step, value in log.points()]
        costs = [
            entities.Metric(name, float(value), 0, 0)
            for name, value in log.costs.items()
            if isinstance(value, int | float)
        ]
        tags = [entities.RunTag("state", log.state)]
        client.log_batch(run.info.run_id, params=params[:100], tags=tags)
        for first in range(0, len(metrics), 1000):
            client.log_batch(run.info.run_id, metrics=metrics[first : first + 1000])
        client.log_batch(run.info.run_id, metrics=costs)
        client.set_terminated(run.info.run_id, "FINISHED" if log.state == "done" else "FAILED")


def write_wandb(logs: Sequence[RunLog], out: Path, study: str) -> None:
    """Write a folder of Weights & Biases a run, in offline mode; `wandb sync` sends it.

    Raises:
        ConfigError: wandb is not installed.
    """
    wandb = _tracker("wandb")
    make_folder(out)
    # its defaults add names of the machine, the user, the command and the repository
    quiet = wandb.Settings(
        mode="offline",
        console="off",
        silent=True,
        disable_git=True,
        disable_code=True,
        save_code=False,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        host="hidden",  # else the name of this machine, which the line above does not cover
    )
    for log in logs:
        run = wandb.init(
            project=study,
            id=log.run_id,
            name=log.run_id,
            dir=str(out),
            config=dict(log.settings),
            settings=quiet,
        )
        steps: dict[int, dict[str, float]] = {}
        for name, step, value in log.points():
            steps.setdefault(step, {})[name] = value
        for step, values in sorted(steps.items()):
            run.log(values, step=step)
        run.summary.update({**log.costs, "state": log.state})
        run.finish()
    wandb.teardown()  # until then a file holds 7 bytes
    # its own logs name folders of this machine
    for path in [*out.rglob("debug*.log"), *out.rglob("offline-run-*/logs")]:
        if path.is_dir() or path.is_symlink() or path.exists():
            remove(path)
