"""Level of tests and coverage of intervals by simulation, where truth is known.

    python benchmarks/coverage.py [--quick]

(a) Two equal rungs whose seeds differ: how often "p < .05". Goal: at most 7 % for 2, 3 and 5
    seeds, at errors of patients of 0 to 2 times those of the seeds.
(b) AUROC and sensitivity from few positives, two cases a patient. Goal: the interval holds the
    truth in at least 93 %, and none is given below 5 patients.
(c) Groups of equal AUROC and other prevalence: how often "p < .05". Goal: 3 to 7 %.
(d) The gap between groups of few positives. Goal: the interval holds it in at least 93 %.
(e) The difference in AUROC of two rungs on the same few positives, and the drop between two
    hospitals of few positives. Goal: as in (b).
(f) The interaction of two networks by two pre-training sizes, of AUROCs without one and with one:
    how often the interval excludes 0, and holds the truth. Goal: at most 7 % without an
    interaction, and at least 93 %.
(g) Rungs of several seeds beside three readers: sensitivity, its difference from the reader's, and
    AUROC with the reader as truth. Goal: the interval holds the truth in at least 93 %.

A goal is missed where the share is beyond it by more than three standard errors of so many
data sets; 4,000 in (a), 1,000 else, a tenth with --quick.
"""

if __name__ == "coverage":  # numba looks for the package of that name, and finds this folder first
    raise ImportError("benchmarks/coverage.py is a script, not the package coverage")

import argparse
import sys
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.pairs.intervals import drop_interval, paired_interval
from medtransfer.evaluation.comparison.readers.judged import DIFFERENCE, OTHERS
from medtransfer.evaluation.comparison.readers.read_cases import ReadCases
from medtransfer.evaluation.comparison.readers.rungs import (
    BesideReader,
    Place,
    run_estimates,
    rung_rows,
)
from medtransfer.evaluation.comparison.readers.table import Readings
from medtransfer.evaluation.comparison.scaling import SCALE, RungFacts, scale_results
from medtransfer.evaluation.comparison.seed_means import HEADLINE, Mean
from medtransfer.evaluation.scoring.estimate import Estimate, ResultKey
from medtransfer.evaluation.scoring.run import RunArrays
from medtransfer.metrics.discrimination import auroc
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.weighted import SubgroupMetrics
from medtransfer.posthoc.target_fit import TargetFit
from medtransfer.statistics.bootstrap import draw_replicates
from medtransfer.statistics.contrasts import contrast, seed_term
from medtransfer.statistics.groups import (
    gap_interval,
    interval_noise,
    outcome_patterns,
    permutation_ps,
)
from medtransfer.statistics.small_samples import MIN_PATIENTS, NORMAL_QUANTILE, Support
from medtransfer.tables.results import ALL

Row = tuple[str, float, float, float]
"""Setting, share found, least and most allowed."""
REPLICATES, PERMUTATIONS, NEGATIVES = 300, 99, 150


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the data sets")
    options = parser.parse_args()
    missed = 0
    for title, count, rows in PARTS:
        number = count // 10 if options.quick else count
        print(f"{title}; {number:,} data sets each", flush=True)
        for setting, share, least, most in rows(number):
            error = 3 * (max(share * (1 - share), 0.01) / number) ** 0.5
            met = least - error <= share <= most + error
            missed += not met
            goal = f"{least:.0%} to {most:.0%}"
            print(f"  {setting:<52} {share:6.1%}   goal {goal}{'' if met else '   MISSED'}")
    print(f"goals missed: {missed or 'none'}")
    return 1 if missed else 0


def seed_levels(number: int) -> Iterator[Row]:
    """Part (a): patients' errors are shared by the rungs' seeds, seeds' errors are not."""
    for seeds in (2, 3, 5):
        for ratio in (0.0, 0.5, 1.0, 2.0):
            rng = np.random.default_rng([seeds, int(10 * ratio)])
            hits = 0
            for _ in range(number):
                patients = ratio * rng.normal()
                one, two = rng.normal(size=(2, seeds))
                value = float(one.mean() - two.mean() + patients)
                side = NORMAL_QUANTILE * ratio
                terms = [seed_term(one), seed_term(two, -1.0)]
                hits += contrast(value, (value - side, value + side), terms).p < 0.05
            yield f"(a) {seeds} seeds, patients / seeds {ratio:g}", hits / number, 0.0, 0.07


def few_positives(number: int) -> Iterator[Row]:
    """Part (b)."""
    for positives in (5, 10, 20, 40):
        for truth in (0.7, 0.85, 0.95):
            held = sum(_holds_auroc(seed, positives, truth) for seed in range(number))
            setting = f"(b) AUROC {truth:.2f}, {positives} positive patients"
            yield setting, held / number, 0.93, 1.0
        for truth in (0.7, 0.9, 0.95):
            held = sum(_holds_share(seed, positives, truth) for seed in range(number))
            setting = f"(b) sensitivity {truth:.2f}, {positives} positive patients"
            yield setting, held / number, 0.93, 1.0
    none = sum(_auroc_interval(seed, MIN_PATIENTS - 1, 0.8) is None for seed in range(20))
    yield f"(b) no interval from {MIN_PATIENTS - 1} positive patients", none / 20, 1.0, 1.0


def _auroc_interval(seed: int, positives: int, truth: float) -> tuple[float, float] | None:
    rng = np.random.default_rng([seed, positives, int(100 * truth)])
    patient = np.repeat(np.arange(positives + NEGATIVES), 2)
    labels = (patient < positives).astype(np.int64)
    apart = 2**0.5 * float(ndtri(truth))
    scores = _correlated(rng, patient, 0.5) + apart * labels
    drawn = draw_replicates([str(p) for p in patient], REPLICATES, seed, "a")
    values = drawn.values(auroc(labels, scores), np.ones(len(labels), dtype=np.bool_))
    cases = len(labels)
    support = Support(positives, NEGATIVES, cases, positives + NEGATIVES)
    return Estimate(values, cases, positives + NEGATIVES, support=support).interval("auroc")


def _holds_auroc(seed: int, positives: int, truth: float) -> bool:
    interval = _auroc_interval(seed, positives, truth)
    return interval is not None and interval[0] <= truth <= interval[1]


def _share_estimate(rng: np.random.Generator, patients: int, truth: float) -> Estimate:
    """Sensitivity of two cases a patient whose hits correlate by a half."""
    scores = _correlated(rng, np.repeat(np.arange(patients), 2), 0.5).reshape(patients, 2)
    hits = (scores < ndtri(truth)).sum(axis=1)
    counts = rng.multinomial(patients, np.full(patients, 1 / patients), size=REPLICATES)
    values = np.append(hits.sum(), counts @ hits) / (2 * patients)
    support = Support(patients, NEGATIVES, 2 * patients, patients)
    return Estimate(values, 2 * patients, patients, support=support)


def _holds_share(seed: int, positives: int, truth: float) -> bool:
    rng = np.random.default_rng([seed, positives, int(100 * truth)])
    interval = _share_estimate(rng, positives, truth).interval("sensitivity@sens90")
    return interval is not None and interval[0] <= truth <= interval[1]


def group_levels(number: int) -> Iterator[Row]:
    """Part (c): scores depend on the label alone, prevalence on the group."""
    for first, second in ((0.4, 0.4), (0.5, 0.2), (0.6, 0.1)):
        for each in (1, 2):
            hits = 0
            for seed in range(number):
                rng = np.random.default_rng([seed, int(100 * first), each])
                group = np.arange(200) % 2
                positive = rng.random(200) < np.where(group == 0, first, second)
                patient = np.repeat(np.arange(200), each)
                labels = positive[patient].astype(np.int64)
                scores = _correlated(rng, patient, 0.5) + labels
                part = SubgroupMetrics(patient.astype(np.int32), (auroc(labels, scores),))
                stratum = outcome_patterns(patient, labels[:, None], 200)
                (p,) = permutation_ps(
                    [part], group, stratum=stratum, permutations=PERMUTATIONS, rng=rng
                )
                hits += p is not None and p <= 0.05
            setting = f"(c) prevalence {first:.0%} and {second:.0%}, {each} a patient"
            yield setting, hits / number, 0.03, 0.07


def group_gaps(number: int) -> Iterator[Row]:
    """Part (d): sensitivity of two groups."""
    for sizes in ((10, 100), (20, 60), (40, 40)):
        for truths in ((0.9, 0.9), (0.95, 0.75)):
            held = 0
            for seed in range(number):
                rng = np.random.default_rng([seed, *sizes, int(100 * truths[0])])
                groups = [_share_estimate(rng, n, t) for n, t in zip(sizes, truths, strict=True)]
                ends = [e.interval("sensitivity@sens90") for e in groups]
                known = [end for end in ends if end is not None]
                values = [e.values for e in groups if e.values is not None]
                first = np.array([v[0] for v in values])
                noise = interval_noise(first, known, REPLICATES, rng)
                interval = gap_interval(values, 1.0, noise)
                gap = abs(truths[0] - truths[1])
                held += interval is not None and interval[0] <= gap <= interval[1]
            setting = f"(d) {sizes[0]} and {sizes[1]} positives, true {truths[0]} and {truths[1]}"
            yield setting, held / number, 0.93, 1.0


def contrasts(number: int) -> Iterator[Row]:
    """Part (e)."""
    for positives in (5, 10, 20, 40):
        for truths in ((0.8, 0.8), (0.9, 0.75)):
            held = np.zeros(2)
            for seed in range(number):
                held += _holds_contrasts(seed, positives, truths)
            for what, share in zip(("difference", "drop"), held / number, strict=True):
                setting = f"(e) {what} of {truths[0]} and {truths[1]}, {positives} positives"
                yield setting, float(share), 0.93, 1.0


def _holds_contrasts(seed: int, positives: int, truths: tuple[float, float]) -> NDArray[np.bool_]:
    """Whether the intervals of rung A minus B, and of A's drop to hospital b, hold the truth."""
    rng = np.random.default_rng([seed, positives, int(100 * truths[1])])
    apart = [2**0.5 * float(ndtri(truth)) for truth in truths]
    patients = positives + 60
    labels = (np.arange(patients) < positives).astype(np.int64)
    shared = rng.normal(size=patients)
    inside = [
        0.5**0.5 * (shared + rng.normal(size=patients)) + strength * labels for strength in apart
    ]
    outside = rng.normal(size=patients) + apart[1] * labels
    one, other = (_auroc_estimate(labels, scores, seed, "a") for scores in inside)
    away = _auroc_estimate(labels, outside, seed, "b")
    truth = truths[0] - truths[1]
    intervals = [paired_interval(one, other, "auroc")[0], drop_interval(one, away, "auroc")[0]]
    return np.array([ends is not None and ends[0] <= truth <= ends[1] for ends in intervals])


def _auroc_estimate(labels: NDArray[np.int64], scores: Floats, seed: int, cohort: str) -> Estimate:
    """AUROC of a cohort of one case a patient."""
    cases, positives = len(labels), int(labels.sum())
    drawn = draw_replicates([str(i) for i in range(cases)], REPLICATES, seed, cohort)
    values = drawn.values(auroc(labels, scores), np.ones(cases, dtype=np.bool_))
    return Estimate(
        values, cases, cases, support=Support(positives, cases - positives, cases, cases)
    )


def interactions(number: int) -> Iterator[Row]:
    """Part (f): the rungs share patients, each has noise of its own, and each of its seeds."""
    patients = _interaction_error()
    for effect, what, least, most in ((0.0, "excludes 0", 0.0, 0.07), (0.06, "holds", 0.93, 1.0)):
        for seeds in (1, 2, 3, 5):
            # one seed has no error of its own here: its interval speaks of just these trainings
            for ratio in (0.5, 1.0, 2.0) if seeds > 1 else (np.inf,):
                deviation = patients / ratio * seeds**0.5 / 2
                hits = 0
                for seed in range(number):
                    rng = np.random.default_rng([seed, seeds, int(10 * min(ratio, 100))])
                    low, high = _interaction(rng, seeds, deviation, effect)
                    hits += low <= effect <= high if effect else not low <= 0 <= high
                setting = f"(f) {effect:g} {what}, {seeds} seeds, patients / seeds {ratio:g}"
                yield setting, hits / number, least, most


CELLS = ((1e7, 1e6), (1e7, 1e7), (1e8, 1e6), (1e8, 1e7))
"""Weights and pre-training images of the rungs: a tenfold step of each."""
CELL_AUROCS = np.array([0.62, 0.66, 0.70, 0.74])
"""Without an interaction."""
INTERACTION_CASES = 600


def _interaction(
    rng: np.random.Generator, seeds: int, deviation: float, effect: float
) -> tuple[float, float]:
    """Interval of the interaction of one data set.

    Args:
        rng: Source of patients, and of trainings.
        seeds: Of each rung.
        deviation: Of the true AUROC between seeds of a rung.
        effect: True interaction.
    """
    labels = (np.arange(INTERACTION_CASES) % 5 < 2).astype(np.int64)
    names = [str(i) for i in range(INTERACTION_CASES)]
    drawn = draw_replicates(names, REPLICATES, int(rng.integers(2**31)), "a")
    truths = CELL_AUROCS + np.array([0, 0, 0, effect])
    shared = rng.normal(size=INTERACTION_CASES)
    key = ResultKey("a", ALL, ALL, "x", HEADLINE)
    support = Support(int(labels.sum()), int((1 - labels).sum()), len(labels), len(labels))
    means: list[Mean] = []
    facts: list[RungFacts] = []
    for number, (truth, (parameters, images)) in enumerate(zip(truths, CELLS, strict=True)):
        of_rung = rng.normal(size=INTERACTION_CASES)
        values: list[Floats] = []
        for _ in range(seeds):
            trained = np.clip(truth + deviation * rng.normal(), 0.3, 0.99)
            strength = 2**0.5 * float(ndtri(trained))
            noise = 0.4 * shared + 0.4 * of_rung + 0.2 * rng.normal(size=INTERACTION_CASES)
            scores = noise / 0.6 + strength * labels
            values.append(drawn.values(auroc(labels, scores), np.ones(len(labels), dtype=np.bool_)))
        by_seed = np.stack(values)
        estimate = Estimate(by_seed.mean(axis=0), len(labels), len(labels), support=support)
        rung = str(number)
        means.append(Mean(GridKey(rung), {key: estimate}, {key: by_seed}, "a"))
        facts.append(RungFacts(rung, parameters, images, f"{parameters:g}", f"{images:g}"))
    rows = {row.metric: row for _, row in scale_results(means, facts, 0)}
    row = rows[f"{HEADLINE}{SCALE}interaction"]
    assert row.low is not None
    assert row.high is not None
    return row.low, row.high


def _interaction_error() -> float:
    """Standard error of the interaction that patients alone make, one seed a rung."""
    widths = [
        high - low
        for low, high in (
            _interaction(np.random.default_rng([seed, 9]), 1, 0.0, 0.0) for seed in range(20)
        )
    ]
    return float(np.mean(widths)) / 2 / NORMAL_QUANTILE


READ_CASES = 300
READER_ERROR = 0.1
RUNG = 0.8
"""True sensitivity of the rung, false positive rate from 1, and AUROC, over all seeds."""


def beside_readers(number: int) -> Iterator[Row]:
    """Part (g): readers err independently; seeds share patients."""
    truths = _true_beside_reader()
    for deviation in (0.02, 0.06):
        for seeds in (2, 3, 5):
            held = np.zeros(len(truths))
            for seed in range(number):
                rng = np.random.default_rng([seed, seeds, int(100 * deviation)])
                found = _beside_reader(rng, seeds, deviation)
                held += [
                    low is not None and high is not None and low <= truth <= high
                    for (low, high), truth in zip(found, truths.values(), strict=True)
                ]
            for name, share in zip(truths, held / number, strict=True):
                setting = f"(g) {name}, {seeds} seeds of SD {deviation:g}"
                yield setting, float(share), 0.93, 1.0


def _true_beside_reader() -> dict[str, float]:
    """True numbers against the majority of the other two, and against the reader alone."""
    right, prevalence = 1 - READER_ERROR, 0.4
    both = prevalence * right**2
    diseased = both / (both + (1 - prevalence) * READER_ERROR**2)
    sensitivity, reader = (diseased * p + (1 - diseased) * (1 - p) for p in (RUNG, right))
    called, cleared = prevalence * right, (1 - prevalence) * right
    a = called / (called + (1 - prevalence) * READER_ERROR)
    b = cleared / (cleared + prevalence * READER_ERROR)
    area = a * b * RUNG + (1 - a) * (1 - b) * (1 - RUNG) + (a * (1 - b) + (1 - a) * b) / 2
    return {
        "sensitivity": sensitivity,
        "sensitivity less the reader's": sensitivity - reader,
        "AUROC against the reader": area,
    }


def _beside_reader(
    rng: np.random.Generator, seeds: int, deviation: float
) -> list[tuple[float | None, float | None]]:
    """Intervals of the three numbers in one data set; target x is called, target y is ranked."""
    ids = [str(i) for i in range(READ_CASES)]
    disease = rng.random(READ_CASES) < 0.4
    said = disease ^ (rng.random((3, READ_CASES)) < READER_ERROR)
    readings = Readings(
        pl.concat(
            pl.DataFrame({"case_id": ids, "reader": f"r{i}", "target_x": one, "target_y": one})
            for i, one in enumerate(said.astype(np.float64))
        )
    )
    drawn = draw_replicates(ids, REPLICATES, int(rng.integers(2**31)), "a")
    shared = rng.normal(size=(2, READ_CASES))
    frame = pl.DataFrame({"case_id": ids, "patient_id": ids, "cohort": "a", "split": "test"})
    every = np.ones(READ_CASES, dtype=np.bool_)
    fit = {0: TargetFit(thresholds={"sens90": 0.5}), 1: TargetFit()}
    runs: list[tuple[str, dict[Place, BesideReader]]] = []
    for seed in range(seeds):
        noise = 0.5**0.5 * (shared + rng.normal(size=(2, READ_CASES)))
        right, area = np.clip(RUNG + deviation * rng.normal(size=2), 0.3, 0.99)
        called = (noise[0] < ndtri(right)) == disease
        scores = np.stack([10.0 * called - 5, noise[1] + 2**0.5 * ndtri(area) * disease], axis=1)
        run = RunArrays(
            run_id=str(seed),
            task="multi-label",
            names=("x", "y"),
            frame=frame,
            targets=np.zeros_like(scores),
            logits=scores,
            probabilities=expit(scores),
        )
        read = ReadCases(run, "a", every, readings, drawn)
        runs.append((str(seed), run_estimates(read, fit)))
    rows = {
        (row.against, row.target, row.metric): (row.low, row.high)
        for row in rung_rows("net", runs)
        if row.run_id is None
    }
    majority = OTHERS.format("r0")
    return [
        rows[majority, "x", "sensitivity@sens90"],
        rows[majority, "x", f"sensitivity{DIFFERENCE}@sens90"],
        rows["r0", "y", "auroc"],
    ]


def _correlated(rng: np.random.Generator, patient: NDArray[np.int64], share: float) -> Floats:
    """Standard normal noise of cases that correlates within a patient. [n]"""
    own: Floats = rng.normal(size=len(patient))
    of_patient: Floats = rng.normal(size=int(patient.max()) + 1)
    return share**0.5 * of_patient[patient] + (1 - share) ** 0.5 * own


PARTS: tuple[tuple[str, int, Callable[[int], Iterator[Row]]], ...] = (
    ("Equal rungs, share with p < .05", 4000, seed_levels),
    ("Few positives, share of intervals that hold the truth", 1000, few_positives),
    ("Equal groups, share with p < .05", 1000, group_levels),
    ("Gaps of small groups, share of intervals that hold the truth", 1000, group_gaps),
    ("Contrasts of few positives, share of intervals that hold the truth", 1000, contrasts),
    ("Interaction of two networks by two pre-training sizes", 1000, interactions),
    ("Rungs beside readers, share of intervals that hold the truth", 1000, beside_readers),
)

if __name__ == "__main__":
    sys.exit(main())
