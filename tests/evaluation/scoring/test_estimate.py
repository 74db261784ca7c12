"""The rule for intervals by the patients behind a number."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from medtransfer.evaluation.scoring.estimate import Estimate, mean_support
from medtransfer.metrics.cases import TargetCases
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.small_samples import Patients, Support, auroc_interval


def spread(value: float, deviation: float, number: int = 2001) -> Floats:
    """A value with replicates of a known standard deviation. [1 + R]"""
    drawn = np.linspace(-1, 1, number)
    return np.append(value, value + deviation * drawn / drawn.std())


def interval(metric: str, values: Floats, support: Support) -> tuple[float, float] | None:
    return Estimate(values, 100, 100, support=support).interval(metric)


def test_a_share_has_wilsons_interval_with_its_design_effect() -> None:
    support = Support(40, 60, cases=80, patients=40)
    independent = np.sqrt(0.8 * 0.2 / 80)
    found = interval("sensitivity@sens90", spread(0.8, 1.5 * independent), support)
    trials = 80 / 1.5**2 * 39 / 40  # of the variance of 40 patients
    expected = proportion_confint(0.8 * trials, trials, method="wilson")
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_share_never_counts_more_than_its_cases() -> None:
    support = Support(40, 60, cases=80, patients=40)
    found = interval("sensitivity@sens90", spread(0.8, 1e-4), support)
    assert found == pytest.approx(proportion_confint(64, 80, method="wilson"), abs=1e-9)


def test_a_share_without_a_miss_counts_its_patients() -> None:
    support = Support(12, 60, cases=24, patients=12)
    found = interval("sensitivity@sens90", np.ones(100), support)
    assert found == pytest.approx(proportion_confint(12, 12, method="wilson"), abs=1e-9)


@pytest.mark.parametrize("positives", [5, 49])
def test_an_auroc_of_few_positives_has_the_score_interval(positives: int) -> None:
    support = Support(positives, 200, cases=300, patients=205)
    found = interval("auroc", spread(0.8, 0.05), support)
    variance = 0.05**2 * positives / (positives - 1)
    assert found == pytest.approx(auroc_interval(0.8, positives, 200, variance), abs=1e-9)


def test_an_auroc_of_many_patients_has_that_of_its_replicates() -> None:
    values = spread(0.8, 0.01)
    found = interval("auroc", values, Support(50, 200, 250, 250))
    assert found == pytest.approx(tuple(np.quantile(values[1:], [0.025, 0.975])))


@pytest.mark.parametrize(
    ("metric", "support", "reason"),
    [
        ("auroc", Support(4, 200, 204, 204), "fewer than 5 patients with a positive case"),
        ("auroc", Support(200, 4, 204, 204), "fewer than 5 patients with a negative case"),
        ("auprc", Support(9, 200, 209, 209), "fewer than 10 patients with a positive case"),
        ("f1@sens90", Support(9, 200, 209, 209), "fewer than 10 patients with a positive case"),
        ("ppv@sens90", Support(90, 90, 8, 4), "a share of fewer than 5 patients"),
    ],
)
def test_below_a_least_number_of_patients_there_is_no_interval(
    metric: str, support: Support, reason: str
) -> None:
    assert support.lacking(find_metric(metric)) == f"no interval: {reason}"
    assert interval(metric, spread(0.8, 0.05), support) is None


def test_the_brier_score_needs_no_class() -> None:
    assert Support(0, 30, 30, 30).lacking(find_metric("brier")) is None


def cases_of(labels: list[int], called: list[bool]) -> TargetCases:
    return TargetCases(
        targets=np.array(labels, dtype=np.int64),
        logits=np.zeros(len(labels)),
        probabilities=np.full(len(labels), 0.5),
        predicted_positive={"sens90": np.array(called)},
    )


@pytest.mark.parametrize(
    ("metric", "cases", "patients"),
    [
        ("sensitivity@<point>", 3, 2),
        ("specificity@<point>", 3, 2),
        ("ppv@<point>", 2, 1),
        ("npv@<point>", 4, 2),
        ("underdiagnosis@<point>", 3, 2),
        ("accuracy", 6, 3),
    ],
)
def test_patients_are_counted_behind_each_share(metric: str, cases: int, patients: int) -> None:
    labels, called = [1, 1, 1, 0, 0, 0], [True, True, False, False, False, False]
    behind = Patients(cases_of(labels, called), np.array([7, 7, 9, 9, 4, 4]))
    support = behind.behind(find_metric(metric.replace("<point>", "sens90")), "sens90")
    assert (support.cases, support.patients) == (cases, patients)
    assert (support.positives, support.negatives) == (2, 2)


def of_target(value: float, deviation: float, positives: int) -> Estimate:
    support = Support(positives, 200, 300, 200 + positives)
    return Estimate(spread(value, deviation), 300, 200 + positives, support=support)


def macro(*targets: Estimate, metric: str = "auroc") -> Estimate:
    values = np.mean([e.values for e in targets if e.values is not None], axis=0)
    return Estimate(values, 300, 250, of_targets=mean_support(targets, metric))


def test_a_mean_over_targets_of_many_patients_has_that_of_its_replicates() -> None:
    mean = macro(of_target(0.8, 0.01, 90), of_target(0.7, 0.01, 90))
    assert mean.values is not None
    expected = tuple(np.quantile(mean.values[1:], [0.025, 0.975]))
    assert mean.interval("auroc") == pytest.approx(expected)


def test_a_target_of_few_positives_widens_the_mean_by_its_own_interval() -> None:
    one, few = of_target(0.8, 0.01, 90), of_target(0.9, 0.0, 20)
    mean = macro(one, few)
    assert mean.values is not None
    low, high = np.quantile(mean.values[1:], [0.025, 0.975])
    own = few.interval("auroc")
    assert own is not None
    expected = (
        0.85 - np.hypot(0.85 - low, (0.9 - own[0]) / 2),
        0.85 + np.hypot(high - 0.85, (own[1] - 0.9) / 2),
    )
    assert mean.interval("auroc") == pytest.approx(expected)
    assert mean.fewest("auroc") == 20


def test_a_target_of_too_few_positives_may_have_any_value_in_the_mean() -> None:
    mean = macro(of_target(0.8, 1e-6, 90), of_target(0.9, 1e-6, 2))
    assert mean.interval("auroc") == pytest.approx((0.85 - 0.9 / 2, 0.85 + 0.1 / 2), abs=1e-4)


def test_a_mean_of_targets_that_all_have_too_few_has_no_interval() -> None:
    mean = macro(of_target(0.8, 0.01, 2), of_target(0.9, 0.01, 3))
    assert mean.interval("auroc") is None
    assert mean.lacking("auroc") == "no interval: fewer than 5 patients with a positive case"
    # of other metrics nothing bounds what a target of few may be
    mixed = macro(of_target(0.8, 0.01, 2), of_target(0.9, 0.01, 90), metric="auprc")
    assert mixed.lacking("auprc") == "no interval: fewer than 10 patients with a positive case"
    assert mean_support([], "auroc") is None
