"""Of a sweep's settings the one that is best on the tuning split, and what the search cost.

Test predictions have no part in it: what is read is each run's look at the tuning split whose
weights were kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.records import RunCheck
from medtransfer.study.axes.combinations import Combination
from medtransfer.study.plan import PlannedRun


@dataclass(frozen=True)
class Setting:
    """Settings that are tried at a place of the grid.

    Attributes:
        learning_rate: Peak of the schedule.
        steps: Length of the schedule.
        weight_decay: Of the optimiser.
        axes: Settings of the study's axes.
    """

    learning_rate: float
    steps: int
    weight_decay: float
    axes: Combination = ()


@dataclass(frozen=True)
class Trial:
    """One setting at one place of the grid, over its seeds.

    Attributes:
        key: Rung and training set.
        setting: Learning rate, steps, weight decay, and settings of the axes.
        runs: One per seed.
        done: How many of them ended with predictions.
        tune_auroc: Mean over these of the tuning AUROC of the weights that were kept; None where
            it is undefined for one.
        tune_loss: Mean likewise.
        seconds: That all of them took.
        images: That they trained on.
    """

    key: GridKey
    setting: Setting
    runs: tuple[PlannedRun, ...]
    done: int
    tune_auroc: float | None
    tune_loss: float | None
    seconds: float
    images: int

    @property
    def rank(self) -> tuple[int, float, float]:
        """Better is larger: seeds that ended first, then AUROC, then the loss."""
        area = -1.0 if self.tune_auroc is None else self.tune_auroc
        return self.done, area, -(self.tune_loss or 0.0)


def trials_of(folder: StudyFolder, planned: Sequence[PlannedRun]) -> list[Trial]:
    """The trials of a sweep, in the order of its runs."""
    groups: dict[tuple[GridKey, Setting], list[PlannedRun]] = {}
    for run in planned:
        groups.setdefault((run.cell.key, setting_of(run)), []).append(run)
    return [_trial(folder, *key, runs) for key, runs in groups.items()]


def chosen_trials(trials: Sequence[Trial]) -> list[Trial]:
    """The best trial of each place, the first of equals; none where no run ended.

    A setting with which fewer seeds end than with another is not taken: one that diverges now and
    then is no setting to rely on.
    """
    best: dict[GridKey, Trial] = {}
    for trial in trials:
        before = best.get(trial.key)
        if trial.done and (before is None or trial.rank > before.rank):
            best[trial.key] = trial
    return list(best.values())


def sweep_frame(trials: Sequence[Trial], chosen: Sequence[Trial]) -> pl.DataFrame:
    """One row per trial, with what it cost and whether it is the one that was taken."""
    names = dict.fromkeys(name for trial in trials for name, _ in trial.setting.axes)
    rows: list[dict[str, object]] = [
        {
            "rung": trial.key.rung,
            "label_fraction": trial.key.label_fraction,
            "held_out": trial.key.held_out,
            "retrain_fraction": trial.key.retrain_fraction,
            "learning_rate": trial.setting.learning_rate,
            "steps": trial.setting.steps,
            "weight_decay": trial.setting.weight_decay,
            **axis_cells(trial.setting.axes, names),
            "seeds": len(trial.runs),
            "seeds_done": trial.done,
            "tune_auroc": trial.tune_auroc,
            "tune_loss": trial.tune_loss,
            "seconds": trial.seconds,
            "images": trial.images,
            "selected": trial in chosen,
        }
        for trial in trials
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def setting_of(run: PlannedRun) -> Setting:
    """Learning rate, steps, weight decay of a run, and its settings of the axes."""
    training = run.cell.run.training
    return Setting(training.learning_rate, run.steps, training.weight_decay, run.cell.axes)


def axis_cells(axes: Combination, names: Iterable[str]) -> dict[str, str | None]:
    """A column for each axis, as text: values of one axis may be words and numbers."""
    values = dict(axes)
    return {name: None if (value := values.get(name)) is None else str(value) for name in names}


def _trial(
    folder: StudyFolder, key: GridKey, setting: Setting, runs: Sequence[PlannedRun]
) -> Trial:
    folders = [folder.run(run.run_id) for run in runs]
    done = [run_folder for run_folder in folders if run_folder.is_done()]
    checks = [kept_check(run_folder) for run_folder in done]
    aurocs = [check.tune_auroc for check in checks if check.tune_auroc is not None]
    costs = [run_folder.cost() for run_folder in done]
    is_defined = bool(aurocs) and len(aurocs) == len(checks)
    return Trial(
        key=key,
        setting=setting,
        runs=tuple(runs),
        done=len(done),
        tune_auroc=sum(aurocs) / len(aurocs) if is_defined else None,
        tune_loss=sum(check.tune_loss for check in checks) / len(checks) if checks else None,
        seconds=sum(cost.seconds for cost in costs),
        images=sum(cost.images for cost in costs),
    )


def kept_check(run: RunFolder) -> RunCheck:
    """The validation of the weights that a run kept."""
    selected = run.cost().selected_step
    return next(check for check in run.history() if check.step == selected)
