"""Effective robustness and scale effects, from means made by hand."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import norm, t
from tests.evaluation.comparison.made_rungs import key_of, made, mean_of, seeds_of

from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.scaling import (
    BIASED_RUNGS,
    RungFacts,
    robustness_results,
    scale_results,
)
from medtransfer.evaluation.comparison.seed_means import Mean
from medtransfer.evaluation.scoring.estimate import NO_INTERVAL, Estimate
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import percentile_interval
from medtransfer.statistics.scaling import EXACT
from medtransfer.tables.results import Result

RNG = np.random.default_rng(7)
REPLICATES = 100
RUNGS = ("scratch", "small", "medium", "large")


def around(value: float, seeds: int = 2) -> Floats:
    """Values of several seeds in the sample and in every replicate. [S, 1 + R]"""
    noise = 0.01 * RNG.normal(size=(seeds, 1 + REPLICATES))
    noise[:, 0] = 0.002 * np.arange(seeds)
    return value + noise


LADDER = [
    made(rung, {"a": around(inside), "b": around(shifted), "c": around(inside - 0.1)}, fraction)
    for rung, fraction, inside, shifted in (
        ("scratch", 0.1, 0.62, 0.58),
        ("scratch", 1.0, 0.72, 0.66),
        ("small", 0.1, 0.70, 0.64),
        ("small", 1.0, 0.80, 0.70),
        ("medium", 1.0, 0.85, 0.80),
        ("large", 1.0, 0.88, 0.79),
    )
]


def robustness(means: list[Mean]) -> dict[tuple[str, str], tuple[GridKey, Result]]:
    found = {(runs.rung, row.cohort): (runs, row) for runs, row in robustness_results(means)}
    assert len(found) == len(list(robustness_results(means)))
    return found


def run_residuals(means: list[Mean], rung: str, cohort: str) -> Floats:
    """Residuals of a rung's runs from numpy's least squares on the logit scale. [S, 1 + R]"""
    pairs = [
        (mean.key.rung, inside, shifted)
        for mean in means
        for inside, shifted in zip(
            mean.by_seed[key_of("a")],
            mean.by_seed[key_of(cohort)],
            strict=True,
        )
    ]
    x, y = (np.stack([pair[k] for pair in pairs]) for k in (1, 2))
    mine = np.array([pair[0] == rung for pair in pairs])
    columns: list[Floats] = []
    for column in range(x.shape[1]):
        slope, intercept = np.polyfit(logit(x[:, column]), logit(y[:, column]), 1)
        line = expit(intercept + slope * logit(x[:, column]))
        columns.append((y[:, column] - line)[mine])
    return np.stack(columns, axis=1)


def residuals(means: list[Mean], rung: str, cohort: str) -> Floats:
    """A rung's mean residual. [1 + R]"""
    return run_residuals(means, rung, cohort).mean(axis=0)


def seed_variances(by_run: Floats) -> list[float]:
    """The seeds' parts of the variance of the mean residual: two seeds at each label fraction."""
    pairs = by_run.reshape(-1, 2)
    return [float(pair.var(ddof=1)) / 2 / len(pairs) ** 2 for pair in pairs]


def with_parts(value: float, end: float, parts: list[float]) -> float:
    """An end of the patients' interval with variances of one degree of freedom each."""
    side = abs(value - end)
    if len(parts) == 1:
        width = np.hypot(side, t.ppf(0.975, 1) * parts[0] ** 0.5)
    else:
        whole = (side / norm.ppf(0.975)) ** 2 + sum(parts)
        width = t.ppf(0.975, whole**2 / sum(p**2 for p in parts)) * whole**0.5
    return float(value + np.sign(end - value) * width)


@pytest.mark.parametrize("cohort", ["b", "c"])
def test_effective_robustness_is_the_residual_from_the_line_of_all_runs(cohort: str) -> None:
    found = robustness(LADDER)
    assert set(found) == {(rung, name) for rung in RUNGS for name in ("b", "c")}
    for rung in RUNGS:
        runs, row = found[rung, cohort]
        expected = residuals(LADDER, rung, cohort)
        assert row.value == pytest.approx(expected[0], abs=1e-9)
        parts = seed_variances(run_residuals(LADDER, rung, cohort)[:, 0])
        ends = percentile_interval(expected)
        assert ends is not None
        for end, found_end in zip(ends, (row.low, row.high), strict=True):
            assert found_end == pytest.approx(with_parts(expected[0], end, parts), abs=1e-9)
        assert (row.metric, row.target) == ("auroc_effective_robustness", "x")
        assert (runs.rung, runs.label_fraction) == (rung, 1.0)
        assert (row.num_cases, row.num_patients, row.reason) == (50, 40, None)


def test_a_rung_above_the_line_is_above_zero() -> None:
    found = robustness(LADDER)
    assert found["medium", "b"][1].value > 0 > found["large", "b"][1].value  # type: ignore[operator]


def test_runs_that_saw_the_shifted_cohort_are_not_on_the_line() -> None:
    again = [made("large", {"a": around(0.7), "b": around(0.95)}, 1.0, None, 0.1)]
    assert robustness(LADDER + again) == robustness(LADDER)
    # none of its cases is as good as never
    never = [
        made(
            m.key.rung,
            {c: m.by_seed[key_of(c)] for c in "abc"},
            m.key.label_fraction,
            None,
            0.0,
        )
        for m in LADDER
    ]
    assert [r for _, r in robustness_results(never)] == [r for _, r in robustness_results(LADDER)]


def test_a_cohort_that_was_trained_on_elsewhere_has_no_robustness() -> None:
    assert (
        list(robustness_results([made("r", {"a": around(0.8), "b": around(0.7)}, 1.0, "b")])) == []
    )
    assert list(robustness_results([])) == []


def test_fewer_than_three_runs_make_no_line_and_say_so() -> None:
    two = [
        made(r, {"a": around(v, 1), "b": around(v - 0.1, 1)}) for r, v in (("p", 0.8), ("q", 0.7))
    ]
    rows = [row for _, row in robustness_results(two)]
    assert {(row.value, row.low) for row in rows} == {(None, None)}
    assert {row.reason for row in rows} == {"fewer than 3 runs with different internal values"}
    assert len(rows) == 2


def test_a_rung_that_is_undefined_there_says_so_and_leaves_the_others() -> None:
    nowhere = made("void", {"a": around(0.8), "b": np.full((2, 1 + REPLICATES), np.nan)})
    found = robustness([*LADDER, nowhere])
    assert found["void", "b"][1].value is None
    assert found["void", "b"][1].reason == "undefined in the sample"
    assert found["medium", "b"][1].value == pytest.approx(residuals(LADDER, "medium", "b")[0])


def test_without_replicates_robustness_stands_alone() -> None:
    plain = [
        made(
            m.key.rung,
            {c: m.by_seed[key_of(c)][:, :1] for c in "ab"},
            m.key.label_fraction,
        )
        for m in LADDER
    ]
    row = robustness(plain)["medium", "b"][1]
    assert row.value == pytest.approx(residuals(LADDER, "medium", "b")[0])
    assert (row.low, row.reason) == (None, None)


def test_robustness_of_measured_runs_is_a_row_for_every_rung_and_shifted_cohort() -> None:
    tables = {rung: seeds_of(rung, noise, 2) for rung, noise in (("p", 3.0), ("qq", 1.0))}
    found = robustness([mean_of(rung, own) for rung, own in tables.items()])
    assert set(found) == {("p", "b"), ("qq", "b")}
    values = [found[key][1].value for key in found]
    assert None not in values
    # residuals of least squares on the logit scale nearly cancel
    assert abs(sum(values)) < 0.01  # type: ignore[arg-type]


FACTS = [
    RungFacts("scratch", 2.5e7, 0.0, "r50", "none"),
    RungFacts("small/few", 2.5e7, 1.3e6, "r50", "few"),
    RungFacts("small/many", 2.5e7, 1.4e7, "r50", "many"),
    RungFacts("large/few", 2.5e8, 1.3e6, "r200", "few"),
    RungFacts("large/many", 2.5e8, 1.4e7, "r200", "many"),
    RungFacts("middle/few", 8e7, 1.3e6, "r100", "few"),
    RungFacts("middle/many", 8e7, 1.4e7, "r100", "many"),
]
KNOWN = {fact.rung: fact for fact in FACTS}


def planted(fact: RungFacts, network: float, data: float, both: float = 0.0) -> Floats:
    """An AUROC that follows the model exactly; replicates move the whole ladder. [1, 1 + R]"""
    n, d = np.log10(fact.parameters) - 8, np.log10(max(fact.images, 1)) - 6.5
    move = np.concatenate([[0.0], 0.01 * np.random.default_rng(1).normal(size=REPLICATES)])
    tremor = 1e-7 * RNG.normal(size=1 + REPLICATES) * (np.arange(1 + REPLICATES) > 0)
    return np.atleast_2d(0.8 + network * n + data * d + both * n * d + move + tremor)


def ladder(names: list[str], network: float, data: float, both: float = 0.0) -> list[Mean]:
    return [made(name, {"a": planted(KNOWN[name], network, data, both)}) for name in names]


def effects(means: list[Mean]) -> dict[str, Result]:
    rows = list(scale_results(means, FACTS, 0))
    assert all(runs.rung == "all" for runs, _ in rows)
    return {row.metric: row for _, row in rows}


PRETRAINED = [fact.rung for fact in FACTS if fact.images]


def test_effects_of_scale_are_those_that_were_planted() -> None:
    found = effects(ladder(["scratch", *PRETRAINED], 0.03, 0.05, 0.02))
    assert set(found) == {f"auroc_scale_{term}" for term in ("network", "data", "interaction")}
    n = np.mean([np.log10(KNOWN[name].parameters) - 8 for name in PRETRAINED])
    d = np.mean([np.log10(KNOWN[name].images) - 6.5 for name in PRETRAINED])
    # at the middle of the ladder, where the scales are centred
    expected = {"network": 0.03 + 0.02 * d, "data": 0.05 + 0.02 * n, "interaction": 0.02}
    for term, value in expected.items():
        row = found[f"auroc_scale_{term}"]
        assert row.value == pytest.approx(value, abs=1e-9)
        assert (row.low, row.high) == (
            pytest.approx(value, abs=1e-5),
            pytest.approx(value, abs=1e-5),
        )
        assert (row.cohort, row.target, row.attribute, row.reason) == ("a", "x", "all", None)


def test_two_by_two_rungs_fit_exactly_and_say_so() -> None:
    names = ["small/few", "small/many", "large/few", "large/many"]
    found = effects(ladder(names, 0.03, 0.05))
    assert found["auroc_scale_network"].value == pytest.approx(0.03)
    assert found["auroc_scale_data"].value == pytest.approx(0.05)
    row = found["auroc_scale_interaction"]
    assert row.value == pytest.approx(0.0, abs=1e-9)
    assert row.reason == EXACT


def test_rungs_without_a_partner_have_no_effect_and_a_reason() -> None:
    found = effects(ladder(["small/few", "large/many"], 0.03, 0.05))
    assert {row.value for row in found.values()} == {None}
    assert found["auroc_scale_network"].reason == "no pre-training set has networks of two sizes"
    assert found["auroc_scale_data"].reason == "no architecture has pre-training sets of two sizes"


def test_one_known_rung_has_no_scale() -> None:
    assert list(scale_results(ladder(["small/few"], 0, 0), FACTS, 0)) == []
    unknown = [made(name, {"a": around(0.8)}) for name in ("p", "q")]
    assert list(scale_results(unknown, FACTS, 0)) == []
    assert list(scale_results([], FACTS, 0)) == []


def test_effects_are_of_the_largest_label_fraction_alone() -> None:
    full = ladder(PRETRAINED, 0.03, 0.05)
    few = [made(name, {"a": around(0.6)}, 0.1) for name in PRETRAINED]
    of_curves = {m for m in effects(few + full) if m.startswith("auroc_curve_area")}
    found = {m: row for m, row in effects(few + full).items() if m not in of_curves}
    assert found == effects(full)
    assert len(of_curves) == 3
    assert {runs.label_fraction for runs, _ in scale_results(few + full, FACTS, 0)} == {1.0}


def test_effects_are_of_each_training_set_of_its_own() -> None:
    plans = {("b", None): (0.01, 0.02), ("c", None): (0.03, 0.04), (None, 0.1): (0.05, 0.06)}
    means = [
        made(name, {"a": planted(KNOWN[name], *slopes)}, 1.0, *place)
        for place, slopes in plans.items()
        for name in PRETRAINED
    ]
    rows = {
        (runs.held_out, runs.retrain_fraction, row.metric): row.value
        for runs, row in scale_results(means, FACTS, 0)
    }
    for place, (network, data) in plans.items():
        assert rows[(*place, "auroc_scale_network")] == pytest.approx(network)
        assert rows[(*place, "auroc_scale_data")] == pytest.approx(data)
    assert len(rows) == 9


def two_sites(fraction: float, shift: float = 0.0) -> list[Mean]:
    """A ladder whose home follows one model and whose other site follows another."""
    return [
        made(
            name,
            {
                "a": planted(KNOWN[name], 0.03, 0.05) - shift,
                "b": planted(KNOWN[name], 0.01, 0.09) - shift,
            },
            fraction,
        )
        for name in PRETRAINED
    ]


def test_the_effect_on_a_drop_is_the_difference_of_the_effects() -> None:
    rows = {(r.cohort, r.metric): r for _, r in scale_results(two_sites(1.0), FACTS, 0)}
    assert rows["b", "auroc_drop_scale_network"].value == pytest.approx(0.02)
    assert rows["b", "auroc_drop_scale_data"].value == pytest.approx(-0.04)
    assert rows["b", "auroc_drop_scale_data"].low is not None
    assert ("a", "auroc_drop_scale_data") not in rows


def test_the_effect_on_the_height_of_the_curves_is_told() -> None:
    few, full = two_sites(0.1, shift=0.1), two_sites(1.0)
    rows = {(r.cohort, r.metric): r for _, r in scale_results([*few, *full], FACTS, 0)}
    row = rows["a", "auroc_curve_area_scale_data"]
    assert row.value == pytest.approx(0.05)  # the curve is as much higher at every fraction
    assert (row.num_cases, row.reason) == (50, None)
    assert row.low == pytest.approx(0.05, abs=1e-5)
    lone = {r.metric for _, r in scale_results(full, FACTS, 0)}
    assert not any(metric.startswith("auroc_curve_area") for metric in lone)


def test_the_effect_is_told_of_every_group() -> None:
    means = ladder(PRETRAINED, 0.03, 0.05)
    for mean in means:
        for group, data in (("F", 0.05), ("M", 0.01)):
            values = planted(KNOWN[mean.key.rung], 0.0, data)[0]
            for key in (key_of("a", "auroc", "sex", group), key_of("a", "ece", "sex", group)):
                mean.estimates[key] = Estimate(values, 20, 15)
                mean.by_seed[key] = values[None]
    rows = {(r.attribute, r.group, r.metric): r for _, r in scale_results(means, FACTS, 0)}
    assert rows["sex", "F", "auroc_scale_data"].value == pytest.approx(0.05)
    assert rows["sex", "M", "auroc_scale_data"].value == pytest.approx(0.01)
    assert rows["sex", "M", "auroc_scale_data"].num_cases == 20
    assert {metric for attribute, _, metric in rows if attribute == "sex"} == {
        f"auroc_scale_{term}" for term in ("network", "data", "interaction")
    }


def test_an_effect_on_a_calibration_error_has_no_interval_and_says_why() -> None:
    means = [
        made(name, {"a": planted(KNOWN[name], 0.03, 0.05)}, metric="ece_scaled")
        for name in PRETRAINED
    ]
    row = effects(means)["ece_scaled_scale_network"]
    assert row.value == pytest.approx(0.03)
    assert (row.low, row.reason) == (None, BIASED_RUNGS)


def test_what_is_undefined_in_most_replicates_keeps_both_reasons() -> None:
    names = ["small/few", "small/many", "large/few", "large/many"]
    means = ladder(names, 0.03, 0.05)
    for mean in means:
        for key, values in mean.by_seed.items():
            values[:, 20:] = np.nan
            assert key.metric == "auroc"
    row = effects(means)["auroc_scale_network"]
    assert (row.value, row.low) == (pytest.approx(0.03), None)
    assert row.reason is not None
    assert row.reason.endswith(NO_INTERVAL)


def test_other_metrics_are_not_asked() -> None:
    means = [made(name, {"a": around(0.8)}, metric="accuracy") for name in PRETRAINED]
    assert list(scale_results(means, FACTS, 0)) == []
