"""What a good manifest becomes: ids as written, labels in one spelling, rows in one order."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from unicodedata import normalize

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.strategies import FEW, ids, label_cells, manifests

from medtransfer.errors import TableError
from medtransfer.tables.manifest import Manifest, free_columns, label_text, read_manifest
from medtransfer.tables.schema import write_frame

HEAD = "image_id,path,case_id,patient_id,cohort"


def csv_manifest(folder: Path, *rows: str, head: str = HEAD) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def frame_of(names: list[str], **columns: Sequence[object]) -> pl.DataFrame:
    count = len(names)
    fixed = {"path": ["a.png"] * count, "cohort": ["A"] * count}
    return pl.DataFrame(
        {"image_id": names, "case_id": names, "patient_id": names, **fixed, **columns}
    )


def different(names: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """Ids that do not only differ in how their letters are put together, which is refused."""
    return st.lists(names, min_size=1, max_size=10, unique_by=partial(normalize, "NFC"))


@FEW
@given(different(ids()), st.booleans())
def test_ids_come_back_exactly(tmp_path: Path, names: list[str], as_csv: bool) -> None:
    path = tmp_path / ("manifest.csv" if as_csv else "manifest.parquet")
    write_frame(frame_of(names), path)
    frame = read_manifest(path).frame
    for column in ("image_id", "case_id", "patient_id"):
        assert sorted(frame[column].to_list()) == sorted(names)
    assert frame["image_id"].to_list() == frame["patient_id"].to_list()


@FEW
@given(different(ids()))
def test_rows_are_in_the_order_of_image_ids_and_keep_their_numbers(
    tmp_path: Path, names: list[str]
) -> None:
    write_frame(frame_of(names), tmp_path / "manifest.parquet")
    frame = read_manifest(tmp_path / "manifest.parquet").frame
    assert frame["image_id"].to_list() == sorted(names, key=str.encode)
    assert [names[row - 1] for row in frame["row"].to_list()] == frame["image_id"].to_list()


@FEW
@given(manifests(targets=2, cohorts=3), st.sampled_from([".csv", ".parquet"]))
def test_a_manifest_written_and_read_again_is_the_same(
    tmp_path: Path, manifest: Manifest, suffix: str
) -> None:
    path = tmp_path / f"manifest{suffix}"
    write_frame(manifest.frame.drop("row"), path)
    again = read_manifest(path, targets=["t0", "t1"]).frame.drop("row")
    expected = manifest.frame.drop("row").with_columns(pl.col("t0", "t1").replace("", None))
    assert_frame_equal(again, expected)


def test_leading_zeros_stay_in_every_id_column(tmp_path: Path) -> None:
    frame = read_manifest(csv_manifest(tmp_path, "001,a.png,0002,00003,04")).frame
    assert frame.drop("row", "path").row(0) == ("001", "0002", "00003", "04")


def test_blanks_around_ids_do_not_make_two_of_one(tmp_path: Path) -> None:
    path = csv_manifest(tmp_path, "a,a.png,c,p ,A", "b,b.png,d, p,A")
    assert read_manifest(path).frame["patient_id"].to_list() == ["p", "p"]


@FEW
@given(st.lists(label_cells(), min_size=1, max_size=12), st.sampled_from([".csv", ".parquet"]))
def test_labels_have_one_spelling(tmp_path: Path, cells: list[str], suffix: str) -> None:
    names = [f"{i:03d}" for i in range(len(cells))]
    path = tmp_path / f"manifest{suffix}"
    write_frame(frame_of(names, Edema=cells), path)
    frame = read_manifest(path, targets=["Edema"]).frame
    numbers = [float(cell) if cell.strip() else None for cell in cells]
    expected = [
        None if number is None else f"{number:.0f}".replace("-0", "0") for number in numbers
    ]
    assert frame.select(label_text("Edema"))["Edema"].to_list() == expected


@pytest.mark.parametrize("kind", [pl.Int8, pl.Int64, pl.Float32, pl.Float64, pl.String])
def test_labels_may_be_stored_as_any_number(tmp_path: Path, kind: type[pl.DataType]) -> None:
    column = pl.Series("Edema", [1, 0, -1, None]).cast(kind)
    frame = frame_of(list("abcd")).with_columns(column)
    write_frame(frame, tmp_path / "manifest.parquet")
    read = read_manifest(tmp_path / "manifest.parquet", targets=["Edema"]).frame
    assert read.select(label_text("Edema"))["Edema"].to_list() == ["1", "0", "-1", None]


def test_grades_with_gaps_may_be_stored_as_decimals(tmp_path: Path) -> None:
    frame = frame_of(list("abcd"), grade=[0.0, 2.0, 4.0, None])
    write_frame(frame, tmp_path / "manifest.parquet")
    grades = ["0", "1", "2", "3", "4"]
    read = read_manifest(tmp_path / "manifest.parquet", class_column="grade", targets=grades).frame
    assert read.select(label_text("grade"))["grade"].to_list() == ["0", "2", "4", None]


def test_cells_of_blanks_are_empty_in_every_column(tmp_path: Path) -> None:
    write_frame(frame_of(["a", "b"], lesion=["", " x "]), tmp_path / "manifest.parquet")
    read = read_manifest(tmp_path / "manifest.parquet", attributes=["lesion"]).frame
    assert read["lesion"].to_list() == [None, "x"]


def test_columns_that_nobody_asked_for_may_hold_anything(tmp_path: Path) -> None:
    path = csv_manifest(tmp_path, "a,a.png,c,p,A,see letter", head=HEAD + ",remark")
    manifest = read_manifest(path)
    assert manifest.frame["remark"].to_list() == ["see letter"]
    assert free_columns(manifest.frame) == ["remark"]


def test_view_and_laterality_are_read_as_such(tmp_path: Path) -> None:
    path = csv_manifest(
        tmp_path, "a,a.png,c,p,A,MLO,L", "b,b.png,c,p,A,,", head=HEAD + ",view,laterality"
    )
    frame = read_manifest(path, attributes=["view"]).frame
    assert frame.select("view", "laterality").rows() == [("MLO", "L"), (None,) * 2]


@pytest.mark.parametrize("name", ["image_id", "case_id", "patient_id"])
def test_ids_that_only_look_the_same_are_refused(tmp_path: Path, name: str) -> None:
    ids = {"image_id": ["a", "b"], "case_id": ["a", "b"], "patient_id": ["p", "q"]}
    ids[name] = ["caf\u00e9", "cafe\u0301"]
    rows = zip(ids["image_id"], ids["case_id"], ids["patient_id"], strict=True)
    path = csv_manifest(tmp_path, *(f"{i},{i}.png,{c},{p},A" for i, c, p in rows))
    with pytest.raises(
        TableError, match=f"'{name}' has the same text in several Unicode forms.*rows 2"
    ):
        read_manifest(path)


def test_paths_are_below_the_manifest_or_below_the_root_that_is_given(tmp_path: Path) -> None:
    path = csv_manifest(tmp_path, "a,images/a.png,c,p,A")
    assert read_manifest(path).root == tmp_path.resolve()
    assert read_manifest(str(path), image_root=tmp_path / "x").root == tmp_path.resolve() / "x"


def test_pictures_inside_are_left_in_the_file(tmp_path: Path) -> None:
    frame = frame_of(["a", "b"]).drop("path").with_columns(image=pl.lit(b"\x89PNG"))
    write_frame(frame, tmp_path / "manifest.parquet")
    manifest = read_manifest(tmp_path / "manifest.parquet")
    assert manifest.embedded
    assert len(manifest) == 2
    assert "image" not in manifest.frame.columns


def test_a_split_column_is_kept(tmp_path: Path) -> None:
    path = csv_manifest(tmp_path, "a,a.png,c,p,A,train", "b,b.png,d,q,A,test", head=HEAD + ",split")
    assert read_manifest(path).frame["split"].to_list() == ["train", "test"]
