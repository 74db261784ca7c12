"""Packed and long tables are refused before they are read."""

import gzip
import zlib
from pathlib import Path

import polars as pl
import pytest

from medtransfer.errors import TableError
from medtransfer.sizes import text
from medtransfer.tables.csv_reader import read_csv
from medtransfer.tables.manifest import read_manifest

HEADER = "image_id,path,case_id,patient_id,cohort,y\n"


def test_a_bomb_in_gzip_is_refused_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "memory_limit", lambda: 2**26)
    path = tmp_path / "bomb.csv"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(HEADER.encode())
        for _ in range(5):
            file.write(b"a,a,a,a,a,1\n" * 100_000)
    assert path.stat().st_size < 10**6
    with pytest.raises(TableError, match=r'"bomb.csv" needs more than 64.0 MiB of memory'):
        read_manifest(path)
    with pytest.raises(TableError, match=r"t.csv needs more than 64.0 MiB"):
        read_csv(path, "t.csv")


def test_rows_and_columns_are_counted_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDTRANSFER_MAX_ROWS", "1000")
    monkeypatch.setattr(text, "SMALL", 0)
    path = tmp_path / "m.csv"
    path.write_text(HEADER + "a,a,a,a,a,1\n" * 1000)
    with pytest.raises(TableError, match=r"more than 1,000 lines \(allowed: up to 1,000\)"):
        read_manifest(path)
    path.write_text(",".join(f"c{i}" for i in range(10_001)) + "\n")
    with pytest.raises(TableError, match=r"10,001 columns .*MEDTRANSFER_MAX_COLUMNS to 10001"):
        read_manifest(path)


def test_a_long_cell_is_named_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.csv"
    path.write_text(f"{HEADER}a,a,a,a,a,1\nb,b,b,b,b,{'1' * 2001}\n")
    monkeypatch.setenv("MEDTRANSFER_MAX_CELL_BYTES", "2000")
    with pytest.raises(TableError, match=r"too long .*2,000 bytes\): 'y' holds 2,001"):
        read_manifest(path)
    frame = pl.DataFrame({"image_id": ["a", "b"], "y": ["1", "1" * 2001]})
    frame.write_parquet(tmp_path / "m.parquet")
    with pytest.raises(TableError, match=r"'y' holds 2,001 bytes in row 2"):
        read_manifest(tmp_path / "m.parquet")


@pytest.mark.parametrize("name", ["zstd", "zlib"])
def test_other_packings_are_named(tmp_path: Path, name: str) -> None:
    raw = (HEADER + "a,a,a,a,a,1\n").encode()
    packed = zlib.compress(raw) if name == "zlib" else b"\x28\xb5\x2f\xfd" + raw
    (tmp_path / "m.csv").write_bytes(packed)
    with pytest.raises(TableError, match=rf"packed with {name}. Unpack it, or pack it with gzip"):
        read_manifest(tmp_path / "m.csv")
    with pytest.raises(TableError, match="it is not text"):
        read_csv(packed, "m.csv")


def test_gzip_named_csv_is_read_and_csv_named_gz_too(tmp_path: Path) -> None:
    raw = (HEADER + "a,a,a,a,a,1\n").encode()
    (tmp_path / "m.csv").write_bytes(gzip.compress(raw))
    (tmp_path / "m.csv.gz").write_bytes(raw)
    assert read_manifest(tmp_path / "m.csv").frame["y"].to_list() == ["1"]
    assert read_csv(tmp_path / "m.csv.gz", "m")["y"].to_list() == ["1"]
