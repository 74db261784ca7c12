"""Time to sum up a study of many finished runs, from nothing and after a few more.

    python benchmarks/collect.py [--quick] [--runs N]

Runs are linear probes of the features of another program (real ones: each is fitted, predicted and
scored) of 20 rungs at ten label fractions, and as many seeds as make N; two hospitals, one target,
1,000 replicates. Reported, in wall seconds and CPU seconds of all processes: carrying the runs out,
summing them up anew (`collected.json` was deleted), the command again when nothing changed, the
report, and one more rung with its runs and all tables.

Goal: tables and report of 2,000 runs under 60 s, 20,000 under 300 s.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from medtransfer import Study, run_study, write_report

GOALS = {2_000: 60.0, 20_000: 300.0}
RUNGS, FRACTIONS, WIDTH = 20, tuple(k / 10 for k in range(1, 11)), 16
CASES = {"home": 600, "away": 300}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="40 runs of two rungs")
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--folder", type=Path, help="where the study is kept for another time")
    options = parser.parse_args()
    rungs = 2 if options.quick else RUNGS
    seeds = (40 if options.quick else options.runs) // (rungs * len(FRACTIONS))
    with tempfile.TemporaryDirectory() as temporary:
        place = options.folder or Path(temporary)
        place.mkdir(exist_ok=True)
        make_tables(place, rungs + 1)
        study = Study.model_validate(settings(place, rungs, seeds))
        runs = rungs * len(FRACTIONS) * seeds
        print(f"{runs} runs: {rungs} rungs, {len(FRACTIONS)} label fractions, {seeds} seeds")
        timed("runs and tables", lambda: run_study(study, place / "study"))
        (place / "study" / "collected.json").unlink()
        tables = timed("tables", lambda: run_study(study, place / "study"))
        timed("nothing changed", lambda: run_study(study, place / "study"))
        report = timed("report", lambda: write_report(place / "study"))
        more = study.model_copy(update={"rungs": (*study.rungs, added(place, rungs))})
        timed(f"one more rung, {runs // rungs} runs", lambda: run_study(more, place / "study"))
        size = (place / "study" / "report.html").stat().st_size
    goal = GOALS.get(runs)
    stated = "" if goal is None else f" (goal {goal:.0f} s)"
    print(f"report: {size / 2**20:.2f} MiB")
    print(f"tables and report of {runs} runs: {tables + report:.1f} s{stated}")
    return 0 if goal is None or tables + report <= goal else 1


def timed(what: str, work: Callable[[], object]) -> float:
    """Carry out a piece of work and print its wall and CPU seconds."""
    wall, cpu = time.monotonic(), used_cpu()
    work()
    seconds = time.monotonic() - wall
    print(f"{what}: {seconds:.1f} s, CPU {used_cpu() - cpu:.1f} s", flush=True)
    return seconds


def used_cpu() -> float:
    """CPU seconds of this process and of those that ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def make_tables(folder: Path, rungs: int) -> None:
    """A manifest of two hospitals, and features of each rung that say more and more."""
    draw = np.random.default_rng(0)
    num_cases = sum(CASES.values())
    truth = (draw.random(num_cases) < 0.3).astype(np.int64)
    names = [f"case-{number}" for number in range(num_cases)]
    manifest = {
        "image_id": names,
        "case_id": names,
        "patient_id": names,
        "cohort": [cohort for cohort, number in CASES.items() for _ in range(number)],
        "sex": draw.choice(["F", "M"], num_cases).tolist(),
        "target": truth,
    }
    pl.DataFrame(manifest).write_parquet(folder / "manifest.parquet")
    for number in range(rungs):
        features = draw.normal(size=(num_cases, WIDTH)).astype(np.float32)
        features[:, 0] += truth * (0.5 + number / rungs)
        vectors = pl.Series("features", features).cast(pl.List(pl.Float32))
        table = pl.DataFrame([pl.Series("case_id", names), vectors])
        table.write_parquet(folder / f"features-{number}.parquet")


def rung_entry(folder: Path, number: int) -> dict[str, Any]:
    """The entry of a rung."""
    return {"rung": f"embeddings/rung-{number}", "features": folder / f"features-{number}.parquet"}


def added(folder: Path, number: int) -> Any:
    """The rung that comes later, as a study has it."""
    return Study.model_validate(settings(folder, number + 1, 1)).rungs[-1]


def settings(folder: Path, rungs: int, seeds: int) -> dict[str, Any]:
    """The study."""
    return {
        "name": "collect",
        "data": {
            "manifest": folder / "manifest.parquet",
            "task": "binary",
            "targets": ["target"],
            "attributes": ["sex"],
            "split": {"train_cohorts": ["home"]},
        },
        "rungs": [rung_entry(folder, number) for number in range(rungs)],
        "label_fractions": list(FRACTIONS),
        "seeds": list(range(seeds)),
        "training": {"ood": False},
    }


if __name__ == "__main__":
    raise SystemExit(main())
