"""Histories and settings of a study's runs, as they are handed to other programs.

Only a fixed list of settings leaves the study: no path, no name of a file, a column or a hospital.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medtransfer.errors import StudyError
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.records import RunCheck, State
from medtransfer.study.care.histories import checks_so_far
from medtransfer.study.execution.requests import recorded_request
from medtransfer.study.record.differences import Plain, flat
from medtransfer.study.status import PlanEntry

COSTS = (
    *("seconds", "steps", "selected_step", "images_per_second", "training_cases", "parameters"),
    *("trained_parameters", "precision", "micro_batch", "peak_memory_mib"),
)
SERIES = ("train_loss", "tune_loss", "tune_auroc", "learning_rate", "penalty")
"""Values of a validation."""
NO_SETTINGS = ("weights", "features", "feature_ids")
"""Fields of a model that name files."""


@dataclass(frozen=True)
class RunLog:
    """Settings, costs and validations of a run, for other programs.

    Attributes:
        run_id: Its id.
        rung: Its rung.
        state: Waiting, done, failed or diverged.
        settings: By dotted name.
        costs: Of a finished run, by name.
        checks: Its validations so far.
    """

    run_id: str
    rung: str
    state: State
    settings: dict[str, Plain]
    costs: dict[str, Plain]
    checks: tuple[RunCheck, ...]

    def points(self) -> Iterator[tuple[str, int, float]]:
        """Name, step and value of every defined value of the validations."""
        for check in self.checks:
            for name in SERIES:
                value = getattr(check, name)
                if value is not None and value == value:  # noqa: PLR0124 — not a number
                    yield name, check.step, float(value)


def read_run_logs(folder: StudyFolder) -> list[RunLog]:
    """Logs of all planned runs that were started, in the order of the plan.

    Raises:
        StudyError: The folder is not that of a study that was run, or no run was started.
    """
    plan = [PlanEntry.of(row) for row in folder.read("plan.json")]
    logs = [_run_log(folder.run(entry.run_id), entry) for entry in plan]
    started = [log for log in logs if log is not None]
    if not started:
        raise StudyError(f'No run of "{folder.path}" was started, so there is nothing to export.')
    return started


def _run_log(run: RunFolder, entry: PlanEntry) -> RunLog | None:
    request = recorded_request(run)
    if request is None:
        return None
    cost = run.cost() if run.is_done() else None
    model = request.run.model.scope("identity")
    settings: dict[str, Plain] = {
        "rung": entry.rung,
        "label_fraction": entry.label_fraction,
        "shots": request.shots,
        "seed": entry.seed,
        "retrain_fraction": request.retrain_fraction,
        **({} if request.start is None else {"start": request.start}),
        **flat(request.run.training.scope("identity"), "training"),
        **flat(request.run.data.image.scope("identity"), "image"),
        **flat({k: v for k, v in model.items() if k not in NO_SETTINGS}, "model"),
    }
    return RunLog(
        run_id=entry.run_id,
        rung=entry.rung,
        state=run.state(),
        settings=settings,
        costs={} if cost is None else {name: getattr(cost, name) for name in COSTS},
        checks=tuple(checks_so_far(run)),
    )


def number_of_points(logs: Sequence[RunLog]) -> int:
    """Number of values that the validations of runs hold."""
    return sum(1 for log in logs for _ in log.points())
