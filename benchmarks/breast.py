"""Time to find and cut the breast, beside the time to decode the same film.

    python benchmarks/breast.py [--quick]

A digitised film of 4664 × 3064 px (JPEG 2000 in DICOM) and a film of MIAS at 256 px (JPEG), from
`../shared/data`; it says so and ends where they are absent. Reported: median milliseconds of the
cut and of decoding.

Goal: on the large film the cut takes at most a tenth of the decoding.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import polars as pl

from medtransfer.data.images.decode import decode
from medtransfer.data.images.region import Framing

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
LIMIT = 10**8
GOAL = 0.1
FRAMING = Framing("breast", "left")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="three times each in place of nine")
    repeats = 3 if parser.parse_args().quick else 9
    if not SHARED.is_dir():
        print(f"skipped: real images are absent ({SHARED.name} beside the repository's folder)")
        return 0
    small = pl.read_parquet(SHARED / "mammo_mias.parquet")["image"][0]
    large = (SHARED / "dicom/mg_mammo_12bit_j2k_lossy.dcm").read_bytes()
    share = 0.0
    for name, data in (("256 px", small), ("4664 × 3064 px", large)):
        pixels = decode(data, LIMIT)
        decoding = milliseconds(lambda data=data: decode(data, LIMIT), repeats)
        cut = milliseconds(lambda pixels=pixels: FRAMING.apply(pixels), repeats)
        share = cut / decoding
        print(f"{name}: cut {cut:.1f} ms, decoding {decoding:.1f} ms")
    print(f"cut over decoding of the large film: {share:.3f} (goal {GOAL})")
    return 0 if share <= GOAL else 1


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of some calls."""
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return median(times)


if __name__ == "__main__":
    raise SystemExit(main())
