"""Judgement and verdict at another hospital, on numbers by hand and on tables of known truth."""

import math
from typing import get_args

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from tests.prediction_tables import Site, binary_table, class_table

from medtransfer.deploy.validation.config import ValidationConfig
from medtransfer.deploy.validation.from_predictions import validate_predictions
from medtransfer.deploy.validation.judgement import Judgement, Measured, Side, judge
from medtransfer.deploy.validation.verdict import VerdictAnswer, decide
from medtransfer.errors import ConfigError, TableError
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.adaptation.network_thresholds import network_threshold
from medtransfer.posthoc.calibrators import Calibrator, Isotonic, Platt, Temperature
from medtransfer.statistics.small_samples import wilson_interval

QUICK = EvaluationConfig(replicates=60, decision_thresholds=())
HOME = {"home": Site(patients={"tune": 300, "test": 900}, prevalence=0.4)}


def share(value: float, patients: int, positives: int | None = None) -> Measured:
    low, high = wilson_interval(value, patients)
    return Measured(value, low, high, patients, patients, positives)


def hospital(
    patients: int, *, move: float = 0.0, separation: float = 1.5, seed: int = 7
) -> pl.DataFrame:
    site = Site(patients={"test": patients}, prevalence=0.4, separation=separation)
    frame = binary_table({"south": site}, seed=seed)
    return frame.with_columns(pl.col("logit_x") + move)


@pytest.fixture(scope="module")
def home() -> pl.DataFrame:
    return binary_table(HOME, seed=3)


def judged(promised: Measured, here: Measured, margin: float = 0.1, tests: int = 1) -> Judgement:
    return judge("sensitivity@sens90", "x", promised, here, margin=margin, tests=tests)


def test_a_difference_has_newcombes_interval() -> None:
    """Method 10 of Newcombe 1998, its example 56/70 against 48/80."""
    made = judged(share(48 / 80, 80), share(56 / 70, 70))
    assert made.difference == pytest.approx(0.2)
    assert (made.low, made.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert made.side == "above"


def test_the_side_is_where_the_interval_lies() -> None:
    promised = share(0.9, 2000)
    assert judged(promised, share(0.9, 500)).side == "above"
    assert judged(promised, share(0.6, 500)).side == "below"
    assert judged(promised, share(0.8, 100)).side == "unclear"


def test_a_failure_is_corrected_for_the_metrics_judged_together() -> None:
    promised, here = share(0.9, 5000), share(0.75, 260)
    assert judged(promised, here).high == pytest.approx(-0.1, abs=0.006)
    assert judged(promised, here, tests=1).side == "below"
    assert judged(promised, here, tests=20).side == "unclear"


def test_the_number_needed_is_enough_in_four_of_five_hospitals() -> None:
    """Draws of a hospital as good as promised, of the size that the judgement asks for."""
    promised = share(0.9, 3000)
    asked = judged(promised, share(0.88, 60))
    assert asked.side == "unclear"
    assert asked.needed is not None
    rng = np.random.default_rng(0)
    shown = 0
    for hits in rng.binomial(asked.needed, 0.9, 400):
        shown += judged(promised, share(hits / asked.needed, asked.needed)).side == "above"
    assert 0.75 <= shown / 400 <= 0.97


def test_no_number_is_given_where_the_promise_is_too_vague() -> None:
    made = judged(share(0.9, 40), share(0.9, 40), margin=0.05)
    assert made.needed is None
    expected = "no number of patients decides: the interval of the promise alone is too wide"
    assert made.reason is not None
    assert made.reason.startswith(expected)


def test_a_metric_without_an_interval_is_planned_by_its_formula() -> None:
    promised = share(0.9, 3000)
    here = Measured(None, None, None, 30, 30, 3, "no interval: a share of fewer than 5 patients")
    made = judged(promised, here)
    allowed = (0.1 / (1.959964 + 0.841621)) ** 2 - ((promised.high or 0) - 0.9) ** 2 / 1.959964**2
    assert made.needed == math.ceil(0.09 / allowed / 0.1)
    assert made.reason == "this hospital: no interval: a share of fewer than 5 patients"


def test_a_hospital_without_a_positive_case_is_planned_by_what_it_leaves_possible() -> None:
    """Of 60 cases without one, at most 3 are positive in truth: 5 % in place of a promised 40 %."""
    promised = Measured(0.9, 0.89, 0.91, 3000, 3000, 1200, None)
    none, some = (
        Measured(None, None, None, 60, 60, positives, "no positive case") for positives in (0, 3)
    )
    assert judged(promised, none).needed == judged(promised, some).needed
    few = Measured(None, None, None, 4, 4, 0, "no positive case")
    like_home = Measured(None, None, None, 5, 5, 2, "no interval: a share of fewer than 5 patients")
    assert judged(promised, few).needed == judged(promised, like_home).needed


def of_side(side: Side, needed: int | None = None) -> Judgement:
    blank = share(0.9, 100)
    return Judgement("auroc", "x", blank, blank, 0.0, -0.1, 0.1, side, needed)


@pytest.mark.parametrize(
    ("carried", "again", "answer"),
    [
        (["above", "above"], [], "holds"),
        (["above", "unclear"], [], "too few cases to say"),
        (["above", "unclear"], ["above", "above"], "holds after recalibration"),
        (["above", "below"], ["above", "above"], "holds after recalibration"),
        (["above", "below"], ["above", "unclear"], "does not hold"),
        (["below", "unclear"], [], "does not hold"),
        ([], [], "too few cases to say"),
    ],
)
def test_the_answer_is_one_of_four(
    carried: list[Side], again: list[Side], answer: VerdictAnswer
) -> None:
    made = decide([of_side(side) for side in carried], [of_side(side) for side in again])
    assert made.answer == answer
    assert answer in get_args(VerdictAnswer)


def test_the_number_needed_is_that_of_the_metric_that_needs_most() -> None:
    sides = [of_side("unclear", 300), of_side("unclear", 900), of_side("above")]
    assert decide(sides, []).needed == 900
    assert decide([*sides, of_side("unclear")], []).needed is None


def test_a_hospital_like_home_holds(home: pl.DataFrame) -> None:
    config = ValidationConfig(margin=0.15)
    made = validate_predictions(home, hospital(900), "binary", evaluation=QUICK, config=config)
    assert made.verdict.answer == "holds"
    assert made.recalibration is None
    assert [j.metric for j in made.verdict.carried] == [
        "auroc",
        "sensitivity@sens90",
        "specificity@sens90",
    ]


def test_lower_logits_hold_after_recalibration_judged_on_other_patients(
    home: pl.DataFrame,
) -> None:
    config = ValidationConfig(margin=0.15, fit_patients=150)
    here = hospital(900, move=-1.5)
    made = validate_predictions(home, here, "binary", evaluation=QUICK, config=config)
    assert made.verdict.answer == "holds after recalibration"
    assert made.recalibration is not None
    assert made.recalibration.fit_patients == 150
    after = {j.metric: j for j in made.verdict.recalibrated}
    assert after["specificity@sens90"].here.cases + after["sensitivity@sens90"].here.cases == 1500
    before = {j.metric: j for j in made.verdict.carried}
    assert before["sensitivity@sens90"].side == "below"
    # the order of the cases cannot change, so the AUROC is of all patients
    assert after["auroc"] == before["auroc"]


def test_a_lost_signal_does_not_hold(home: pl.DataFrame) -> None:
    here = hospital(600, separation=0.3)
    made = validate_predictions(home, here, "binary", evaluation=QUICK)
    assert made.verdict.answer == "does not hold"
    assert made.verdict.needed is None


def test_one_class_alone_is_too_few_to_say_and_the_reason_is_given(home: pl.DataFrame) -> None:
    here = hospital(60).with_columns(target_x=pl.lit(0.0))
    config = ValidationConfig(margin=0.2)
    made = validate_predictions(home, here, "binary", evaluation=QUICK, config=config)
    assert made.verdict.answer == "too few cases to say"
    auroc = made.verdict.carried[0]
    assert auroc.reason == "this hospital: no positive case"
    assert made.verdict.needed is not None


def test_several_targets_and_classes_are_judged_by_their_means() -> None:
    sites = {**HOME, "south": Site(patients={"test": 300}, prevalence=0.4)}
    frames = {
        "multi-label": binary_table(sites, targets=("x", "y")),
        "single-label": class_table(sites),
    }
    for task, frame in frames.items():
        south = frame.filter(pl.col("cohort") == "south")
        rest = frame.filter(pl.col("cohort") == "home")
        made = validate_predictions(rest, south, task, evaluation=QUICK)  # type: ignore[arg-type] — a task
        assert {j.target for j in made.verdict.carried} == {"macro"}
        assert all(j.difference is not None for j in made.verdict.carried)


def test_a_hospital_of_the_same_name_and_numbers_is_kept_apart(home: pl.DataFrame) -> None:
    here = hospital(300).with_columns(
        cohort=pl.lit("home"),
        case_id=pl.col("case_id").str.replace("south", "home"),
        patient_id=pl.col("patient_id").str.replace("south", "home"),
    )
    made = validate_predictions(home, here, "binary", evaluation=QUICK)
    assert made.network.hospital == "home"
    assert made.network.run.internal_name() == "home (promised)"
    assert made.network.cases.sum() == 300
    assert made.network.promised_cases.sum() == 900


def test_what_does_not_fit_is_refused(home: pl.DataFrame) -> None:
    here = hospital(50)
    two = pl.concat([here, here.with_columns(cohort=pl.lit("west"))])
    with pytest.raises(TableError, match="of 2 cohorts: south, west"):
        validate_predictions(home, two, "binary")
    blank = here.with_columns(target_x=pl.lit(None, dtype=pl.Float64))
    with pytest.raises(TableError, match=r"No case has a label.*Add the target columns \(x\)"):
        validate_predictions(home, blank, "binary")
    renamed = here.rename({"target_x": "target_y", "logit_x": "logit_y"})
    with pytest.raises(TableError, match="have the targets y, and the network has x"):
        validate_predictions(home, renamed, "binary")
    config = ValidationConfig(judged=("sensitivity@spec80",))
    with pytest.raises(ConfigError, match="judged names sensitivity@spec80, but the network has"):
        validate_predictions(home, here, "binary", config=config)


def test_detectors_that_one_side_lacks_are_left_out_and_named(home: pl.DataFrame) -> None:
    scored = home.with_columns(ood_energy=pl.col("logit_x"), ood_knn=pl.col("logit_x"))
    here = hospital(60).with_columns(ood_energy=pl.col("logit_x"))
    made = validate_predictions(scored, here, "binary", evaluation=QUICK)
    assert made.network.left_out == ("knn",)


CALIBRATORS: list[Calibrator] = [
    Temperature(2.0),
    Platt(0.6, -0.4),
    Isotonic(np.array([-2.0, -0.5, 0.1, 1.5]), np.array([0.1, 0.3, 0.3, 0.8])),
]


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=lambda c: type(c).__name__)
@given(threshold=st.floats(0.01, 0.99), logits=st.lists(st.floats(-6, 6), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_a_threshold_on_the_networks_probability_calls_the_same_cases(
    calibrator: Calibrator, threshold: float, logits: list[float]
) -> None:
    z: Floats = np.array(logits)
    edge = network_threshold(calibrator, threshold)
    assert edge is not None
    calibrated = calibrator.probabilities(z)
    clear = np.abs(calibrated - threshold) > 1e-9
    assert ((expit(z) >= edge) == (calibrated >= threshold))[clear].all()


def test_no_threshold_does_the_same_where_the_order_is_turned_round() -> None:
    assert network_threshold(Platt(-1.0, 0.0), 0.5) is None
