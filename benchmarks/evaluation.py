"""Scoring speed, against the usual loop over scikit-learn.

    python benchmarks/evaluation.py [--quick]

(a) AUROC and AUPRC, 1,000 patient-clustered replicates, 100,000 cases × 14 targets × 8 groups,
    against `sklearn.metrics` in a loop over the same replicates (some of them are timed and scaled
    up; the values must agree to 1e-9). Goal: 100 times as fast.
(b) the whole catalogue, 1,000 replicates, 25,000 cases × 5 targets × 4 rungs × 10 groups, every
    interval, difference and curve. Goal: under 60 s and under 2 GiB.
(c) time over cases, targets and replicates. Goal: the slope of log time is at most 1.1; memory does
    not grow with the replicates.
(d) AUROC of 1,000,000 cases × 14 targets, 1,000 replicates. Goal: under 10 minutes.
(e) `metrics: [core]` of 500,000 cases × 14 targets, 1,000 replicates. Goal: under 4 GiB, and under
    2,000 bytes a row above the table.

Kernels are compiled before timing starts (the first use of an installation takes some seconds).
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from medtransfer.metrics.cases import Order
from medtransfer.metrics.discrimination import auroc_of, average_precision_of
from medtransfer.metrics.weighted import SubgroupMetrics, Weighted, evaluate_replicates
from medtransfer.statistics.bootstrap import Replicates, draw_replicates

GIB_CORE, BYTES_ROW = 4.0, 2_000
FASTER, SECONDS_WHOLE, GIB_WHOLE, SLOPE, SECONDS_MILLION = 100.0, 60.0, 2.0, 1.1, 600.0
GROUPS = 8
Cases = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.str_]]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, under a minute")
    parser.add_argument("--part", choices=list(PARTS), help="one part, in this process")
    options = parser.parse_args()
    if options.part:
        return 0 if PARTS[options.part](options.quick) else 1
    failed: list[str] = []
    # some machines have settings for old OpenBLAS builds, which slow numpy down
    plain = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    for part in PARTS:  # one process per part, so that memory is measured per part
        arguments = [sys.executable, __file__, "--part", part, *["--quick"] * options.quick]
        done = subprocess.run(arguments, env=plain, check=False)
        failed += [part] * (done.returncode != 0)
    print(f"goals missed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def drawn(cases: int, targets: int, seed: int = 0) -> Cases:
    """Labels [N, T], scores [N, T], group [N], patient [N]; two cases per patient on average."""
    rng = np.random.default_rng(seed)
    patient = np.char.add("p", rng.integers(0, cases // 2, cases).astype(str))
    labels = (rng.random((cases, targets)) < 0.1).astype(np.int64)
    scores = rng.normal(size=(cases, targets)) + labels
    return labels, scores, rng.integers(0, GROUPS, cases), patient


def bound(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> tuple[Weighted, ...]:
    order = Order.of(scores, labels == 1)
    return auroc_of(order.ranking), average_precision_of(order.ranking)


def against_sklearn(quick: bool) -> bool:
    cases, targets, number, checked = (10_000, 2, 200, 2) if quick else (100_000, 14, 1000, 3)
    labels, scores, group, patient = drawn(cases, targets)
    warm_up()
    begun = time.perf_counter()
    replicates = draw_replicates(patient, number, 0, "a")
    places = [(t, group == g) for t in range(targets) for g in range(GROUPS)]
    parts = [
        SubgroupMetrics(replicates.patient[own], bound(labels[own, t], scores[own, t]))
        for t, own in places
    ]
    found = evaluate_replicates(parts, replicates.blocks())
    ours = time.perf_counter() - begun
    rows = np.concatenate([block.T for block in replicates.blocks()])[: 1 + checked]
    worst, begun = 0.0, time.perf_counter()
    for r in range(1, 1 + checked):
        weights = rows[r][replicates.patient].astype(np.float64)
        for (t, own), (areas, precisions) in zip(places, found, strict=True):
            truth, score, weight = labels[own, t], scores[own, t], weights[own]
            area = roc_auc_score(truth, score, sample_weight=weight)
            precision = average_precision_score(truth, score, sample_weight=weight)
            worst = max(worst, abs(area - areas[r]), abs(precision - precisions[r]))
    loop = (time.perf_counter() - begun) / checked * number
    print(
        f"(a) {cases:,} cases × {targets} targets × {GROUPS} groups × {number:,} replicates: "
        f"{ours:.1f} s; scikit-learn's loop {loop:,.0f} s (timed over {checked} replicates); "
        f"largest difference {worst:.1e}"
    )
    return goal(
        f"{loop / ours:,.0f} times as fast",
        loop / ours >= FASTER and worst < 1e-9,
        f"{FASTER:.0f} times and 1e-9",
    )


def whole_catalogue(quick: bool) -> bool:
    from medtransfer.evaluation.comparison.evaluate_table import evaluate_table
    from medtransfer.evaluation.scoring.config import EvaluationConfig

    cases, targets, rungs, number = (2_000, 2, 2, 200) if quick else (25_000, 5, 4, 1000)
    predictions = predictions_of(cases, targets, rungs)
    group = np.random.default_rng(2).integers(0, 10, cases)
    scanner = pl.Series([f"g{g}" for g in group])
    attributes = predictions.head(cases).select("case_id").with_columns(scanner=scanner)
    warm_up()
    config = EvaluationConfig(replicates=number, permutations=number)
    begun = time.perf_counter()
    found = evaluate_table(predictions, attributes, "multi-label", config)
    seconds = time.perf_counter() - begun
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"(b) {cases:,} cases × {targets} targets × {rungs} rungs × 10 groups × {number:,} "
        f"replicates and permutations: {len(found.results):,} results, {seconds:.0f} s, "
        f"{gib:.2f} GiB at most"
    )
    return goal(
        f"{seconds:.0f} s, {gib:.2f} GiB",
        seconds < SECONDS_WHOLE and gib < GIB_WHOLE,
        f"{SECONDS_WHOLE:.0f} s and {GIB_WHOLE:.0f} GiB",
    )


def predictions_of(cases: int, targets: int, rungs: int = 1) -> pl.DataFrame:
    """Predictions table of several rungs; a tenth of the patients are tuning cases."""
    labels, _, _, patient = drawn(cases, targets)
    rng = np.random.default_rng(1)
    split = np.where(np.char.endswith(patient, "7"), "tune", "test")
    tables: list[pl.DataFrame] = []
    for rung in range(rungs):
        signal = rng.normal(size=(cases, targets)) + (1 + 0.3 * rung) * labels - 2.5
        columns = {f"target_x{t}": labels[:, t].astype(float) for t in range(targets)}
        columns |= {f"logit_x{t}": signal[:, t] for t in range(targets)}
        about = {
            "run_id": [f"run{rung}"] * cases,
            "member": [0] * cases,
            "case_id": [f"c{i}" for i in range(cases)],
            "patient_id": patient,
            "cohort": ["a"] * cases,
            "split": split,
        }
        tables.append(pl.DataFrame(about | columns))
    return pl.concat(tables)


def core(quick: bool) -> bool:
    from medtransfer.evaluation.comparison.evaluate_table import evaluate_table
    from medtransfer.evaluation.scoring.config import EvaluationConfig

    cases, targets, number = (50_000, 4, 100) if quick else (500_000, 14, 1000)
    config = EvaluationConfig(metrics=("core",), replicates=number, permutations=0)
    small = predictions_of(400, targets)
    evaluate_table(small, small.select("case_id"), "multi-label", config)  # imports and kernels
    predictions = predictions_of(cases, targets)
    before = resident_bytes()
    begun = time.perf_counter()
    evaluate_table(predictions, predictions.select("case_id"), "multi-label", config)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    row, gib = (peak - before) / cases, peak / 2**30
    print(
        f"(e) core metrics of {cases:,} cases × {targets} targets × {number:,} replicates: "
        f"{seconds:.0f} s, {gib:.2f} GiB at most, {row:,.0f} bytes a row above the table"
    )
    # of few rows what every process holds is most
    met = gib < GIB_CORE and (quick or row < BYTES_ROW)
    wanted = f"{GIB_CORE:.0f} GiB and {BYTES_ROW:,} bytes"
    return goal(f"{gib:.2f} GiB, {row:,.0f} bytes a row", met, wanted)


def resident_bytes() -> int:
    """Memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


def linear(quick: bool) -> bool:
    warm_up()
    base = (20_000, 2, 512) if quick else (25_000, 4, 512)
    slopes: list[float] = []
    for place, what in enumerate(("cases", "targets", "replicates")):
        sizes = [tuple(s * f if i == place else s for i, s in enumerate(base)) for f in (1, 2, 4)]
        times = [min(seconds_of(*size) for _ in range(3)) for size in sizes]
        slope = float(np.polyfit(np.log([1, 2, 4]), np.log(times), 1)[0])
        slopes.append(slope)
        print(
            f"(c) {what}: {', '.join(f'{t:.2f} s' for t in times)} at 1, 2, 4 times; "
            f"slope {slope:.2f}"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds_of(base[0], base[1], 8 * base[2])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
    print(f"(c) memory at 8 times the replicates: {grown:.0f} MiB more")
    return goal(
        f"slope {max(slopes):.2f} at most, {grown:.0f} MiB more",
        max(slopes) <= SLOPE and grown < 300,
        f"{SLOPE} and 300 MiB",
    )


def million(quick: bool) -> bool:
    cases, targets, number = (50_000, 2, 200) if quick else (1_000_000, 14, 1000)
    warm_up()
    seconds = seconds_of(cases, targets, number)
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"(d) AUROC of {cases:,} cases × {targets} targets × {number:,} replicates: "
        f"{seconds:.0f} s, {gib:.1f} GiB at most"
    )
    return goal(f"{seconds:.0f} s", seconds < SECONDS_MILLION, f"{SECONDS_MILLION:.0f} s")


def seconds_of(cases: int, targets: int, number: int) -> float:
    labels, scores, _, patient = drawn(cases, targets)
    begun = time.perf_counter()
    replicates: Replicates = draw_replicates(patient, number, 0, "a")
    parts = [
        SubgroupMetrics(replicates.patient, bound(labels[:, t], scores[:, t])[:1])
        for t in range(targets)
    ]
    evaluate_replicates(parts, replicates.blocks())
    return time.perf_counter() - begun


def warm_up() -> None:
    """Compile the timed kernels."""
    labels, scores, _, patient = drawn(400, 1)
    replicates = draw_replicates(patient, 3, 0, "a")
    evaluate_replicates(
        [SubgroupMetrics(replicates.patient, bound(labels[:, 0], scores[:, 0]))],
        replicates.blocks(),
    )


def goal(found: str, met: bool, wanted: str) -> bool:
    print(f"    {found}; goal {wanted}: {'met' if met else 'MISSED'}", flush=True)
    return met


PARTS = {"a": against_sklearn, "b": whole_catalogue, "c": linear, "d": million, "e": core}

if __name__ == "__main__":
    sys.exit(main())
