"""Labels saved: hand-made curves over label fractions, and their two-level bootstrap."""

import numpy as np
import polars as pl
import pytest
from tests.evaluation.comparison import made_rungs
from tests.evaluation.comparison.made_rungs import mean_of
from tests.prediction_tables import QUICK, Site, binary_table

from medtransfer.evaluation.comparison.label_savings import curve_areas, saving_results
from medtransfer.evaluation.comparison.seed_means import Mean
from medtransfer.evaluation.scoring.estimate import NO_SPREAD
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.tables.results import Result

REPLICATES = 400
NEVER = "the reference's full-data AUROC is never reached"


def made(
    rung: str,
    fraction: float,
    values: Floats | list[float],
    held_out: str | None = None,
    retrained: float | None = None,
) -> Mean:
    """A rung's mean of AUROCs per seed: plain numbers without patient variance, or [S, 1 + R]."""
    given = np.asarray(values, dtype=float)
    by_seed = np.repeat(given[:, None], 1 + REPLICATES, axis=1) if given.ndim == 1 else given
    return made_rungs.made(rung, {"a": by_seed}, fraction, held_out, retrained)


def curve(rung: str, *points: tuple[float, list[float]]) -> list[Mean]:
    return [made(rung, fraction, values) for fraction, values in points]


REFERENCE = curve("scratch", (0.1, [0.6]), (0.3, [0.7]), (1.0, [0.8]))


def saved(means: list[Mean], reference: str = "scratch") -> Result:
    rows = list(saving_results(means, reference, 0))
    assert len(rows) == 1
    assert rows[0][0].label_fraction == 1
    assert rows[0][1].metric == "labels_saved"
    return rows[0][1]


def test_a_curve_that_crosses_between_fractions_saves_what_is_above_the_crossing() -> None:
    better = curve("big", (0.1, [0.65]), (0.3, [0.75]), (1.0, [0.85]))
    row = saved(REFERENCE + better)
    # 0.8 lies half way from 0.75 at 30 % to 0.85 at 100 %, on the log fraction
    assert row.value == pytest.approx(1 - np.sqrt(0.3))
    assert (row.low, row.high, row.reason) == (None, None, NO_SPREAD)
    assert (row.num_cases, row.num_patients, row.target) == (50, 40, "x")


def test_a_curve_that_never_reaches_the_reference_has_a_reason_and_no_number() -> None:
    row = saved(REFERENCE + curve("small", (0.1, [0.5]), (1.0, [0.79])))
    assert (row.value, row.low, row.high, row.reason) == (None, None, None, NEVER)


def test_a_curve_that_starts_above_saves_at_least_that_much() -> None:
    row = saved(REFERENCE + curve("huge", (0.1, [0.81]), (1.0, [0.9])))
    assert row.value == pytest.approx(0.9)
    assert row.low == pytest.approx(0.9)  # in every replicate, which is no interval without width
    assert row.high is None
    assert row.reason == "at least: the smallest label fraction already reaches it"


def test_a_curve_that_reaches_the_reference_with_all_labels_saves_none() -> None:
    row = saved(REFERENCE + curve("same", (0.1, [0.5]), (1.0, [0.8])))
    assert row.value == pytest.approx(0)


def test_the_order_of_fractions_does_not_matter() -> None:
    better = curve("big", (0.1, [0.65]), (0.3, [0.75]), (1.0, [0.85]))
    assert saved([*better[::-1], *REFERENCE[::-1]]) == saved(REFERENCE + better)


def test_nothing_is_said_of_the_reference_or_of_a_rung_with_one_fraction() -> None:
    assert list(saving_results(REFERENCE, "scratch", 0)) == []
    assert list(saving_results(REFERENCE + curve("big", (1.0, [0.9])), "scratch", 0)) == []
    assert list(saving_results(curve("big", (0.1, [0.7]), (1.0, [0.9])), "scratch", 0)) == []


def test_a_held_out_cohort_has_a_reference_of_its_own() -> None:
    others = [made("scratch", f, [v], "c") for f, v in ((0.1, 0.5), (1.0, 0.66))]
    big = [made("big", f, [v], "c") for f, v in ((0.1, 0.65), (1.0, 0.9))]
    rows = list(saving_results(REFERENCE + others + big, "scratch", 0))
    assert [(runs.rung, runs.held_out) for runs, _ in rows] == [("big", "c")]
    assert rows[0][1].value == pytest.approx(1 - 0.1 ** (1 - 0.01 / 0.25))


def test_runs_that_were_trained_again_are_another_curve() -> None:
    better = curve("big", (0.1, [0.65]), (0.3, [0.75]), (1.0, [0.85]))
    again = [
        made(rung, fraction, [value], None, 0.1)
        for rung, fraction, value in (("scratch", 1.0, 0.9), ("big", 0.1, 0.8), ("big", 1.0, 1.0))
    ]
    rows = list(saving_results(REFERENCE + better + again, "scratch", 0))
    found = {runs.retrain_fraction: row.value for runs, row in rows}
    # 0.8 from 0.75 at 30 % to 0.85; 0.9 from 0.8 at 10 % to 1
    assert found == {None: pytest.approx(1 - np.sqrt(0.3)), 0.1: pytest.approx(1 - np.sqrt(0.1))}


def test_the_level_is_the_mean_over_the_seeds_of_the_reference() -> None:
    reference = curve("scratch", (0.1, [0.5, 0.5]), (1.0, [0.7, 0.9]))
    better = curve("big", (0.1, [0.6, 0.8]), (1.0, [0.8, 1.0]))
    row = saved(reference + better)
    # from 0.7 at 10 % to 0.9 at 100 %, the level 0.8 is half way
    assert row.value == pytest.approx(1 - np.sqrt(0.1))


def test_seeds_that_disagree_widen_the_interval() -> None:
    reference = curve("scratch", (0.1, [0.6] * 4), (1.0, [0.8] * 4))

    def width(spread: float) -> float:
        seeds = [0.7 + spread * k for k in (-1.5, -0.5, 0.5, 1.5)]
        row = saved(reference + curve("big", (0.1, seeds), (1.0, [v + 0.2 for v in seeds])))
        assert row.low is not None
        assert row.value is not None
        assert row.high is not None
        assert row.low <= row.value <= row.high
        return row.high - row.low

    assert 0.02 < width(0.01) < width(0.03)


def test_patients_widen_the_interval_where_the_curve_is_not_parallel() -> None:
    shared = 0.02 * np.random.default_rng(0).normal(size=(1, 1 + REPLICATES))
    shared[:, 0] = 0
    points = (("scratch", 0.1, 0.6), ("scratch", 1.0, 0.8), ("big", 0.1, 0.7), ("big", 1.0, 0.9))
    parallel = [made(rung, fraction, value + shared) for rung, fraction, value in points]
    row = saved(parallel)
    # the same patients in every curve: what they share cancels
    assert (row.low, row.high, row.reason) == (None, None, NO_SPREAD)
    own = [*parallel[:2], made("big", 0.1, 0.7 - shared), made("big", 1.0, 0.9 - shared)]
    row = saved(own)
    assert row.low is not None
    assert row.value is not None
    assert row.high is not None
    assert row.low < row.value - 0.05
    assert row.high > row.value + 0.05


def test_replicates_that_never_reach_it_leave_the_lower_end_open() -> None:
    values = np.full((1, 1 + REPLICATES), 0.85)
    values[0, 1:41] = 0.75
    row = saved([*REFERENCE, made("big", 0.1, [0.6]), made("big", 1.0, values)])
    assert row.value is not None
    assert row.low is None
    assert row.high is not None
    assert row.reason is not None
    assert row.reason.startswith("in some replicates")


def test_undefined_replicates_are_left_out_of_the_interval() -> None:
    values = np.full((1, 1 + REPLICATES), 0.85)
    values[0, 1:41] = np.nan
    row = saved([*REFERENCE, made("big", 0.1, [0.75]), made("big", 1.0, values)])
    assert row.reason == NO_SPREAD  # of those that are left, which are all equal
    values[0, 1:300] = np.nan
    row = saved([*REFERENCE, made("big", 0.1, [0.75]), made("big", 1.0, values)])
    assert (row.low, row.high) == (None, None)
    assert row.reason == "no interval: undefined in over half of the replicates"


@pytest.mark.parametrize("replicates", [0, 60])
def test_savings_from_predictions_to_the_row(replicates: int) -> None:
    config = QUICK.model_copy(update={"replicates": replicates})
    means: list[Mean] = []
    for rung, fraction, separation in (
        ("scratch", 0.1, 0.3),
        ("scratch", 1.0, 1.0),
        ("big", 0.1, 0.6),
        ("big", 1.0, 2.5),
    ):
        table = binary_table({"a": Site({"tune": 40, "test": 300}, separation=separation)})
        means.append(mean_of(rung, [table, table], fraction, config=config))
    row = saved(means)
    assert row.value is not None
    assert 0.1 < row.value < 0.9
    if replicates:
        assert row.low is not None
        assert row.high is not None
        assert 0 <= row.low < row.value < row.high <= 0.9
    else:
        assert (row.low, row.high, row.reason) == (None, None, None)


def test_savings_of_a_shifted_cohort_are_rows_of_their_own() -> None:
    sites = {"a": Site({"tune": 40, "test": 100}), "b": Site({"test": 100})}
    means: list[Mean] = []
    for rung, fraction, shift in (
        ("scratch", 0.5, 0),
        ("scratch", 1.0, 0),
        ("big", 0.5, 1),
        ("big", 1.0, 1),
    ):
        table = binary_table(sites)
        table = table.with_columns(pl.col("logit_x") + shift * pl.col("target_x"))
        means.append(mean_of(rung, [table], fraction, config=QUICK))
    found = {row.cohort: row for _, row in saving_results(means, "scratch", 0)}
    assert set(found) == {"a", "b"}
    assert all(row.value == pytest.approx(0.5) for row in found.values())


def test_the_mean_height_of_a_curve_is_a_row_of_every_rung() -> None:
    better = curve("big", (0.1, [0.65]), (0.3, [0.75]), (1.0, [0.85]))
    rows = {runs.rung: row for runs, row in curve_areas(REFERENCE + better, 0)}
    assert set(rows) == {"scratch", "big"}
    logs = np.log([0.1, 0.3, 1.0])
    by_hand = np.trapezoid([0.65, 0.75, 0.85], logs) / (logs[-1] - logs[0])
    assert rows["big"].value == pytest.approx(by_hand)
    assert (rows["big"].metric, rows["big"].target) == ("auroc_curve_area", "x")
    assert rows["big"].reason == NO_SPREAD
    assert list(curve_areas(curve("one", (1.0, [0.8])), 0)) == []


def test_a_curve_with_an_undefined_point_has_no_height() -> None:
    broken = [made("big", 0.1, [np.nan]), made("big", 1.0, [0.8])]
    ((_, row),) = curve_areas(broken, 0)
    assert (row.value, row.reason) == (None, "undefined at a label fraction")
