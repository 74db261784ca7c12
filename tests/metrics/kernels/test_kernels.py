"""The compiled passes give what the plain versions give, in blocks of any width."""

from typing import cast

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from tests.metrics import plain_versions as plainly
from tests.metrics.drawn_cases import bound, target_cases

from medtransfer.metrics.calibration import BINS, bin_numbers, in_bins
from medtransfer.metrics.calibration_curves import MIN_BANDWIDTH
from medtransfer.metrics.cases import TargetCases
from medtransfer.metrics.kernels.sums import Counts, Floats, add_by_patient, binned_sums
from medtransfer.metrics.thresholded import threshold_drift
from medtransfer.metrics.weighted import (
    SubgroupMetrics,
    Weighted,
    WeightedTerm,
    evaluate_replicates,
    mean_of,
    share_of,
)
from medtransfer.statistics.bootstrap import Kind, Replicates

PATIENTS, CASES = 23, 70
KINDS: tuple[Kind, ...] = ("patients", "bayesian", "poisson")
EXACT = {"rtol": 0, "atol": 1e-9}


def sample(seed: int) -> tuple[NDArray[np.int32], TargetCases]:
    """Patients with several cases each, one in three logits tied with another."""
    rng = np.random.default_rng(seed)
    patient = rng.permutation(np.arange(CASES) % PATIENTS).astype(np.int32)
    truth = (rng.random(PATIENTS) < 0.4)[patient].astype(np.int64)
    truth[:2] = 0, 1
    return patient, target_cases(truth, np.round(rng.normal(2.0 * truth - 1.0), 1))


def in_one_piece(counts: NDArray[np.float64 | np.uint16]) -> Counts:
    return cast("Counts", np.ascontiguousarray(counts))  # all are of one type, or of the other


def blocks_of(patient: NDArray[np.int32], kind: Kind, width: int, seed: int) -> list[Counts]:
    """The sample, 30 replicates, one of no case, one of one patient: in blocks of a width."""
    drawn = list(Replicates(patient, 30, seed, "a", kind).blocks())
    few = np.zeros((PATIENTS, 2), dtype=drawn[1].dtype)
    few[patient[1], 1] = 3
    whole = np.concatenate([*drawn, few], axis=1).astype(drawn[1].dtype)
    starts = range(0, whole.shape[1], width)
    return [in_one_piece(whole[:, start : start + width]) for start in starts]


def references(cases: TargetCases, weights: Floats) -> dict[str, Floats]:
    """Every metric that a compiled pass is behind, written down plainly."""
    y, s, p = cases.targets == 1, cases.logits, cases.probabilities
    outcomes, certain, wrong = y.astype(float), cases.confidence, ~cases.correct
    apart, away = plainly.reliability_and_resolution(outcomes, p, weights)
    right = plainly.retained_risk(certain, wrong, weights, 0.8)
    spread = -cases.spread["disagreement"]
    with np.errstate(invalid="ignore"):
        total = weights.sum(axis=1)
        brier = weights @ (p - y) ** 2 / total
        sensitivity = weights @ (y & cases.predicted_positive["sens90"]) / (weights @ y)
    return {
        "auroc": plainly.auroc(y, s, weights),
        "auprc": plainly.average_precision(y, s, weights),
        "auroc_fpr20": plainly.partial_area(y, s, weights, 0.2),
        "auprc_adjusted": plainly.adjusted_precision(y, s, weights, 0.3),
        "aurc": plainly.risk_coverage_area(certain, wrong, weights),
        "aurc_disagreement": plainly.risk_coverage_area(spread, wrong, weights),
        "accuracy_at_coverage80": 1 - right,
        "coverage_at_risk05": plainly.coverage_at_risk(certain, wrong, weights, 0.05),
        "auroc_at_coverage80": plainly.retained_auroc(y, s, certain, weights, 0.8),
        "auroc_oracle10": plainly.oracle_auroc(y, s, certain, weights, 0.9),
        "calibration_auroc": plainly.auroc(~wrong, certain, weights),
        "ece": plainly.calibration_error(outcomes, p, weights),
        "ece_mass": plainly.mass_calibration_error(outcomes, p, weights),
        "brier_reliability": apart,
        "brier_resolution": away,
        "brier": brier,
        "sensitivity@sens90": sensitivity,
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [1, 5, 128])
@pytest.mark.parametrize("seed", range(3))
def test_compiled_passes_equal_plain_versions(kind: Kind, width: int, seed: int) -> None:
    patient, cases = sample(seed)
    blocks = blocks_of(patient, kind, width, seed)
    weights = np.concatenate(blocks, axis=1).T.astype(float)[:, patient]
    expected = references(cases, weights)
    part = SubgroupMetrics(patient, tuple(bound(name, cases) for name in expected))
    found = evaluate_replicates([part], blocks)[0]
    for (name, values), own in zip(expected.items(), found, strict=True):
        assert_allclose(own, values, **EXACT, err_msg=name)
    assert blocks[0].dtype == (np.float64 if kind == "bayesian" else np.uint16)
    assert np.isnan(np.stack(found)[:, -2]).all()  # the replicate of no case


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", ["sens90", "sens50", "spec80", "youden"])
def test_the_threshold_of_every_replicate_is_that_of_the_plain_version(
    kind: Kind, point: str
) -> None:
    patient, cases = sample(7)
    blocks = blocks_of(patient, kind, 16, 7)
    weights = np.concatenate(blocks, axis=1).T.astype(float)[:, patient]
    expected = plainly.threshold(cases.targets == 1, cases.probabilities, weights, point)
    at = TargetCases(cases.targets, cases.logits, cases.probabilities, thresholds={point: 0.0})
    found = evaluate_replicates([SubgroupMetrics(patient, (threshold_drift(at, point),))], blocks)[
        0
    ][0]
    assert_array_equal(found, expected)
    assert len(set(found[~np.isnan(found)].tolist())) > 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_smooth_error_of_every_replicate_is_that_of_the_plain_version(kind: Kind) -> None:
    patient, cases = sample(8)
    whole = np.concatenate(blocks_of(patient, kind, 128, 8), axis=1)
    blocks = [in_one_piece(whole[:, rows]) for rows in ([0, 1, 2], [3, -2])]
    weights = np.concatenate(blocks, axis=1).T.astype(float)[:, patient]
    expected = plainly.smooth_calibration_error(
        cases.targets.astype(float), cases.probabilities, weights, MIN_BANDWIDTH
    )
    found = evaluate_replicates([SubgroupMetrics(patient, (bound("ece_smooth", cases),))], blocks)[
        0
    ][0]
    # probabilities are shared between the edges of 1,000 cells, and waves end at 256
    assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_column_is_summed_by_patient_once_for_all_who_ask() -> None:
    patient = np.array([2, 0, 2, 1], dtype=np.int32)
    counts = np.array([[1, 0], [1, 2], [1, 3]], dtype=np.uint16)
    value, ones = WeightedTerm(np.array([1.0, 10.0, 100.0, 0.0])), WeightedTerm(np.ones(4))
    mean = share_of(value, ones)
    asked: list[Floats] = []

    def watched(*sums: Floats) -> Floats:
        asked.extend(sums)
        return sums[0]

    part = SubgroupMetrics(patient, (mean, Weighted((value, ones), watched)))
    found = evaluate_replicates([part], [counts])[0]
    assert_array_equal(asked[0], [111, 303])
    assert_array_equal(asked[1], [4, 8])
    assert_allclose(found[0], [111 / 4, 303 / 8])


def test_a_scan_is_run_once_for_all_who_ask() -> None:
    patient, cases = sample(1)
    scan, runs = cases.order.ranking, []
    run = scan.run
    object.__setattr__(scan, "run", lambda *a: runs.append(1) or run(*a))
    part = SubgroupMetrics(patient, (bound("auroc", cases), bound("auprc", cases)))
    evaluate_replicates([part], blocks_of(patient, "patients", 128, 0))
    assert len(runs) == 1


def test_a_mean_over_the_cases_that_count() -> None:
    values, counted = np.array([1.0, np.nan, 3.0]), np.array([1.0, 0.0, 1.0])
    assert_allclose(mean_of(values, counted)(np.array([[1.0, 5, 1], [0, 1, 0]])), [2, np.nan])


@pytest.mark.parametrize("kind", KINDS)
def test_values_do_not_depend_on_threads(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medtransfer.metrics.weighted.THREADS_FROM", 1)
    samples = [sample(seed) for seed in range(4)]
    names = list(references(samples[0][1], np.ones((1, CASES))))
    blocks = blocks_of(samples[0][0], kind, 16, 0)

    def found(threads: int | None) -> list[list[Floats]]:
        parts = [
            SubgroupMetrics(p, tuple(bound(name, cases) for name in names)) for p, cases in samples
        ]
        return evaluate_replicates(parts, blocks, threads)

    alone = found(1)
    for threads in (2, 3, None):
        for one, other in zip(alone, found(threads), strict=True):
            for values, others in zip(one, other, strict=True):
                assert_array_equal(values, others)


def test_sums_by_patient_are_numpys_to_the_last_bit() -> None:
    rng = np.random.default_rng(4)
    patient = rng.integers(0, 40, 3000).astype(np.int32)
    occurring, code = np.unique(patient, return_inverse=True)
    place = np.zeros(40, dtype=np.int32)
    place[occurring] = np.arange(len(occurring))
    for column in (rng.normal(size=3000), rng.random(3000) < 0.3):
        sums = np.zeros(len(occurring))
        add_by_patient(patient, place, column, sums)
        assert_array_equal(sums, np.bincount(code, column, len(occurring)))


@pytest.mark.parametrize("kind", KINDS)
def test_sums_in_bins_are_those_of_a_table_of_columns_to_the_last_bit(kind: Kind) -> None:
    patient, cases = sample(3)
    outcomes, confidences = (cases.targets == 1).astype(np.float64), cases.probabilities
    edges = np.arange(BINS + 1) / BINS
    confidences[: 2 * len(edges)] = np.append(edges, np.nextafter(edges, 0.5))
    number = bin_numbers(confidences).astype(np.int32)
    values = np.stack([np.ones(CASES), outcomes, confidences], axis=1)
    for counts in blocks_of(patient, kind, 32, 3):
        expected = binned_sums(patient, number, values, BINS, counts).reshape(3 * BINS, -1)
        assert_array_equal(in_bins(outcomes, confidences).run(patient, counts), expected)
        assert_array_equal(in_bins(outcomes == 1, confidences).run(patient, counts), expected)
