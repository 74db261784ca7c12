"""What every metric of the catalogue keeps to, whatever the cases."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit
from tests.metrics.drawn_cases import (
    BOUND,
    KINDS,
    LAW,
    AnyCases,
    class_cases,
    drawn,
    drawn_targets,
    every_value,
    target_cases,
    truth_of,
    value,
    weights_of,
)

from medtransfer.metrics.cases import ClassCases, TargetCases
from medtransfer.metrics.catalog import CATALOG, find_metric
from medtransfer.metrics.kernels.sums import Floats

every_kind = pytest.mark.parametrize("kind", KINDS)
WITHIN = {"calibration_slope": 1e-8, "calibration_intercept": 1e-8, "ece_smooth": 1e-7}
"""To what a metric is known that is searched for; sums are known to 1e-12."""
MONOTONE: tuple[Callable[[Floats], Floats], ...] = (
    lambda x: 2 * x + 1,
    lambda x: x**3 + x,
    np.arctan,
    lambda x: np.exp(x) - 40,
)
OF_TRUTH_ALONE = {
    "prevalence",
    "brier_uncertainty",
    "net_benefit_all@risk20",
    "net_benefit_all@risk60",
}
Values = dict[str, Floats]


def assert_same(found: Values, expected: Values) -> None:
    assert found.keys() == expected.keys()
    for name, values in found.items():
        within = WITHIN.get(name, 1e-12)
        assert_allclose(values, expected[name], rtol=within, atol=within, err_msg=name)


def undefined(name: str, cases: AnyCases, weights: Floats) -> bool:
    """Whether the catalogue says that a metric has no value for some weights of the cases."""
    truth, needs = truth_of(cases), find_metric(name).needs
    if isinstance(cases, ClassCases):
        missing = set(truth[weights > 0]) != set(truth)
        return not weights.any() or (needs == "both" and missing)
    positives, negatives = int(weights[truth == 1].sum()), int(weights[truth == 0].sum())
    return find_metric(name).undefined(positives, negatives) is not None


def test_the_laws_leave_no_metric_out() -> None:
    assert {name for name, _ in BOUND} == set(CATALOG)
    assert set(EXTREMES) == set(BOUND)


@every_kind
@LAW
@given(data=st.data())
def test_order_of_cases_does_not_matter(kind: str, data: st.DataObject) -> None:
    cases = data.draw(drawn(kind))
    order = np.array(data.draw(st.permutations(range(len(cases)))))
    assert_same(every_value(cases.take(order)), every_value(cases))


@pytest.mark.slow
@every_kind
@LAW
@given(data=st.data())
def test_counting_every_case_more_often_changes_nothing(kind: str, data: st.DataObject) -> None:
    cases = data.draw(drawn(kind))
    count, once = len(cases), every_value(cases)
    for factor in (2.0, 0.25):
        assert_same(every_value(cases, np.full((1, count), factor)), once)
    assert_same(every_value(cases.take(np.repeat(np.arange(count), 2))), once)


@every_kind
@LAW
@given(data=st.data())
def test_a_whole_weight_is_that_many_copies(kind: str, data: st.DataObject) -> None:
    cases = data.draw(drawn(kind))
    weights = data.draw(weights_of(len(cases)))
    weighted = every_value(cases, weights[None])
    copies = every_value(cases.take(np.repeat(np.arange(len(cases)), weights.astype(np.int64))))
    if isinstance(cases, ClassCases) and undefined("balanced_accuracy", cases, weights):
        # the copies do not know of the class that they lack
        assert np.isnan(weighted["balanced_accuracy"])
        copies["balanced_accuracy"] = weighted["balanced_accuracy"]
    assert_same(weighted, copies)


@pytest.mark.slow
@every_kind
@LAW
@given(data=st.data())
def test_many_replicates_at_once_are_the_replicates_one_by_one(
    kind: str, data: st.DataObject
) -> None:
    cases = data.draw(drawn(kind))
    weights = np.stack([data.draw(weights_of(len(cases))) for _ in range(4)])
    together = every_value(cases, weights)
    assert {values.shape for values in together.values()} == {(4,)}
    for row in range(4):
        alone = every_value(cases, weights[row : row + 1])
        assert_same({name: values[row : row + 1] for name, values in together.items()}, alone)


@every_kind
@LAW
@given(data=st.data())
def test_values_stay_in_the_range_of_the_catalogue(kind: str, data: st.DataObject) -> None:
    for name, (found,) in every_value(data.draw(drawn(kind))).items():
        metric = find_metric(name)
        if not (metric.partial and np.isnan(found)):
            assert metric.low - 1e-12 <= found <= metric.high + 1e-12, name


@every_kind
@LAW
@given(data=st.data())
def test_a_perfect_prediction_is_at_least_as_good(kind: str, data: st.DataObject) -> None:
    noisy = data.draw(drawn(kind))
    best, found = every_value(predicted(noisy, right=True)), every_value(noisy)
    for name, (value_found,) in found.items():
        metric, best_value = find_metric(name), float(best[name][0])
        either = np.isnan([value_found, best_value]).any()
        if metric.better == "neither" or (metric.partial and either):
            continue
        gain = best_value - value_found if metric.better == "higher" else value_found - best_value
        assert gain >= -1e-12, name


@pytest.mark.parametrize("transform", MONOTONE)
@LAW
@given(cases=drawn_targets())
def test_ranking_metrics_see_the_order_of_scores_alone(
    transform: Callable[[Floats], Floats], cases: TargetCases
) -> None:
    moved, once = (
        every_value(target_cases(cases.targets, logits))
        for logits in (transform(cases.logits), cases.logits)
    )
    for name in once:
        if find_metric(name).ranking:
            assert_allclose(moved[name], once[name], rtol=0, atol=0, err_msg=name)


def test_other_metrics_see_more_than_the_order() -> None:
    rng = np.random.default_rng(0)
    targets = np.arange(60) % 3 // 2
    logits = rng.normal(targets - 0.5, 1.0)
    moved = [every_value(target_cases(targets, each)) for each in (logits, 3 * logits, logits - 2)]
    for name in moved[0]:
        if not find_metric(name).ranking and name not in OF_TRUTH_ALONE:
            assert len({float(values[name][0]) for values in moved}) > 1, name


@every_kind
@LAW
@given(data=st.data())
def test_a_replicate_without_the_cases_it_needs_is_undefined_and_only_then(
    kind: str, data: st.DataObject
) -> None:
    cases = data.draw(drawn(kind))
    weights = data.draw(weights_of(len(cases)))
    if isinstance(cases, TargetCases):
        left = data.draw(st.sampled_from([(True, False), (False, True), (True, True)]))
        weights = np.where(cases.targets == 1, left[0], left[1]) * (weights + 1)
    for name, (found,) in every_value(cases, weights[None]).items():
        if undefined(name, cases, weights):
            assert np.isnan(found), name
        elif not find_metric(name).partial:
            assert np.isfinite(found), name


@every_kind
def test_no_case_at_all_is_undefined_never_a_number(kind: str) -> None:
    cases = known_cases(kind)
    for found in (
        every_value(cases, np.zeros((1, len(cases)))),
        every_value(cases.take(np.array([], dtype=np.int64))),
    ):
        assert {name for name, values in found.items() if not np.isnan(values).all()} == set()
    assert {metric.undefined(0, 0) for metric in CATALOG.values()} == {"no labelled case"}


@every_kind
def test_every_metric_has_a_value_where_there_are_cases_enough(kind: str) -> None:
    rng = np.random.default_rng(1)
    truth = np.arange(200) % (2 if kind == "target" else 4)
    if kind == "target":
        found = every_value(target_cases(truth, rng.normal(truth - 0.5, 1.5)))
    else:
        found = every_value(class_cases(truth, rng.normal(np.eye(4)[truth], 1.0)))
    assert {name for name, values in found.items() if not np.isfinite(values).all()} == set()


@pytest.mark.parametrize("metric", CATALOG.values(), ids=CATALOG)
def test_the_reason_names_the_class_that_is_missing(metric) -> None:
    expected = {
        "case": (None, None),
        "positive": ("no positive case", None),
        "negative": (None, "no negative case"),
        "both": ("no positive case", "no negative case"),
    }[metric.needs]
    assert (metric.undefined(0, 3), metric.undefined(3, 0)) == expected
    assert metric.undefined(3, 3) is None


def known_cases(kind: str) -> AnyCases:
    """Two positives of eight; or classes 0, 0, 1, 2, 3. No logit tells anything."""
    if kind == "target":
        return target_cases(np.array([1, 1, 0, 0, 0, 0, 0, 0]), np.zeros(8))
    return class_cases(np.array([0, 0, 1, 2, 3]), np.zeros((5, 4)))


def predicted(cases: AnyCases, *, right: bool) -> AnyCases:
    """The same cases, predicted with certainty: as right or as wrong as can be."""
    if isinstance(cases, ClassCases):
        after_truth = (np.arange(4)[None, :] - cases.classes[:, None]) % 4
        logits = [80.0, -40.0, -60.0, -80.0] if right else [-80.0, 80.0, -40.0, -60.0]
        return class_cases(cases.classes, np.array(logits)[after_truth])
    sure = np.where(cases.targets == 1, 80.0, -80.0)
    return target_cases(cases.targets, sure if right else -sure)


NAN, INF = np.nan, -np.log(np.finfo(float).eps)
"""Undefined, and what a probability of 0 for the truth costs."""
PLATT, BETA = float(expit(-0.2)), float(expit(0.1))
"""What these calibrators make of a logit of 0 in `target_cases`."""


def constant_nll(p: float) -> float:
    return -0.25 * np.log(p) - 0.75 * np.log(1 - p)


def constant_brier(p: float) -> float:
    return 0.25 * (1 - p) ** 2 + 0.75 * p**2


EXTREMES: dict[tuple[str, str], tuple[float, float, float]] = {
    ("auroc", "target"): (1, 0, 0.5),
    ("auprc", "target"): (1, 0.25, 0.25),
    # no area below 0.2 where all negatives come first: ½ (1 − 0.02 / 0.18)
    ("auroc_fpr20", "target"): (1, 4 / 9, 0.5),
    ("auprc_adjusted", "target"): (1, 0.3, 0.3),
    ("balanced_accuracy", "target"): (1, 0, 0.5),
    ("balanced_accuracy", "classes"): (1, 0, 0.25),
    ("top3_accuracy", "classes"): (1, 0, 0.8),
    ("prevalence", "target"): (0.25, 0.25, 0.25),
    ("accuracy", "target"): (1, 0, 0.25),
    ("accuracy", "classes"): (1, 0, 0.4),
    ("sensitivity@<point>", "target"): (1, 0, 0),
    ("specificity@<point>", "target"): (1, 0, 1),
    ("ppv@<point>", "target"): (1, 0, NAN),
    ("npv@<point>", "target"): (1, 0, 0.75),
    ("f1@<point>", "target"): (1, 0, 0),
    ("balanced_accuracy@<point>", "target"): (1, 0, 0.5),
    ("predicted_prevalence@<point>", "target"): (0.25, 0.75, 0),
    ("ppv_adjusted@<point>", "target"): (1, 0, NAN),
    ("npv_adjusted@<point>", "target"): (1, 0, 0.7),
    ("underdiagnosis@<point>", "target"): (0, 1, 1),
    ("mcc@<point>", "target"): (1, -1, NAN),
    ("lr_positive@<point>", "target"): (NAN, 0, NAN),
    ("lr_negative@<point>", "target"): (0, NAN, 1),
    # at 20 % a false alarm costs a quarter of a case found; of 8 cases 2 are positive
    ("net_benefit@<risk>", "target"): (0.25, -0.75 / 4, 0.25 - 0.75 / 4),
    ("net_benefit_all@<risk>", "target"): (0.25 - 0.75 / 4, 0.25 - 0.75 / 4, 0.25 - 0.75 / 4),
    ("net_benefit_standardized@<risk>", "target"): (1, -0.75, 0.25),
    ("interventions_avoided@<risk>", "target"): (75, -100, 0),
    ("net_benefit_adjusted@<risk>", "target"): (0.3, -0.7 / 4, 0.3 - 0.7 / 4),
    ("net_benefit_platt@<risk>", "target"): (0.25, -0.75 / 4, 0.25 - 0.75 / 4),
    ("expected_cost@<point>", "target"): (0, (2 * 4 + 6) / 8, 2 * 4 / 8),
    # errors 0 → 1 twice, 1 → 2, 2 → 3, 3 → 0 cost 1, 1, 1, 2 and 20; calling all 0 costs 5, 1, 20,
    # and calling all 1, the cheapest if nothing is known, 1 for each case of another class
    ("expected_cost", "classes"): (0, 25 / 5, 26 / 5),
    ("expected_cost_weighed", "classes"): (0, 25 / 5, 4 / 5),
    # 0 → 1 twice, 1 → 2, 2 → 3, 3 → 0: Σ true · predicted is 6 of 25
    ("mcc", "classes"): (1, -6 / 18, NAN),
    ("kappa", "classes"): (1, -6 / 19, 0),
    # in grades 0, 2, 1, 3 the distances are 2 twice, 1, 2, 3; by chance they are 32 / 5
    ("kappa_linear", "classes"): (1, 1 - 10 / 6.4, 0),
    ("kappa_quadratic", "classes"): (1, 1 - 22 / 12.8, 0),
    ("grade_error", "classes"): (0, 2, 6 / 5),
    ("within_one_grade", "classes"): (1, 1 / 5, 3 / 5),
    ("ranked_probability_loss", "classes"): (0, 10 / 15, (3 * 0.875 + 2 * 0.375) / 15),
    # the least of the positives' probabilities: 1, 0 and ½; 0.6 is carried
    ("threshold_drift@<point>", "target"): (0.4, -0.6, -0.1),
    ("nll", "target"): (0, 80, np.log(2)),
    ("nll", "classes"): (0, 160, np.log(4)),
    ("brier", "target"): (0, 1, 0.25),
    ("brier", "classes"): (0, 2, 0.75),
    ("brier_reliability", "target"): (0, 1, 0.25**2),
    # where the classes are told apart, rightly or wrongly, it is all of the uncertainty
    ("brier_resolution", "target"): (3 / 16, 3 / 16, 0),
    ("brier_uncertainty", "target"): (3 / 16, 3 / 16, 3 / 16),
    ("ece", "target"): (0, 1, 0.25),
    ("ece", "classes"): (0, 1, 0.15),
    # each case is missed by its class and called by another; 0.4 and 3 × 0.2 against 0.25
    ("ece_classwise", "classes"): (0, 0.5, 0.3 / 4),
    ("ece_mass", "target"): (0, 1, 0.25),
    ("ece_mass", "classes"): (0, 1, 0.15),
    # reversed: s = ∫ |−½ + 2 Σ_k c_k e^(−(πks)²/2) cos πkt| dt, c = 1 for odd k, −½ for even
    ("ece_smooth", "target"): (0, 0.5092799, 0.25),
    ("ece_smooth", "classes"): (0, 1, 0.15),
    ("nll_scaled", "target"): (0, INF, np.log(2)),
    ("nll_scaled", "classes"): (0, INF, np.log(4)),
    ("brier_scaled", "target"): (0, 1, 0.25),
    ("brier_scaled", "classes"): (0, 2, 0.75),
    ("ece_scaled", "target"): (0, 1, 0.25),
    ("ece_scaled", "classes"): (0, 1, 0.15),
    ("nll_platt", "target"): (0, INF, constant_nll(PLATT)),
    ("brier_platt", "target"): (0, 1, constant_brier(PLATT)),
    ("ece_platt", "target"): (0, 1, PLATT - 0.25),
    ("nll_beta", "target"): (0, INF, constant_nll(BETA)),
    ("brier_beta", "target"): (0, 1, constant_brier(BETA)),
    ("ece_beta", "target"): (0, 1, BETA - 0.25),
    ("nll_isotonic", "target"): (0, INF, np.log(2)),
    ("brier_isotonic", "target"): (0, 1, 0.25),
    ("ece_isotonic", "target"): (0, 1, 0.25),
    ("nll_vector", "classes"): (0, INF, np.log(4)),
    ("brier_vector", "classes"): (0, 2, 0.75),
    ("ece_vector", "classes"): (0, 1, 0.15),
    ("calibration_slope", "target"): (NAN, NAN, NAN),
    # 2 / (1 + e^(80 + a)) = 6 / (1 + e^(80 − a)); 6 σ(80 + a) = 2; σ(a) = ¼
    ("calibration_intercept", "target"): (-np.log(3) / 2, -80 - np.log(2), -np.log(3)),
    ("calibration_bias", "target"): (0, 0.5, 0.25),
    ("observed_expected", "target"): (1, 1 / 3, 0.5),
    ("ici", "target"): (0, 1, 0.25),
    ("calibration_e50", "target"): (0, 1, 0.25),
    ("calibration_e90", "target"): (0, 1, 0.25),
    # (ties between right and wrong, one half each, + ½ wrong²) / cases²
    ("augrc", "target"): (0, 0.5, (2 * 6 / 2 + 6**2 / 2) / 64),
    ("augrc", "classes"): (0, 0.5, (2 * 3 / 2 + 3**2 / 2) / 25),
    ("aurc", "target"): (0, 1, 0.75),
    ("aurc", "classes"): (0, 1, 0.6),
    ("aurc_entropy", "classes"): (0, 1, 0.6),
    ("aurc_margin", "classes"): (0, 1, 0.6),
    ("aurc_disagreement", "target"): (0, 1, 0.75),
    ("aurc_disagreement", "classes"): (0, 1, 0.6),
    ("accuracy_at_coverage80", "target"): (1, 0, 0.25),
    ("accuracy_at_coverage80", "classes"): (1, 0, 0.4),
    ("coverage_at_risk05", "target"): (1, 0, 0),
    ("coverage_at_risk05", "classes"): (1, 0, 0),
    ("auroc_at_coverage80", "target"): (1, 0, 0.5),
    # all are equally certain, so 0.9 of each is kept: 0.81 of the pairs, the rest is won
    ("auroc_oracle10", "target"): (1, 0.19, 0.19 + 0.81 / 2),
    ("calibration_auroc", "target"): (NAN, NAN, 0.5),
    ("calibration_auroc", "classes"): (NAN, NAN, 0.5),
    **{
        (f"coverage_{method}", kind): (1, 0, 1)
        for method in ("split", "class", "group", "shifted")
        for kind in KINDS
    },
    **{
        (f"set_size_{method}", "target"): (1, 1, 2)
        for method in ("split", "class", "group", "shifted")
    },
    **{(f"coverage_{method}", "classes"): (1, 0, 1) for method in ("aps", "raps")},
    **{
        (f"set_size_{method}", "classes"): (1, 1, 4)
        for method in ("split", "class", "group", "shifted", "aps", "raps")
    },
    **{("disagreement", kind): (0, 0, 0.5) for kind in KINDS},
    **{("mutual_information", kind): (0, 0, 0.25) for kind in KINDS},
    **{("diversity", kind): (0, 0, 0.12) for kind in KINDS},
}
"""A perfect, a reversed and a constant prediction of `known_cases`, worked out by hand."""


@pytest.mark.parametrize(("name", "kind"), BOUND)
def test_known_extremes_have_their_known_values(name: str, kind: str) -> None:
    cases = known_cases(kind)
    perfect, reversed_ = predicted(cases, right=True), predicted(cases, right=False)
    found = [value(name, each) for each in (perfect, reversed_, cases)]
    assert_allclose(found, EXTREMES[name, kind], rtol=0, atol=WITHIN.get(name, 1e-10))
