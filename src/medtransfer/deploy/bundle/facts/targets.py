"""Facts of a target in ``bundle.json``: fits on the tuning split, and promised numbers."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from medtransfer.data.config import LevelRule, Policy
from medtransfer.posthoc.calibrators import CalibratorKind
from medtransfer.posthoc.conformal import Condition, ScoreKind

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
Text = Annotated[str, Field(max_length=10_000)]
ShortName = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Split = Literal["tune", "test"]


@dataclass(frozen=True, config=STRICT)
class CalibratorFacts:
    """A calibrator: a map from logits to probabilities.

    Attributes:
        kind: Its family.
        parameters: By the names that `posthoc.calibrators` gives them; a single number is a list
            of one.
    """

    kind: CalibratorKind
    parameters: dict[ShortName, tuple[float, ...]]


@dataclass(frozen=True, config=STRICT)
class SetFacts:
    """Prediction sets of one method.

    Attributes:
        method: `split`, `class`, `aps` or `raps`.
        alpha: Largest allowed probability that the set misses the true class.
        score: Nonconformity score.
        penalty: Of each rank after the free ones, for `raps`.
        free_ranks: Ranks without a penalty, for `raps`.
        condition: Cases that share a threshold.
        names: Of the thresholds.
        thresholds: Largest score still in the set; None for infinite: tune had too few cases.
        counts: Tuning cases behind each.
    """

    method: ShortName
    alpha: Annotated[float, Field(gt=0, lt=1)]
    score: ScoreKind
    penalty: float
    free_ranks: Count
    condition: Condition
    names: tuple[ShortName, ...]
    thresholds: tuple[float | None, ...]
    counts: tuple[Count, ...]


@dataclass(frozen=True, config=STRICT)
class TargetFacts:
    """Fits on the tuning split for one target, or for the case as a whole.

    Attributes:
        name: Of the target; `case` for the case as a whole in single-label tasks.
        uncertain: Label policy of the study for -1.
        empty: Label policy of the study for an empty cell.
        prevalence: Share of positives in tune; None if tune lacks a class.
        thresholds: Operating point to the probability, before calibration, from which a case is
            called positive; None if tune does not determine one.
        calibrators: Every one that tune determines.
        calibrator: The one that predictions report; None if tune does not determine it.
        sets: Prediction sets.
        missing: Calibrator, operating point or `sets` to why tune does not determine it.
    """

    name: ShortName
    uncertain: Policy
    empty: Policy
    prevalence: Annotated[float, Field(ge=0, le=1)] | None
    thresholds: dict[ShortName, Annotated[float, Field(ge=0, le=1)] | None]
    calibrators: tuple[CalibratorFacts, ...]
    calibrator: CalibratorKind | None
    sets: tuple[SetFacts, ...]
    missing: dict[ShortName, Text]


@dataclass(frozen=True, config=STRICT)
class PromisedNumber:
    """A number that the bundle's own study measured.

    Attributes:
        split: `tune` or `test`.
        cohort: Test set.
        target: The target, or `macro`, `micro`, `case`.
        metric: As in the results table, e.g. `sensitivity@sens90`.
        value: None if undefined.
        low: Lower end of its 95 % interval.
        high: Upper end.
        cases: Number of cases.
        patients: Number of patients.
        positives: Number of positive cases.
        reason: Reason if the value or its interval is missing.
    """

    split: Split
    cohort: ShortName
    target: ShortName
    metric: ShortName
    value: float | None
    low: float | None
    high: float | None
    cases: Count
    patients: Count
    positives: Count | None
    reason: Text | None


@dataclass(frozen=True, config=STRICT)
class LevelFacts:
    """Units of several cases, as exams of two breasts, and how they are predicted.

    Attributes:
        name: Column of the study whose equal values made cases one unit.
        rule: `max`: the highest logit of the cases; `mean`: the logit of the mean of their
            probabilities.
        targets: Fits on the units of the tuning split, in the order of the bundle's targets.
        promises: Numbers of the study's own units.
    """

    name: ShortName
    rule: LevelRule
    targets: Annotated[tuple[TargetFacts, ...], Field(min_length=1, max_length=10_000)]
    promises: tuple[PromisedNumber, ...]
