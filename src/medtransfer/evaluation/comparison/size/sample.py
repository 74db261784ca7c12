"""Labelled test cases of a target, measured for the sample size that its precision needs."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.evaluation.comparison.size.goals import ExpectedPerformance
from medtransfer.evaluation.scoring.run import RunArrays
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.posthoc.target_fit import fit_thresholds
from medtransfer.statistics.delong import delong
from medtransfer.statistics.sample_size import design_effect, slope_influence
from medtransfer.statistics.small_samples import MIN_BOOTSTRAP


class DesignEffects(NamedTuple):
    """Design effects of the estimates."""

    auroc: float
    sensitivity: float
    specificity: float
    slope: float
    mean: float

    @classmethod
    def same(cls, effect: float) -> "DesignEffects":
        """One design effect for all estimates."""
        return cls(effect, effect, effect, effect, effect)


@dataclass(frozen=True)
class Sample:
    """Labelled test cases of a target.

    Attributes:
        run: The predictions.
        rows: Mask of the cases over the run's cases. [N]
        target: Number of the target.
        point: Operating point of sensitivity and specificity.
    """

    run: RunArrays
    rows: Flags
    target: int
    point: str

    @property
    def truth(self) -> NDArray[np.int64]:
        """Labels. [n]"""
        return self.run.truth(self.target)[self.rows]

    @property
    def logits(self) -> Floats:
        """Scores; in single-label tasks logits of the class's probability. [n]"""
        if not self.run.single_label:
            return self.run.scores(self.target)[self.rows]
        p = np.clip(self.probabilities, 1e-12, 1 - 1e-12)
        return np.log(p) - np.log1p(-p)

    @property
    def patient(self) -> NDArray[np.int64]:
        """Patient of each case, as numbers. [n]"""
        ids = self.run.frame["patient_id"].to_numpy().astype(np.str_)[self.rows]
        return np.unique(ids, return_inverse=True)[1].ravel().astype(np.int64)

    @property
    def has_both(self) -> bool:
        """True if there are positives and negatives."""
        return len(np.unique(self.truth)) == 2

    def cautions(self, title: str) -> list[str]:
        """Sentences on a class of so few patients that what is measured on it is hardly known."""
        return [
            f"{title}: measured on fewer than {MIN_BOOTSTRAP} patients with a {side} case, so its "
            "sizes are guesses: give plausible values, as --auroc 0.8 and --design-effect 1."
            for side, label in (("positive", 1), ("negative", 0))
            if len(np.unique(self.patient[self.truth == label])) < MIN_BOOTSTRAP
        ]

    @cached_property
    def called(self) -> Flags | None:
        """True for cases over the operating point's threshold; None if tune fixes none. [n]"""
        run, tuned = self.run, self.run.tuned() & self.run.labelled(self.target)
        fit = fit_thresholds(
            run.truth(self.target)[tuned],
            run.probabilities_of(self.target)[tuned],
            splits=run.splits[tuned],
            points=(self.point,),
            patients=run.frame["patient_id"].to_numpy().astype(np.str_)[tuned],
        )
        threshold = fit.thresholds[self.point]
        return None if threshold is None else self.probabilities >= threshold

    @property
    def probabilities(self) -> Floats:
        """Probabilities of the target. [n]"""
        return self.run.probabilities_of(self.target)[self.rows]

    def rates(self, threshold: float) -> tuple[float, float]:
        """Sensitivity and specificity at a threshold on the probability."""
        called = self.probabilities >= threshold
        return float(called[self.truth == 1].mean()), float((~called)[self.truth == 0].mean())

    def performance(self, expected: ExpectedPerformance) -> ExpectedPerformance:
        """Performance to expect, completed by what the sample shows."""
        truth, called = self.truth, self.called
        shown = {
            "prevalence": float(truth.mean()),
            "auroc": float(delong(truth, self.logits[None]).values[0]),
        }
        if called is not None:
            shown["sensitivity"] = float(called[truth == 1].mean())
            shown["specificity"] = float((~called)[truth == 0].mean())
        shown["cases_per_patient"] = len(truth) / (int(self.patient.max()) + 1)
        return expected.completed(shown)

    def effects(self, given: float | None = None) -> DesignEffects:
        """Design effects of the estimates, measured unless one is given."""
        if given is not None:
            return DesignEffects.same(given)
        truth, patient, called = self.truth, self.patient, self.called
        clustered = delong(truth, self.logits[None], patient).covariance[0, 0]
        independent = delong(truth, self.logits[None]).covariance[0, 0]
        ratio = clustered / independent if independent > 0 else np.nan
        sensitivity = specificity = 1.0
        if called is not None:
            sensitivity, specificity = (
                _proportion_effect(hits, patient, truth == label)
                for label, hits in ((1, called), (0, ~called))
            )
        try:
            slope = design_effect(slope_influence(truth, self.logits)[2], patient)
        except ValueError:
            slope = 1.0
        mean = design_effect(truth - truth.mean(), patient)
        auroc = max(1.0, float(ratio)) if np.isfinite(ratio) else mean
        return DesignEffects(auroc, sensitivity, specificity, slope, mean)


def _proportion_effect(hits: Flags, patient: NDArray[np.int64], counted: Flags) -> float:
    """Design effect of the share of hits among the cases that count."""
    values = hits[counted].astype(np.float64)
    return design_effect(values - values.mean(), patient[counted])


def common_cases(
    sample: Sample, other: RunArrays
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]] | None:
    """Labels [n], scores of both [2, n] and patients [n] of the cases that both rungs have."""
    title = sample.run.names[sample.target]
    if title not in other.names:
        return None
    target = other.names.index(title)
    second = Sample(other, other.labelled(target), target, sample.point)
    ours, theirs = (
        pl.DataFrame(
            {
                "case_id": part.run.frame.filter(pl.Series(part.rows))["case_id"],
                "score": part.logits,
                "truth": part.truth,
                "patient": part.patient,
            }
        )
        for part in (sample, second)
    )
    both = ours.join(theirs.select("case_id", second="score"), on="case_id")
    if both["truth"].n_unique() < 2:
        return None
    patient = np.unique(both["patient"].to_numpy(), return_inverse=True)[1].ravel()
    scores = both.select("score", "second").to_numpy().T
    return both["truth"].to_numpy(), scores, patient.astype(np.int64)
