"""Readers of tables are searched for crashes; what is found stays as a test of its own."""

import io
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.sources.trees import workbook
from tests.strategies import FEW

from medtransfer.errors import MedTransferError
from medtransfer.tables.manifest import read_manifest
from medtransfer.tables.other_predictions import read_other_predictions

SECONDS = 40
SUFFIXES = (".csv", ".parquet", ".xlsx", ".tsv")
"""As in `fuzz.py`, which can be imported only where atheris is installed."""
MANIFEST = pl.DataFrame(
    {
        "image_id": ["a", "b"],
        "path": ["a.png", "b.png"],
        "case_id": ["c", "d"],
        "patient_id": ["p", "q"],
        "cohort": ["n", "n"],
        "edema": ["1", "-1"],
        "sex": ["F", None],
    }
)
PREDICTIONS = pl.DataFrame(
    {
        "case_id": ["a", "b"],
        "patient_id": ["p", "q"],
        "split": ["tune", "test"],
        "target_x": [0.0, 1.0],
        "logit_x": [-0.5, 2.25],
    }
)


def encoded(frame: pl.DataFrame, suffix: str, folder: Path) -> bytes:
    """A table as the bytes of a file."""
    stream = io.BytesIO()
    separator = "\t" if suffix == ".tsv" else ","
    if suffix == ".parquet":
        frame.write_parquet(stream)
    else:
        frame.write_csv(stream, separator=separator)
    if suffix == ".xlsx":
        rows = [["" if cell is None else str(cell) for cell in row] for row in frame.rows()]
        workbook(folder / "seed.xlsx", frame.columns, rows)
        return (folder / "seed.xlsx").read_bytes()
    return stream.getvalue()


def seeds() -> list[bytes]:
    """Good tables of every kind, behind the byte that names it."""
    with TemporaryDirectory() as folder:
        return [
            bytes([4 * kind + number]) + encoded(frame, suffix, Path(folder))
            for kind, frame in enumerate((MANIFEST, PREDICTIONS))
            for number, suffix in enumerate(SUFFIXES)
        ]


def read(folder: Path, data: bytes) -> str | None:
    """What is wrong with a table; any other error is a crash."""
    path = folder / f"table{SUFFIXES[data[0] & 3]}"
    path.write_bytes(data[1:])
    try:
        if data[0] & 4:
            read_other_predictions(path)
        else:
            read_manifest(path, targets=["edema"], attributes=["sex"])
    except MedTransferError as error:
        return str(error)
    return None


@pytest.mark.parametrize("data", seeds(), ids=range(2 * len(SUFFIXES)))
def test_seeds_of_the_search_are_good(data: bytes, tmp_path: Path) -> None:
    assert read(tmp_path, data) is None


@FEW
@given(st.sampled_from(seeds()), st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 10**6))
def test_a_damaged_table_is_read_or_refused_with_a_reason(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, place: int, byte: int, end: int
) -> None:
    damaged = bytearray(data)
    damaged[1 + place % (len(data) - 1)] = byte
    cut = bytes(damaged[: max(1, end % (2 * len(data)))])
    said = read(tmp_path_factory.getbasetemp(), cut)
    assert said is None or len(said) > 20


def test_rows_of_many_cells_with_a_lone_line_end_are_refused(tmp_path: Path) -> None:
    # found by the search: Python's reader ends a row there, and polars does not
    row = b"b\tb.png\td\tcase\0\r24\tq\tq\tn\t-1\tF\n"
    said = read(
        tmp_path, b"\x03" + b"image_id\tpath\tcase_id\tpatient_id\tcohort\tedema\tsex\n" + row
    )
    assert said == (
        'Manifest "table.tsv" cannot be read: a row has more cells than the header, or a line end '
        "or another control character within a cell."
    )


@pytest.mark.slow
@pytest.mark.parametrize("value", [0, 4])
def test_parquet_files_whose_counts_contradict_each_other_are_refused(
    tmp_path: Path, value: int
) -> None:
    # found by the search: polars panics, which is no exception of its own tree
    good = seeds()[1]
    said: set[str | None] = set()
    for place in range(len(good) // 2, len(good) * 9 // 16):
        damaged = bytearray(good)
        damaged[place] = value
        said.add(read(tmp_path, bytes(damaged)))
    assert 'Manifest "table.parquet" is not a readable Parquet file.' in said


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed")
def test_a_search_finds_no_table_that_crashes_a_reader(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for i, data in enumerate(seeds()):
        (corpus / f"seed{i}").write_bytes(data)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.tables.fuzz",
            str(corpus),
            f"-max_total_time={SECONDS}",
            "-max_len=8192",
            "-rss_limit_mb=4096",
            "-timeout=20",
            f"-artifact_prefix={tmp_path}/",
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "DONE" in done.stderr
