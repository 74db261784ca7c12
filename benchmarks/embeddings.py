"""Time to probe the features of another program over label fractions and seeds.

    python benchmarks/embeddings.py [--quick] [--cases N] [--width D]

100,000 cases of 768 correlated features and one target, ten label fractions, five seeds, point
estimates without scores of foreign inputs: a study of one rung `embeddings/…`, from its manifest to
its tables. Reported: wall seconds of the fits (L-BFGS over nine penalties) and of the whole study,
and the CPU seconds of all processes, which other work on the machine changes less.

Goal: the whole under 120 s of wall time on two free cores.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from medtransfer import Study, run_study

GOAL_SECONDS = 120.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="10,000 cases, four runs")
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=768)
    options = parser.parse_args()
    cases, width = (10_000, 256) if options.quick else (options.cases, options.width)
    fractions = [0.5, 1.0] if options.quick else [k / 10 for k in range(1, 11)]
    seeds = [0, 1] if options.quick else [0, 1, 2, 3, 4]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_tables(place, cases, width)
        study = Study.model_validate(settings(place, fractions, seeds))
        start = time.monotonic()
        finished = run_study(study, place / "study")
        whole = time.monotonic() - start
        costs = [finished.run(name).cost() for name in finished.run_ids()]
        fits = sum(cost.seconds for cost in costs)
        auroc = pl.read_parquet(place / "study" / "results.parquet").filter(
            (pl.col("metric") == "auroc") & pl.col("run_id").is_not_null()
        )
        print(f"{len(costs)} runs of {cases:,} cases of {width} features")
        print(f"fits: {fits:.1f} s, {fits / len(costs):.2f} s a run")
        print(f"study: {whole:.1f} s (goal {GOAL_SECONDS:.0f} s)")
        used = (resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
        cpu = sum(usage.ru_utime + usage.ru_stime for usage in used)
        print(f"CPU: {cpu:.1f} s, the drawing of the tables included")
        low, high = auroc["value"].min(), auroc["value"].max()
        peak = max(cost.peak_memory_mib or 0 for cost in costs)
        print(f"AUROC {low:.3f} to {high:.3f}, peak {peak} MiB")
    return 0 if options.quick or whole <= GOAL_SECONDS else 1


def make_tables(folder: Path, cases: int, width: int) -> None:
    """A manifest and features whose covariance has a condition number of about 10^5."""
    draw = np.random.default_rng(0)
    mixing = draw.normal(size=(width, width)) * np.exp(-np.arange(width) * 6 / width)[:, None]
    features = (draw.normal(size=(cases, width)) @ mixing).astype(np.float32)
    logits = features @ draw.normal(size=width)
    logits = 1.5 * logits / logits.std() - 1.5
    names = [f"case-{number}" for number in range(cases)]
    manifest = {
        "image_id": names,
        "case_id": names,
        "patient_id": names,
        "cohort": ["home"] * cases,
        "target": (draw.random(cases) < 1 / (1 + np.exp(-logits))).astype(np.int64),
    }
    pl.DataFrame(manifest).write_parquet(folder / "manifest.parquet")
    vectors = pl.Series("features", features).cast(pl.List(pl.Float32))
    pl.DataFrame([pl.Series("case_id", names), vectors]).write_parquet(folder / "f.parquet")


def settings(folder: Path, fractions: list[float], seeds: list[int]) -> dict[str, Any]:
    """The study, point estimates alone."""
    return {
        "name": "embeddings",
        "data": {
            "manifest": folder / "manifest.parquet",
            "task": "binary",
            "targets": ["target"],
            "split": {"train_cohorts": ["home"]},
        },
        "rungs": [{"rung": "embeddings/drawn", "features": folder / "f.parquet"}],
        "label_fractions": fractions,
        "seeds": seeds,
        "training": {"ood": False},
        "evaluation": {"replicates": 0, "permutations": 0},
    }


if __name__ == "__main__":
    raise SystemExit(main())
