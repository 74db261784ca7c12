"""Error rates of the four verdicts, by simulation.

    python -m tests.deploy.validation.test_verdict_levels 500

prints the table of docs/explanation/adaptation.md. Evidence is N(d, 1) for positives and N(0, 1)
for negatives, so the true AUROC, sensitivity and specificity of every fitted threshold are known.
"""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm

from medtransfer.deploy.validation.config import ValidationConfig
from medtransfer.deploy.validation.from_predictions import LocalValidation, validate_predictions
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.adaptation.network_thresholds import network_threshold

MARGIN, SEPARATION, PREVALENCE = 0.1, 1.8, 0.3
TUNE, TEST = 500, 1000


@dataclass(frozen=True)
class Hospital:
    """Truth of a hospital: evidence, and a line that its logits are moved by."""

    separation: float = SEPARATION
    prevalence: float = PREVALENCE
    slope: float = 1.0
    shift: float = 0.0

    def logits(self, evidence: Floats) -> Floats:
        home = SEPARATION * evidence - SEPARATION**2 / 2 + logit(PREVALENCE)
        return self.slope * home + self.shift

    def called(self, threshold: float) -> tuple[float, float]:
        """True sensitivity and specificity of a threshold on the network's probability."""
        home = (logit(threshold) - self.shift) / self.slope
        evidence = (home - logit(PREVALENCE) + SEPARATION**2 / 2) / SEPARATION
        return float(norm.sf(evidence - self.separation)), float(norm.cdf(evidence))

    @property
    def auroc(self) -> float:
        return float(norm.cdf(self.separation / np.sqrt(2)))


def predictions(hospital: Hospital, splits: dict[str, int], cohort: str, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    number = sum(splits.values())
    ill = rng.random(number) < hospital.prevalence
    evidence = rng.normal(hospital.separation * ill, 1)
    return pl.DataFrame(
        {
            "run_id": "net",
            "member": 0,
            "case_id": [f"{cohort}{i}" for i in range(number)],
            "patient_id": [f"{cohort}{i}" for i in range(number)],
            "cohort": cohort,
            "split": [split for split, count in splits.items() for _ in range(count)],
            "target_x": ill.astype(float),
            "logit_x": hospital.logits(evidence),
        }
    )


def with_auroc(auroc: float) -> float:
    return float(np.sqrt(2) * norm.ppf(auroc))


def lost_sensitivity(threshold: float) -> Hospital:
    """The same evidence, logits lowered until the sensitivity is just the margin too low."""
    home = Hospital()
    wanted = home.called(threshold)[0] - MARGIN
    shift = brentq(lambda s: Hospital(shift=s).called(threshold)[0] - wanted, -5, 5)
    return Hospital(shift=float(shift))


SCENES: dict[str, Callable[[float], Hospital]] = {
    "as promised": lambda _t: Hospital(),
    "sensitivity at the margin": lost_sensitivity,
    "AUROC at the margin": lambda _t: Hospital(with_auroc(Hospital().auroc - MARGIN)),
    "AUROC at the margin, logits lower": lambda _t: Hospital(
        with_auroc(Hospital().auroc - MARGIN), shift=-1.0
    ),
    "logits lower by 1": lambda _t: Hospital(shift=-1.0),
    "AUROC lower by 0.2": lambda _t: Hospital(with_auroc(Hospital().auroc - 0.2)),
}


def one(scene: str, patients: int, seed: int) -> tuple[str, bool]:
    """A verdict, and whether the claim in it is false."""
    home = predictions(Hospital(), {"tune": TUNE, "test": TEST}, "home", 2 * seed)
    tune = home.filter(pl.col("split") == "tune", pl.col("target_x") == 1)["logit_x"].sort()
    threshold = float(expit(tune[int(np.floor(0.1 * len(tune) + 1e-9))]))
    hospital = SCENES[scene](threshold)
    here = predictions(hospital, {"test": patients}, "there", 2 * seed + 1)
    made = validate_predictions(
        home,
        here,
        "binary",
        evaluation=EvaluationConfig(replicates=300, decision_thresholds=(), seed=seed),
        config=ValidationConfig(margin=MARGIN, seed=seed),
    )
    return made.verdict.answer, is_false(made, hospital, threshold)


def is_false(made: LocalValidation, hospital: Hospital, threshold: float) -> bool:
    """A verdict of holding where a true value is the margin too low, or the other way round."""
    promised = (Hospital().auroc, *Hospital().called(threshold))
    if made.verdict.answer == "holds after recalibration":
        here = (hospital.auroc, *recalibrated(made, hospital, threshold))
    else:
        here = (hospital.auroc, *hospital.called(threshold))
    losses = [p - h for p, h in zip(promised, here, strict=True)]
    if made.verdict.answer == "does not hold":
        return max(losses) <= MARGIN + 1e-9
    return made.verdict.answer.startswith("holds") and max(losses) >= MARGIN - 1e-9


def recalibrated(
    made: LocalValidation, hospital: Hospital, threshold: float
) -> tuple[float, float]:
    """True sensitivity and specificity after the recalibration that was fitted."""
    assert made.recalibration is not None
    adapted = made.recalibration.adapted[0]
    edge = adapted.thresholds["sens90"]
    if edge is None:
        return hospital.called(threshold)
    return hospital.called(
        edge if adapted.on_network else network_threshold(adapted.calibrator, edge) or 1.0
    )


def rates(scene: str, patients: int, simulations: int) -> tuple[Counter[str], float]:
    answers: Counter[str] = Counter()
    false = 0
    for seed in range(simulations):
        answer, wrong = one(scene, patients, seed)
        answers[answer] += 1
        false += wrong
    return answers, false / simulations


@pytest.mark.slow
@pytest.mark.parametrize("scene", [name for name in SCENES if "margin" in name])
def test_false_verdicts_are_as_rare_as_promised(scene: str) -> None:
    _, false = rates(scene, 400, 150)
    assert false <= 0.08  # 5 % and two standard errors of 150 simulations


if __name__ == "__main__":
    for scene in SCENES:
        for patients in (150, 600):
            answers, false = rates(scene, patients, int(sys.argv[1]))
            total = sum(answers.values())
            order = ("holds", "holds after recalibration", "does not hold", "too few cases to say")
            shares = " | ".join(f"{100 * answers[answer] / total:.1f}" for answer in order)
            print(f"| {scene} | {patients} | {shares} | {100 * false:.1f} |", flush=True)
