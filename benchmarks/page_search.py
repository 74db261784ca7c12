"""CPU time to search a report for the ids and file names of the tables behind it.

    python benchmarks/page_search.py [--ids N]

The page is 3 MB of text, table cells and coordinates, as reports with many figures have. The ids
are of three kinds: of one word that stands nowhere, of words that each stand on the page though
the id does not (`mean-12-345`), and paths. Ten ids of each kind do stand on it. Reported are CPU
seconds.
"""

import argparse
import time

import numpy as np
import polars as pl

from medtransfer.report.identifiers import identifiers_of, search_page

PAGE_BYTES = 3 * 10**6
PLANTED = 10


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--ids", type=int, default=1_000_000, help="rows of the manifest")
    rows = parser.parse_args().ids
    numbers = np.arange(rows)
    manifest = pl.DataFrame(
        {
            "image_id": [f"mean-{number // 1000}-{number % 1000}" for number in numbers],
            "case_id": [f"study{number:08d}" for number in numbers],
            "patient_id": [f"patient{number // 2:08d}" for number in numbers],
            "path": [f"files/p{number // 2:07d}/s{number:08d}/front.png" for number in numbers],
        }
    )
    page = page_of(manifest)
    predictions = manifest.select("case_id", "patient_id")
    start = time.process_time()
    identifiers = identifiers_of(predictions, manifest)
    made = time.process_time()
    search = search_page(page, identifiers)
    end = time.process_time()
    print(f"{len(identifiers.ids):,} ids from {rows:,} rows: {made - start:.1f} s")
    print(f"search of {len(page) / 10**6:.1f} MB: {end - made:.1f} s, {search.found:,} found")
    return 0


def page_of(manifest: pl.DataFrame) -> str:
    """A page of numbers and words, with the first rows of each column of ids among them."""
    draw = np.random.default_rng(0)
    planted = [str(cell) for name in manifest.columns for cell in manifest[name][:PLANTED]]
    parts: list[str] = []
    size = 0
    while size < PAGE_BYTES:
        x, y, count = draw.integers(0, 1000, 3)
        parts.append(f'<td class="n">{count}</td><path d="M{x} {y} L{y}-{x}"/> the mean of {x}.{y}')
        size += len(parts[-1]) + 1
    return "\n".join([*parts, *planted])


if __name__ == "__main__":
    raise SystemExit(main())
