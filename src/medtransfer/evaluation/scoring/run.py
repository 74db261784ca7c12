"""One run's predictions as arrays, its members combined."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import entr, log_expit, log_softmax, logsumexp

from medtransfer.data.config import Task
from medtransfer.errors import TableError
from medtransfer.metrics.calibration import probabilities_of
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.posthoc.tuning_split import TUNE
from medtransfer.tables.predictions import OOD_PREFIX, target_names
from medtransfer.tables.results import CASE, MACRO, MICRO

INTERNAL = "internal"
"""Name of several training cohorts taken together."""
WHOLE_CASE = -1
"""Number of the case as a whole, where targets are numbered."""


@dataclass(frozen=True)
class RunArrays:
    """A run's predictions, one row per case.

    Attributes:
        run_id: The run.
        task: How the targets relate to each other.
        names: Targets. T
        frame: Ids, cohort and split of the cases, and any `ood_<name>`, mean over members. [N]
        targets: NaN where masked. [N, T]
        logits: Of an ensemble those of its mean probability; of classes at the mean level
            log Σ eˡ of its members, so that its energy is theirs. [N, T]
        probabilities: Before any calibration. [N, T]
        members: Networks of the ensemble.
        spread: Disagreement of an ensemble's members, for each target, or the same for all of
            a single-label task. Each [N, T]
    """

    run_id: str
    task: Task
    names: tuple[str, ...]
    frame: pl.DataFrame
    targets: Floats
    logits: Floats
    probabilities: Floats
    members: int = 1
    spread: dict[str, Floats] = field(default_factory=dict[str, Floats])

    @property
    def single_label(self) -> bool:
        """True if each case has one class of several."""
        return self.task == "single-label"

    @property
    def splits(self) -> NDArray[np.str_]:
        """Split of each case. [N]"""
        return self.frame["split"].to_numpy().astype(np.str_)

    @property
    def overall(self) -> tuple[str, ...]:
        """Targets of the overall numbers: the only one, or mean, pooled and case."""
        return (MACRO, MICRO, CASE) if len(self.names) > 1 else self.names

    def numbers(self) -> list[int]:
        """Numbers of the targets, and of the case as a whole in single-label tasks."""
        return [*range(len(self.names)), *([WHOLE_CASE] if self.single_label else [])]

    def name_of(self, target: int) -> str:
        """Name of a target, or of the case as a whole, in the results."""
        return CASE if target == WHOLE_CASE else self.names[target]

    def test_cases(self) -> dict[str, Flags]:
        """Test cases by test set: the training cohorts first, then the shifted ones by name.

        Several training cohorts are one test set, `internal`. Each [N]
        """
        return {**self._test_cases}

    @cached_property
    def _test_cases(self) -> dict[str, Flags]:
        test = (self.frame["split"] == "test").to_numpy()
        inside = self.frame["cohort"].is_in(self.trained()).to_numpy()
        by_name = {self.internal_name(): test & inside}
        for cohort in self.frame.filter(pl.Series(test & ~inside))["cohort"].unique().sort():
            by_name[cohort] = test & (self.frame["cohort"] == cohort).to_numpy()
        return {name: cases for name, cases in by_name.items() if cases.any()}

    def internal_name(self) -> str:
        """Name of the training cohorts as a test set: the only one's, or `internal`."""
        trained = self.trained()
        return trained[0] if len(trained) == 1 else INTERNAL

    def trained(self) -> list[str]:
        """The training cohorts: those with a tuning split."""
        return [*self._trained]

    @cached_property
    def _trained(self) -> list[str]:
        return self.frame.filter(pl.col("split") == TUNE)["cohort"].unique().sort().to_list()

    def tuned(self) -> Flags:
        """Cases of the tuning split. [N]"""
        return (self.frame["split"] == TUNE).to_numpy()

    def labelled(self, target: int) -> Flags:
        """Cases whose target is a plain 0 or 1: masked and soft ones are left out. [N]

        For `WHOLE_CASE` those of a single-label task whose class is known.
        """
        if target == WHOLE_CASE:
            return ((self.targets == 0) | (self.targets == 1)).all(axis=1)
        column = self.targets[:, target]
        return (column == 0) | (column == 1)

    def truth(self, target: int) -> NDArray[np.int64]:
        """Labels of a target, or the true classes; of an unlabelled case without meaning. [N]"""
        if target == WHOLE_CASE:
            return np.nan_to_num(self.targets, nan=0.0).argmax(axis=1)
        return np.nan_to_num(self.targets[:, target], nan=0.0).astype(np.int64)

    def scores(self, target: int) -> Floats:
        """Logits of a target [N], or of all classes [N, T]."""
        return self.logits if target == WHOLE_CASE else self.logits[:, target]

    def probabilities_of(self, target: int) -> Floats:
        """Probabilities of a target [N], or of all classes [N, T]."""
        return self.probabilities if target == WHOLE_CASE else self.probabilities[:, target]

    def patients(self, rows: Flags) -> int:
        """Patients behind some of the cases."""
        return len(np.unique(self.patient[rows]))

    @cached_property
    def patient(self) -> NDArray[np.int64]:
        """Number of each case's patient. [N]"""
        ids = self.frame["patient_id"].to_numpy().astype(np.str_)
        return np.unique(ids, return_inverse=True)[1].ravel()


def run_arrays(predictions: pl.DataFrame, task: Task) -> RunArrays:
    """Arrays of one run's predictions.

    Args:
        predictions: Rows of one run; every member has the same cases.
        task: How the targets relate to each other.

    Raises:
        TableError: There are several runs, members with other cases or other targets, or a target
            or a shifted cohort has a name that stands for several in the results.
    """
    if (count := predictions["run_id"].n_unique()) != 1:
        raise TableError(f"Scoring takes one run_id at a time; the table holds {count}.")
    names = tuple(target_names(predictions))
    tables = predictions.sort("member", "case_id").partition_by("member", maintain_order=True)
    frame = tables[0]
    ids = ["case_id", "patient_id", "cohort", "split"]
    shared = [*ids, *(f"target_{name}" for name in names)]
    if not all(table.select(shared).equals(frame.select(shared)) for table in tables[1:]):
        raise TableError(
            f"The {len(tables)} members of run '{frame['run_id'][0]}' do not have the same cases "
            "with the same targets, patients, cohorts and splits. An ensemble's members must all "
            "predict the same cases."
        )
    targets = frame.select(pl.col(f"target_{name}").fill_null(np.nan) for name in names)
    logits = np.stack(
        [
            table.select(f"logit_{name}" for name in names).to_numpy().astype(np.float64)
            for table in tables
        ]
    )
    ood_scores = [
        pl.Series(name, np.mean([table[name].to_numpy() for table in tables], axis=0))
        for name in frame.columns
        if name.startswith(OOD_PREFIX)
    ]
    mean, probabilities, spread = _combined(logits, single_label=task == "single-label")
    run = RunArrays(
        run_id=str(frame["run_id"][0]),
        task=task,
        names=names,
        frame=frame.select(ids).with_columns(ood_scores),
        targets=targets.to_numpy().astype(np.float64),
        logits=mean,
        probabilities=probabilities,
        members=len(tables),
        spread=spread,
    )
    _check_names(run)
    return run


def _check_names(run: RunArrays) -> None:
    """Refuse names that have another meaning in the results."""
    if taken := [name for name in run.names if name in (MACRO, MICRO, CASE)]:
        raise TableError(
            f"Target '{taken[0]}' has a name that stands for all targets in the results (not "
            f"allowed: {MACRO}, {MICRO}, {CASE}). Give the target another name."
        )
    trained = run.trained()
    if len(trained) > 1 and INTERNAL in set(run.frame["cohort"]) - set(trained):
        raise TableError(
            f"Cohort '{INTERNAL}' has no tuning split, and the {len(trained)} cohorts that have "
            f"one are together called '{INTERNAL}' in the results. Give the cohort another name."
        )


def ensemble_logits(logits: Floats, *, single_label: bool) -> Floats:
    """Logits of an ensemble of networks, as `RunArrays.logits` has them. [N, T]

    Args:
        logits: Of its members. [M, N, T]
        single_label: True if each case has one class of several.
    """
    return _combined(logits, single_label=single_label)[0]


def _combined(logits: Floats, *, single_label: bool) -> tuple[Floats, Floats, dict[str, Floats]]:
    """Logits and probabilities of the mean of the members, and their disagreement. [M, N, T]"""
    each = np.stack([probabilities_of(member, single_label=single_label) for member in logits])
    if len(logits) == 1:
        return logits[0], each[0], {}
    mean: Floats = each.mean(axis=0)
    if single_label:
        spread = _spread(each, mean)
        every = {
            name: np.repeat(value[:, None], mean.shape[1], 1) for name, value in spread.items()
        }
        # the softmax takes no notice of the level; calibrators and detectors do
        level = np.asarray(logsumexp(logits, axis=-1, keepdims=True)).mean(axis=0)
        return _log_mean(np.asarray(log_softmax(logits, axis=-1))) + level, mean, every
    # by logarithms: cases whose mean rounds to 1 keep their order
    both = _log_mean(log_expit(logits)) - _log_mean(log_expit(-logits))
    # the positive class first, which is the answer at ½
    two = np.stack([each, 1 - each], axis=-1)
    return both, mean, _spread(two, two.mean(axis=0))


def _log_mean(logs: Floats) -> Floats:
    """Log of the mean over members of numbers given by their logs. [M, …] to […]"""
    return np.asarray(logsumexp(logs, axis=0)) - np.log(len(logs))


def _spread(each: Floats, mean: Floats) -> dict[str, Floats]:
    """Disagreement of the members. [M, …, C] members, [… , C] mean -> each […]"""
    answers: NDArray[np.int64] = each.argmax(axis=-1)
    uncertain: Floats = entr(mean).sum(axis=-1) - entr(each).sum(axis=-1).mean(axis=0)
    return {
        "disagreement": (answers != mean.argmax(axis=-1)).mean(axis=0),
        "mutual_information": np.maximum(uncertain, 0.0),
        "diversity": each.var(axis=0).sum(axis=-1),
    }
