"""Time of a whole study by one worker of several threads, against several workers of one.

    python benchmarks/study.py [--quick] [--neighbours 4] [--repeats 3]

A phantom of two hospitals, two small networks, several seeds. The same study is run from nothing in
a folder of its own, the two ways in turn, alone or beside busy processes. Printed are the median
time, images a second over the whole study, and the seconds of a run beyond its training.

Goal: several workers are not slower alone, and at least twice as fast beside busy processes.
`--quick` takes under a minute on two idle cores.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.engines.machine import usable_cores
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.schedule import run_study

BUSY_GOAL = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one repeat of a small study")
    parser.add_argument("--neighbours", type=int, default=0, help="busy processes beside the study")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    repeats = 1 if options.quick else options.repeats
    cores = usable_cores()
    ways = {f"1 worker × {cores} threads": 1, f"{cores} workers × 1 thread": cores}
    times: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as place, neighbours(options.neighbours):
        study = small_study(Path(place), quick=options.quick)
        for repeat in range(repeats):
            for way, workers in ways.items():
                folder = StudyFolder(Path(place) / f"{repeat}-{workers}")
                begun = time.perf_counter()
                run_study(study, folder.path, workers=workers)
                times[way].append(time.perf_counter() - begun)
                report(way, folder, times[way][-1], workers)
    one, several = (statistics.median(times[way]) for way in ways)
    beside = f"beside {options.neighbours} busy processes" if options.neighbours else "alone"
    print(f"{beside}: {several:.1f} s against {one:.1f} s, {one / several:.2f} times as fast")
    return 0 if one / several >= (BUSY_GOAL if options.neighbours else 1.0) else 1


def small_study(place: Path, *, quick: bool) -> Study:
    """Two small networks by several seeds."""
    hospitals = {"a": Hospital(120), "b": Hospital(40)}
    write_phantom(Phantom(hospitals=hospitals, size=72, seed=1), place / "lesion.parquet")
    return Study.model_validate(
        {
            "name": "speed",
            "data": {
                "manifest": place / "lesion.parquet",
                "task": "binary",
                "targets": ["malignant"],
                "image": {"resize": 72, "crop": 64},
                "split": {"train_cohorts": ["a"]},
            },
            "rungs": ["imagenet/effnet-lite0", "scratch/r26x0.25"],
            "seeds": list(range(2 if quick else 8)),
            "training": {
                "batch_size": 32,
                "micro_batch": 32,
                "steps": 12 if quick else 120,
                "checks": 2,
                "learning_rate": 0.01,
            },
            "evaluation": {"replicates": 100, "permutations": 50},
        }
    )


def report(way: str, folder: StudyFolder, seconds: float, workers: int) -> None:
    """Print what one pass through the study took."""
    costs = [folder.run(run_id).cost() for run_id in folder.run_ids()]
    training = sum(cost.seconds for cost in costs)
    images = sum(cost.images for cost in costs)
    beyond = (seconds * workers - training) / len(costs)
    print(
        f"{way}: {seconds:.1f} s for {len(costs)} runs, {images / seconds:.0f} images/s, "
        f"{beyond:.1f} s of a worker per run beyond training",
        flush=True,
    )


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Busy processes while inside."""
    processes = [multiprocessing.Process(target=spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def spin() -> None:
    """Keep a core busy until the parent ends it."""
    parent = os.getppid()
    while os.getppid() == parent:
        sum(range(100_000))


if __name__ == "__main__":
    raise SystemExit(main())
