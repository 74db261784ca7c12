"""Speed of the duplicate search among many images, and cost of the audit of a large table.

    python benchmarks/audit.py [--quick]

(a) all pairs within the radius among 250,000 hashes, 1 % of them in clusters of 50, in all eight
    orientations, on one core; every planted pair must be found. Goal: under 10 minutes.
(b) the whole search for copies among 50,000 similar thumbnails (one anatomy), with 500 planted
    copies: hashes, index, second comparison. Goal: under 3 minutes, 97 % of the copies, no other
    pair.
(c) the audit of a table of 10,000,000 rows without its files. Goal: under 5 minutes, and at most
    1.0 GiB in addition to the table.

Times are processor times of all threads together, so other work on the machine does not count.
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

from medtransfer.data.audit.duplicates import find_pairs
from medtransfer.data.audit.hashing.perceptual_hash import RADIUS, SIDE, TURNS, close_pairs
from medtransfer.data.audit.run import audit
from medtransfer.data.config import DataConfig
from medtransfer.tables.manifest import Manifest

SECONDS_HASHES, SECONDS_COPIES, SECONDS_TABLE, GIB_TABLE = 600.0, 180.0, 300.0, 1.0
CLUSTER = 50


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
    plain = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    single = plain | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    for part in PARTS:  # one process per part, so that memory is measured per part
        arguments = [sys.executable, __file__, "--part", part, *["--quick"] * options.quick]
        done = subprocess.run(arguments, env=single, check=False)
        failed += [part] * (done.returncode != 0)
    print(f"goals missed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def hashes(quick: bool) -> bool:
    count = 50_000 if quick else 250_000
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2**64, count, dtype=np.uint64)
    centres = rng.choice(count, (count // 100 // CLUSTER, CLUSTER), replace=False)
    for members in centres:
        bits = np.zeros((CLUSTER, 64), dtype=np.uint8)
        for row in bits[1:]:
            row[rng.choice(64, rng.integers(0, RADIUS + 1), replace=False)] = 1
        codes[members] = codes[members[0]] ^ np.packbits(bits, axis=1).view(np.uint64).ravel()
    list(close_pairs(codes[:3000], codes[:3000]))  # compile
    begun = time.process_time()
    found: set[tuple[int, int]] = set()
    for _turn in TURNS:
        for pairs in close_pairs(codes, codes):
            found |= set(zip(pairs[0].tolist(), pairs[1].tolist(), strict=True))
    seconds = time.process_time() - begun
    planted = planted_pairs(codes, centres)
    missed = len(planted - found)
    print(
        f"(a) {count:,} hashes, {len(planted):,} planted pairs, {len(TURNS)} turns: "
        f"{seconds:.0f} s, {missed} missed"
    )
    limit = SECONDS_HASHES / (10 if quick else 1)
    return goal(
        f"{seconds:.0f} s, {missed} missed",
        seconds < limit and not missed,
        f"{limit:.0f} s, none missed",
    )


def planted_pairs(codes: NDArray[np.uint64], centres: NDArray[np.int64]) -> set[tuple[int, int]]:
    """Pairs within the radius, by comparing all hashes of each cluster."""
    planted: set[tuple[int, int]] = set()
    for members in np.sort(centres, axis=1):
        distance = np.bitwise_count(codes[members, None] ^ codes[members])
        one, other = np.nonzero(np.triu(distance <= RADIUS, 1))
        planted |= set(zip(members[one].tolist(), members[other].tolist(), strict=True))
    return planted


def copies(quick: bool) -> bool:
    count, planted = (8_000, 100) if quick else (50_000, 500)
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(40, SIDE, SIDE))
    shared = np.cumsum(np.cumsum(shared, axis=1), axis=2)  # smooth
    shared /= shared.std(axis=(1, 2), keepdims=True)
    weights = rng.normal(size=(count, 40)) / np.sqrt(np.arange(1, 41)) + np.eye(40)[0]
    images = np.einsum("nk,kij->nij", weights, shared) + 0.15 * rng.normal(size=(count, SIDE, SIDE))
    places = rng.choice(count, planted, replace=False)
    thumbs = np.concatenate(
        [images, 1.2 * images[places] + 0.05 * rng.normal(size=(planted, SIDE, SIDE))]
    )
    thumbs = np.clip(np.rint(128 + 15 * thumbs), 0, 255).astype(np.uint8)
    truth = {(int(place), count + n) for n, place in enumerate(places)}
    find_pairs(thumbs[:3000])  # compile
    begun = time.process_time()
    pairs = find_pairs(thumbs)
    seconds = time.process_time() - begun
    found = set(pairs.select("first", "second").iter_rows())
    recall, false = len(found & truth) / planted, len(found - truth)
    print(
        f"(b) {count:,} thumbnails of one anatomy: {seconds:.0f} s, {recall:.1%} of {planted} "
        f"copies, {false} other pairs"
    )
    limit = SECONDS_COPIES / (4 if quick else 1)
    met = seconds < limit and recall >= 0.97 and false == 0
    return goal(
        f"{seconds:.0f} s, {recall:.1%}, {false} false", met, f"{limit:.0f} s, 97 %, 0 false"
    )


def table(quick: bool) -> bool:
    rows = 500_000 if quick else 10_000_000
    number = pl.int_range(rows, eager=True)
    case, patient = number // 2, number // 4
    split = pl.Series(["train", "train", "tune", "test"])
    frame = pl.DataFrame(
        {
            "row": number + 1,
            "image_id": "i" + (number + 10**8).cast(pl.String),
            "path": "f/i" + (number + 10**8).cast(pl.String) + ".png",
            "case_id": "c" + (case + 10**8).cast(pl.String),
            "patient_id": "p" + (patient + 10**8).cast(pl.String),
            "cohort": pl.Series(["b", "a", "a", "a", "a"]).gather(patient % 5),
            "split": split.gather(patient % 4),
            "sex": pl.Series(["F", "M"]).gather(patient * 7 % 11 % 2),
            "x": (case * 2654435761 % 97 < 20).cast(pl.Int8),
            "y": (case * 40503 % 89 < 9).cast(pl.Int8),
        }
    )
    asked = DataConfig.model_validate(
        {
            "manifest": "m.parquet",
            "task": "multi-label",
            "targets": ["x", "y"],
            "attributes": ["sex"],
            "split": {"train_cohorts": ["a"]},
        }
    )
    manifest = Manifest(frame, Path("m.parquet"), Path("/"), embedded=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    found = audit(manifest, frame, None, asked)
    seconds = time.process_time() - begun
    gib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    print(
        f"(c) {rows:,} rows: {seconds:.0f} s, {gib:.2f} GiB beside the table "
        f"({before / 2**20:.2f}), {len(found)} findings"
    )
    limit = SECONDS_TABLE / (10 if quick else 1)
    return goal(
        f"{seconds:.0f} s, {gib:.2f} GiB",
        seconds < limit and gib < GIB_TABLE,
        f"{limit:.0f} s, {GIB_TABLE} GiB",
    )


def goal(found: str, met: bool, wanted: str) -> bool:
    print(f"    {found}; goal {wanted}: {'met' if met else 'MISSED'}", flush=True)
    return met


PARTS = {"a": hashes, "b": copies, "c": table}

if __name__ == "__main__":
    sys.exit(main())
