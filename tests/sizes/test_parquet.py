"""The footer of a Parquet file says how large the file is, and is believed before it is read."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import FEW

from medtransfer.errors import TableError
from medtransfer.sizes import limits
from medtransfer.sizes.parquet import parquet_size, require_parquet_size
from medtransfer.tables.manifest import read_manifest


def test_rows_of_a_small_file_are_counted_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.parquet"
    pl.DataFrame({"image_id": pl.repeat("a", 2_000_000, eager=True)}).write_parquet(path)
    assert path.stat().st_size < 200_000
    assert parquet_size(path).rows == 2_000_000
    monkeypatch.setenv("MEDTRANSFER_MAX_ROWS", "1_999_999")
    monkeypatch.setattr(pl, "read_parquet", None)
    with pytest.raises(TableError, match=r'"m.parquet" has 2,000,000 rows \(allowed: up to 1,999'):
        read_manifest(path)


def test_long_cells_and_lists_count_as_what_they_unpack_to(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    pl.DataFrame({"a": ["x" * 10**5 + str(i) for i in range(50)], "b": [b""] * 50}).write_parquet(
        path, use_pyarrow=False, compression="zstd"
    )
    assert path.stat().st_size < 10**5
    assert parquet_size(path).memory > 50 * 10**5
    assert parquet_size(path, skip=["a"]).memory < 10**5
    pl.DataFrame({"a": [[0.0] * 10**5] * 3}).write_parquet(path)
    size = parquet_size(path)
    assert (size.rows, size.columns) == (3, 1)
    assert size.memory > 3 * 8 * 10**5


def test_a_text_packed_once_and_shown_often_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.parquet"
    frame = pl.DataFrame({"image_id": ["x" * 100_000]}).select(pl.all().repeat_by(60).explode())
    frame.write_parquet(path)
    assert parquet_size(path).memory < 2**20
    monkeypatch.setattr(limits, "memory_limit", lambda: 2**22)
    with pytest.raises(TableError, match=r"needs about 5.7 MiB of memory once it is unpacked"):
        read_manifest(path)


@FEW
@given(st.binary(max_size=200), st.integers(0, 400))
def test_a_damaged_footer_is_left_to_the_reader(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "m.parquet"
    pl.DataFrame({"a": ["x", "y"], "b": [1, 2]}).write_parquet(path)
    raw = bytearray(path.read_bytes())
    at = max(4, len(raw) - 8 - place)
    raw[at : at + len(junk)] = junk
    path.write_bytes(bytes(raw) + raw[-8:] * (len(raw) % 2))
    require_parquet_size(path, "It")
