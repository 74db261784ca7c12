"""Reading and writing tables: nothing lost, nothing changed, every fault said."""

import io
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.strategies import AWKWARD, FEW, finite, ids

from medtransfer.errors import TableError
from medtransfer.tables.schema import (
    ROW,
    Column,
    Contract,
    check_columns,
    duplicates,
    raise_faults,
    read_frame,
    read_noted_frame,
    rows_of,
    typed,
    write_frame,
    write_spreadsheet,
)

CONTRACT = Contract(
    "Things",
    (
        Column("thing_id", "text", "Its name."),
        Column("count", "integer", "How many.", required=False, filled=False),
        Column("size", "number", "How large.", required=False, filled=False),
        Column("colour", "text", "One of two.", required=False, allowed=("red", "blue")),
        Column("picture", "bytes", "How it looks.", required=False),
        Column("score_<name>", "number", "A family.", required=False),
    ),
)


def read(path: Path) -> pl.DataFrame:
    """A table through reading, checking and typing, as every room does it."""
    frame = read_frame(path, CONTRACT)
    raise_faults(CONTRACT, path, check_columns(frame, CONTRACT))
    return typed(frame, CONTRACT)


def csv_file(folder: Path, content: str | bytes) -> Path:
    path = folder / "things.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def parquet_file(folder: Path, **columns: list[object]) -> Path:
    path = folder / "things.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


rows = st.lists(
    st.tuples(ids(), st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | finite()),
    min_size=1,
    max_size=12,
)


@FEW
@given(rows, st.sampled_from([".csv", ".parquet", ".CSV", ".PARQUET"]))
def test_a_table_comes_back_exactly_as_written(
    tmp_path: Path, content: list[tuple[str, int | None, float | None]], suffix: str
) -> None:
    schema = {"thing_id": pl.String, "count": pl.Int64, "size": pl.Float64}
    frame = pl.DataFrame(content, schema=schema, orient="row")
    write_frame(frame, tmp_path / f"things{suffix}")
    assert_frame_equal(read(tmp_path / f"things{suffix}").drop(ROW), frame, check_exact=True)


@FEW
@given(st.lists(ids(), min_size=1, max_size=12))
def test_ids_of_any_kind_survive_parquet(tmp_path: Path, names: list[str]) -> None:
    write_frame(pl.DataFrame({"thing_id": names}), tmp_path / "things.parquet")
    assert read(tmp_path / "things.parquet")["thing_id"].to_list() == names


def test_ids_that_look_like_numbers_stay_text_in_csv(tmp_path: Path) -> None:
    names = ["007", "0", "1e5", "1.0", "NaN", "null", "true", "12345678901234567890"]
    path = csv_file(tmp_path, "thing_id\n" + "\n".join(names))
    assert read(path)["thing_id"].to_list() == names


def test_bytes_survive_parquet(tmp_path: Path) -> None:
    path = tmp_path / "things.parquet"
    write_frame(pl.DataFrame({"thing_id": ["a"], "picture": [b"\x00\xff"]}), path)
    assert read(path)["picture"].to_list() == [b"\x00\xff"]
    assert "picture" not in read_frame(path, CONTRACT, skip=("picture",)).columns


@pytest.mark.parametrize(
    "dress",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
        lambda text: text.rstrip("\n").encode(),
        lambda text: text.replace("007", '"007"').encode(),
        lambda text: text.replace("007", " 007 ").encode(),
    ],
    ids=["BOM", "CRLF", "BOM and CRLF", "no last newline", "quoted", "blanks"],
)
def test_csv_dialects_read_alike(tmp_path: Path, dress: Callable[[str], bytes]) -> None:
    path = csv_file(tmp_path, dress("thing_id,count\n007,1\n008,-2\n"))
    expected = {"thing_id": ["007", "008"], "count": [1, -2], ROW: [2, 3]}
    assert read(path).to_dict(as_series=False) == {ROW: [2, 3], **expected}


def test_rows_of_a_csv_are_numbered_as_a_spreadsheet_shows_them(tmp_path: Path) -> None:
    path = csv_file(tmp_path, 'thing_id,count\n"two\nlines",1\nb,wrong\n')
    with pytest.raises(TableError, match=r"'count' holds 1 wrong value in 1 row, first in row 3 "):
        read(path)


def test_rows_of_a_parquet_file_are_numbered_from_one(tmp_path: Path) -> None:
    path = parquet_file(tmp_path, thing_id=["a", "b"], colour=["red", "green"])
    with pytest.raises(TableError, match=r"'colour' holds 1 wrong value in 1 row, first in row 2 "):
        read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty. It needs a header and at least one row"),
        (b"\n\n", "is empty. It needs a header and at least one row"),
        (b"thing_id\n", "has no rows. It needs a header and at least one row"),
        (b"thing_id", "has no rows. It needs a header and at least one row"),
        (b"thing_id,count\na,1\nb,2,3\n", "line 3 has 3 cells, the header has 2"),
        ("thing_id\na\nŻółty\n".encode("cp1250"), "line 3 is not UTF-8 text, and its letters do"),
        ("thing_id,пол\na,1\n".encode("cp1251"), "line 1 is not UTF-8 text, and its letters do"),
        (b'thing_id,count\n"a,1\nb,2\n', "the quotes in line 2 or below do not come in pairs"),
        (
            b"thing_id,count,count\na,1,2\n",
            "several columns with the same name: count. Keep one of each",
        ),
        (b"thing_id,row\na,1\n", "has a column 'row', which is reserved for row numbers"),
    ],
)
def test_a_csv_that_cannot_be_read_says_why(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(TableError) as caught:
        read(csv_file(tmp_path, content))
    assert message in str(caught.value)
    assert 'Things "things.csv"' in str(caught.value)


def test_the_text_of_a_bad_csv_is_not_quoted(tmp_path: Path) -> None:
    path = csv_file(tmp_path, b"thing_id,count\nSECRET,1\nSECRET2,2,3\n")
    with pytest.raises(TableError) as caught:
        read(path)
    assert "SECRET" not in str(caught.value)


def test_a_short_row_is_named_where_a_needed_cell_is_gone(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="'thing_id' is empty in 1 row, first in row 3"):
        read(csv_file(tmp_path, "count,thing_id\n1,a\n2\n"))


@pytest.mark.parametrize("empty", ["", ",", '"",""'])
def test_an_empty_row_is_left_out_and_said(tmp_path: Path, empty: str) -> None:
    path = csv_file(tmp_path, f"thing_id,count\na,1\n{empty}\nb,2\n")
    table = read_noted_frame(path, CONTRACT)
    assert table.frame.select("row", "thing_id").rows() == [(2, "a"), (4, "b")]
    assert table.notes == ("1 empty row left out, first row 3.",)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"thing_id,count\na,1\n"])
def test_a_parquet_file_that_is_none_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "things.parquet"
    path.write_bytes(content)
    with pytest.raises(TableError, match="is not a readable Parquet file"):
        read(path)


def test_every_cut_of_a_parquet_file_is_an_error(tmp_path: Path) -> None:
    stream = io.BytesIO()
    pl.DataFrame({"thing_id": ["a", "b"]}).write_parquet(stream)
    path = tmp_path / "things.parquet"
    for end in range(0, len(stream.getvalue()), 16):
        path.write_bytes(stream.getvalue()[:end])
        with pytest.raises(TableError, match="is not a readable Parquet file"):
            read(path)


def test_other_kinds_of_files_are_refused_by_their_ending(tmp_path: Path) -> None:
    (tmp_path / "things.ods").write_text("")
    with pytest.raises(TableError, match=r"ends in '.ods' .allowed: .csv, .tsv, .xlsx, .parquet"):
        read(tmp_path / "things.ods")


@pytest.mark.parametrize(
    ("name", "said"),
    [("nothing.csv", "does not exist"), (".", "is a folder. Give the path of a table")],
)
def test_a_file_that_is_not_there_is_an_error(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(TableError, match=said):
        read(tmp_path / name)


def test_ids_stored_as_whole_numbers_become_text(tmp_path: Path) -> None:
    assert read(parquet_file(tmp_path, thing_id=[7, 80]))["thing_id"].to_list() == ["7", "80"]


def test_ids_stored_as_floats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="'thing_id' is stored as numbers with decimals"):
        read(parquet_file(tmp_path, thing_id=[7.0, None]))


def test_text_where_bytes_belong_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="'picture' is stored as String; it must hold bytes"):
        read(parquet_file(tmp_path, thing_id=["a"], picture=["b"]))


def test_whole_numbers_stored_as_floats_are_whole(tmp_path: Path) -> None:
    assert read(parquet_file(tmp_path, thing_id=["a", "b"], count=[3.0, None]))[
        "count"
    ].to_list() == [3, None]


def test_broken_numbers_where_whole_ones_belong_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"'count' holds '0.5' in 1 row.*allowed: an integer"):
        read(parquet_file(tmp_path, thing_id=["a"], count=[0.5]))


def test_every_column_of_a_family_is_checked(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "thing_id,score_a,score_b\nx,high,\ny,1,2\n")
    with pytest.raises(TableError) as caught:
        read(path)
    assert "'score_a' holds 'high' in 1 row, first in row 2 (allowed: a number)" in str(
        caught.value
    )
    assert "'score_b' is empty in 1 row, first in row 2" in str(caught.value)


def test_all_faults_are_named_in_one_error(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "Thing_ID,count,colour,size\n,x,green,big\n,y,green,1\nc,1,,2\n")
    with pytest.raises(TableError) as caught:
        read(path)
    assert str(caught.value).splitlines() == [
        'Things "things.csv" cannot be used:',
        "  - column 'thing_id' is missing (is it 'Thing_ID'?)",
        "  - 'count' holds 'x' in 1 row, first in row 2 (allowed: an integer)",
        "  - 'count' holds 'y' in 1 row, first in row 3 (allowed: an integer)",
        "  - 'size' holds 1 wrong value in 1 row, first in row 2 (allowed: a number)",
        "  - 'colour' is empty in 1 row, first in row 4",
        "  - 'colour' holds 1 wrong value in 2 rows, first in row 2 (allowed: red, blue)",
        "See docs/reference/things.md.",
    ]


def test_many_wrong_values_are_counted_after_six(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "thing_id,colour\n" + "".join(f"a,c{i}\n" for i in range(9)))
    with pytest.raises(TableError, match="'colour' holds 9 wrong values in 9 rows"):
        read(path)
    rows = "".join(f"a,c{i}\n" for i in range(9)) * 10
    with pytest.raises(TableError, match="'colour' holds 3 more wrong values"):
        read(csv_file(tmp_path, f"thing_id,colour\n{rows}"))


def test_repeated_keys_are_counted_without_being_named() -> None:
    frame = pl.DataFrame({ROW: [2, 3, 4, 5], "a": ["SECRET", "b", "SECRET", None], "b": [1] * 4})
    assert duplicates(frame, ["a"]) == ["'a' is not unique: 1 value repeated in rows 2, 4"]
    assert duplicates(frame, ["a", "b"]) == ["(a, b) is not unique: 1 value repeated in rows 2, 4"]
    assert duplicates(frame.head(2), ["a"]) == []


def test_rows_are_listed_up_to_five() -> None:
    assert rows_of(pl.DataFrame({ROW: list(range(2, 10))})) == "rows 2, 3, 4, 5, 6 and 3 more"
    assert rows_of(pl.DataFrame({ROW: [7]})) == "row 7"


def test_terminal_escapes_do_not_reach_messages(tmp_path: Path) -> None:
    head = "\x1b[31mthing_id,colour\n"
    path = csv_file(tmp_path, head + "a,\x1b]0;owned\x07\n" * 10)
    with pytest.raises(TableError) as caught:
        read(path)
    assert not set("\x1b\x07") & set(str(caught.value))
    assert "owned" in str(caught.value)


@pytest.mark.parametrize("risky", ["=1+1", "+cmd|' /C calc'!A0", "-1+2", "@SUM(A1)", "\tx", "\rx"])
def test_a_spreadsheet_does_not_run_cells_of_a_csv(tmp_path: Path, risky: str) -> None:
    write_spreadsheet(pl.DataFrame({"thing_id": [risky], "count": [1]}), tmp_path / "things.csv")
    cell = pl.read_csv(tmp_path / "things.csv", infer_schema=False)["thing_id"][0]
    assert cell == "'" + risky


def test_negative_numbers_stay_numbers_in_a_csv(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"thing_id": ["-1", "-0.5", "+3"], "count": [-1, -2, 3], "size": [-0.5] * 3}
    )
    write_frame(frame, tmp_path / "things.csv")
    assert_frame_equal(read(tmp_path / "things.csv").drop(ROW), frame)


def test_parquet_keeps_what_a_spreadsheet_would_run(tmp_path: Path) -> None:
    write_frame(pl.DataFrame({"thing_id": ["=1+1"]}), tmp_path / "things.parquet")
    assert read(tmp_path / "things.parquet")["thing_id"].to_list() == ["=1+1"]


def test_awkward_ids_survive_csv(tmp_path: Path) -> None:
    write_frame(pl.DataFrame({"thing_id": AWKWARD}), tmp_path / "things.csv")
    assert read(tmp_path / "things.csv")["thing_id"].to_list() == list(AWKWARD)


def test_awkward_headers_survive_csv(tmp_path: Path) -> None:
    names = ["thing_id", *(name.strip() for name in AWKWARD)]
    write_frame(pl.DataFrame({name: ["x"] for name in names}), tmp_path / "things.csv")
    assert read(tmp_path / "things.csv").columns == [ROW, *names]
