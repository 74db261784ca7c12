"""Replicates are the same resampled patients for whatever is measured."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from tests.prediction_tables import evidence

from medtransfer.metrics import bootstrap
from medtransfer.metrics.bootstrap import Floats, Weighted, draw_replicates, percentile_interval
from medtransfer.metrics.calibration import binary_brier, calibration_error
from medtransfer.metrics.discrimination import accuracy, auroc, average_precision

PATIENTS = 40


def clustered(seed: int, *, each: int = 3, likeness: float = 0.5) -> tuple[
    NDArray[np.str_], NDArray[np.int64], Floats
]:  # fmt: skip
    """Patient ids, labels and scores of 40 patients' cases in a random order."""
    rng = np.random.default_rng(seed)
    positive = np.arange(PATIENTS) % 2
    patient, scores = evidence(rng, 1.0 * positive, each, likeness)
    order = rng.permutation(len(patient))
    return np.array([f"p{p}" for p in patient])[order], positive[patient][order], scores[order]


def metrics_of(labels: NDArray[np.int64], scores: Floats) -> list[Weighted]:
    chance = 1 / (1 + np.exp(-scores))
    return [
        auroc(labels, scores),
        average_precision(labels, scores),
        accuracy(labels, scores > 0.5),
        binary_brier(labels, chance),
        calibration_error(labels.astype(float), chance),
    ]


def everything(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.ones(len(labels), dtype=bool)


def test_the_first_column_is_the_plain_value() -> None:
    patients, labels, scores = clustered(0)
    drawn = draw_replicates(patients, 20, 0, "a")
    for metric in metrics_of(labels, scores):
        values = drawn.values(metric, everything(labels))
        assert values.shape == (21,)
        assert values[0] == metric(np.ones((1, len(labels))))[0]
        assert len(set(values.tolist())) > 10


def test_replicates_are_the_resampled_data_set_rebuilt() -> None:
    patients, labels, scores = clustered(1)
    drawn = draw_replicates(patients, 6, 3, "a")
    values = drawn.values(auroc(labels, scores), everything(labels))
    names = sorted(set(patients.tolist()))
    for replicate in range(1, 7):
        rebuilt = [
            row
            for name, times in zip(names, drawn.counts[replicate].tolist(), strict=True)
            for _ in range(times)
            for row in np.flatnonzero(patients == name)
        ]
        assert len(rebuilt) == len(labels)
        expected = roc_auc_score(labels[rebuilt], scores[rebuilt])
        assert values[replicate] == pytest.approx(expected, abs=1e-12)


def test_each_replicate_draws_as_many_patients_as_there_are() -> None:
    drawn = draw_replicates([f"p{i}" for i in range(30)], 4000, 0, "a")
    assert drawn.rows == 4001
    assert_array_equal(drawn.counts[0], 1)
    assert_array_equal(drawn.counts.sum(axis=1), 30)
    assert drawn.counts[1:].mean() == 1
    assert drawn.counts[1:].var() == pytest.approx(1 - 1 / 30, rel=0.03)


def test_every_case_of_a_patient_is_drawn_together() -> None:
    patients, labels, _ = clustered(2)
    drawn = draw_replicates(patients, 10, 0, "a")

    def alike(weights: Floats) -> Floats:
        spread = [weights[:, patients == name].std(axis=1) for name in set(patients.tolist())]
        return np.max(spread, axis=0)

    assert_array_equal(drawn.values(alike, everything(labels)), 0)


def test_the_same_patients_have_the_same_replicates_in_every_run() -> None:
    patients, _, _ = clustered(3)
    one, two = (draw_replicates(patients, 50, 7, "a") for _ in range(2))
    assert_array_equal(one.counts, two.counts)
    shuffled = draw_replicates(patients[::-1], 50, 7, "a")
    assert_array_equal(shuffled.counts, one.counts)
    assert_array_equal(shuffled.patient[::-1], one.patient)


@pytest.mark.parametrize(("seed", "cohort"), [(8, "a"), (7, "b")])
def test_another_seed_or_cohort_is_resampled_independently(seed: int, cohort: str) -> None:
    patients, _, _ = clustered(3)
    one, other = (
        draw_replicates(patients, 500, 7, "a"),
        draw_replicates(patients, 500, seed, cohort),
    )
    together = np.corrcoef(one.counts[1:].ravel(), other.counts[1:].ravel())[0, 1]
    assert abs(together) < 0.03


def test_row_order_does_not_matter() -> None:
    patients, labels, scores = clustered(4)
    order = np.random.default_rng(0).permutation(len(labels))
    values = [
        draw_replicates(patients[rows], 30, 0, "a").values(metric, everything(labels))
        for rows in (slice(None), order)
        for metric in [auroc(labels[rows], scores[rows])]
    ]
    assert_array_equal(*values)


def test_a_part_of_the_cases_keeps_the_draws_of_its_patients() -> None:
    patients, labels, scores = clustered(5)
    part = scores > 0
    drawn = draw_replicates(patients, 30, 0, "a")
    values = drawn.values(auroc(labels[part], scores[part]), part)
    rank = np.searchsorted(sorted(set(patients.tolist())), patients)
    for replicate in (0, 1, 30):
        weights = drawn.counts[replicate][rank][part].astype(float)
        expected = roc_auc_score(labels[part], scores[part], sample_weight=weights)
        assert values[replicate] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("chunk", [1, 500, 7 * 120])
def test_memory_does_not_change_results(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    patients, labels, scores = clustered(6)
    drawn = draw_replicates(patients, 40, 0, "a")
    metrics = metrics_of(labels, scores)
    whole = [drawn.values(metric, everything(labels)) for metric in metrics]
    rows: list[int] = []

    def watched(metric: Weighted) -> Callable[[Floats], Floats]:
        return lambda weights: (rows.append(len(weights)), metric(weights))[1]

    monkeypatch.setattr(bootstrap, "CHUNK", chunk)
    parts = [drawn.values(watched(metric), everything(labels)) for metric in metrics]
    np.testing.assert_allclose(parts, whole, rtol=1e-13)
    assert max(rows) * len(labels) <= max(chunk, len(labels))
    assert sum(rows) == 41 * len(metrics)


def test_clustered_cases_have_wider_intervals_than_if_cases_were_resampled() -> None:
    patients, labels, scores = clustered(7, each=8, likeness=0.9)
    cases = np.array([f"c{i}" for i in range(len(labels))])
    widths: list[float] = []
    for unit in (patients, cases):
        drawn = draw_replicates(unit, 400, 0, "a")
        ends = percentile_interval(drawn.values(auroc(labels, scores), everything(labels)))
        assert ends is not None
        widths.append(ends[1] - ends[0])
    # variance inflation of a cluster mean: 1 + 7 * 0.9 = 7.3, and √7.3 = 2.7
    assert widths[0] > 2 * widths[1]


def test_single_cases_have_the_interval_of_a_case_bootstrap() -> None:
    patients, labels, scores = clustered(8, each=1)
    drawn = draw_replicates(patients, 300, 0, "a")
    values = drawn.values(auroc(labels, scores), everything(labels))
    rng = np.random.default_rng(0)
    naive: list[float] = []
    while len(naive) < 300:
        rows = rng.integers(0, len(labels), len(labels))
        naive.append(roc_auc_score(labels[rows], scores[rows]))
    assert values[1:].std() == pytest.approx(np.std(naive), rel=0.15)


def test_no_replicates_leave_the_value_alone() -> None:
    patients, labels, scores = clustered(9)
    drawn = draw_replicates(patients, 0, 0, "a")
    assert drawn.values(auroc(labels, scores), everything(labels)).shape == (1,)
