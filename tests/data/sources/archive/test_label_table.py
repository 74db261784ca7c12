"""Labels joined to an export by an id that only headers hold: counted on both sides."""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest
from tests.data.sources.archive.exports import an_export, dicom_file
from tests.data.sources.trees import workbook

from medtransfer.data.sources.import_source import import_source
from medtransfer.errors import TableError
from medtransfer.tables.manifest import read_manifest

HEADER = ("AccessionNumber", "edema", "mass", "Befund")
ROWS = [(f"A{n:03d}", n % 2, "" if n == 3 else 0, "text") for n in range(6)]


@pytest.fixture(autouse=True)
def settings_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return an_export(tmp_path / "export")


def text_of(separator: str, rows: Sequence[Sequence[object]] = ROWS) -> str:
    return "\n".join(separator.join(map(str, row)) for row in [HEADER, *rows]) + "\n"


def joined(folder: Path, table: Path, **options: str) -> tuple[pl.DataFrame, str]:
    out = folder.parent / "manifest.parquet"
    given = {"targets": "edema,mass", "labels": str(table), **options}
    written = import_source("dicom", folder, out, options=given)
    frame = read_manifest(out, image_root=written.image_root).frame
    return frame.sort("path"), "\n".join(written.notes)


def comma(path: Path) -> Path:
    path.write_text(text_of(","))
    return path


def semicolon_in_cp1252(path: Path) -> Path:
    path.write_bytes(text_of(";").replace("text", "Größe").encode("cp1252"))
    return path


def utf16_with_tabs(path: Path) -> Path:
    path.write_bytes(text_of("\t").encode("utf-16"))
    return path


def old_line_ends(path: Path) -> Path:
    path.write_bytes(text_of(",").replace("\n", "\r").encode())
    return path


def spreadsheet(path: Path) -> Path:
    place = path.with_suffix(".xlsx")
    workbook(place, HEADER, ROWS)
    return place


def parquet(path: Path) -> Path:
    place = path.with_suffix(".parquet")
    pl.DataFrame([tuple(map(str, row)) for row in ROWS], HEADER, orient="row").write_parquet(place)
    return place


FORMS = (comma, semicolon_in_cp1252, utf16_with_tabs, old_line_ends, spreadsheet, parquet)


@pytest.mark.parametrize("write", FORMS, ids=lambda form: form.__name__)
def test_a_table_of_any_form_is_joined(
    folder: Path, tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    frame, notes = joined(folder, write(tmp_path / "labels.csv"))
    assert frame["edema"].to_list() == [str(n // 2 % 2) for n in range(12)]
    assert frame["mass"].to_list() == [None if n // 2 == 3 else "0" for n in range(12)]
    assert "by AccessionNumber: 6 matched; without a partner: 0 studies, 0 rows of" in notes
    assert "1 column of labels" in notes
    assert "not named and left out: Befund." in notes
    assert not {"AccessionNumber", "Befund"} & set(frame.columns)


def test_both_unmatched_sides_are_counted(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(text_of(",", [*ROWS[2:], ("B1", 1, 1, ""), ("B2", 1, 1, ""), ("", 1, 1, "")]))
    frame, notes = joined(folder, table)
    assert "4 matched; without a partner: 2 studies, 2 rows of labels.csv" in notes
    assert "4 images without a row in labels.csv left out" in notes
    assert "1 row of labels.csv without AccessionNumber: left out." in notes
    assert len(frame) == 8
    frame, _ = joined(folder, table, unlabelled="keep")
    assert len(frame) == 12
    assert frame["edema"].to_list()[:4] == [None] * 4


@pytest.mark.parametrize("key", ["StudyInstanceUID", "PatientID"])
def test_labels_are_joined_by_other_keys(folder: Path, tmp_path: Path, key: str) -> None:
    ids = [f"1.2.{n}" if key == "StudyInstanceUID" else f"{n:05d}" for n in range(6)]
    rows = "".join(f"{name};{n % 2}\n" for n, name in enumerate(ids))
    (tmp_path / "labels.csv").write_text("Fall;edema\n" + rows)
    frame, notes = joined(folder, tmp_path / "labels.csv", on=f"{key}=Fall", targets="edema")
    assert frame["edema"].to_list() == [str(n // 2 % 2) for n in range(12)]
    assert f"by {key}: 6 matched" in notes


def test_zeros_that_a_spreadsheet_took_are_said_and_matched_only_if_asked(
    folder: Path, tmp_path: Path
) -> None:
    rows = "".join(f"{n}.0,{n % 2}\n" for n in range(5)) + "00005,1\n"
    (tmp_path / "labels.csv").write_text("patient_id,edema\n" + rows)
    frame, notes = joined(folder, tmp_path / "labels.csv", on="PatientID", targets="edema")
    assert len(frame) == 2
    assert "5 more rows of labels.csv differ from PatientID in the headers by leading" in notes
    frame, notes = joined(
        folder, tmp_path / "labels.csv", on="PatientID", targets="edema", keys="loose"
    )
    assert frame["edema"].to_list() == [str(n // 2 % 2) for n in range(12)]
    assert "5 rows of labels.csv differ from PatientID in the headers" in notes
    assert "0 rows of labels.csv" in notes


def test_a_loose_key_that_fits_two_is_matched_to_none(folder: Path, tmp_path: Path) -> None:
    dicom_file(folder / "twin", 77, PatientID="1", StudyInstanceUID="1.77")
    (tmp_path / "labels.csv").write_text("PatientID,edema\n01,1\n2,0\n")
    frame, notes = joined(
        folder, tmp_path / "labels.csv", on="PatientID", targets="edema", keys="loose"
    )
    assert frame["edema"].to_list() == ["0", "0"]
    assert "1 matched; without a partner: 6 patients, 1 rows of labels.csv" in notes


def test_rows_of_one_key_agree_or_are_refused_by_row(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(text_of(",", [*ROWS, ROWS[0]]))
    _, notes = joined(folder, table)
    assert "1 row of labels.csv repeated: read once." in notes
    table.write_text(text_of(",", [*ROWS, ("A000", 1, 0, "text")]))
    with pytest.raises(TableError) as error:
        joined(folder, table)
    assert "1 id with different labels, rows 2, 8" in str(error.value)
    assert "A000" not in str(error.value)


def test_studies_with_several_labels_are_counted(folder: Path, tmp_path: Path) -> None:
    dicom_file(folder / "x", 77, PatientID="00001", StudyInstanceUID="1.2.1", AccessionNumber="B1")
    table = tmp_path / "labels.csv"
    table.write_text(text_of(",", [*ROWS, ("B1", 0, 0, "")]))
    frame, notes = joined(folder, table)
    assert frame.filter(pl.col("path").str.ends_with("/x"))["edema"].to_list() == ["0"]
    assert "1 study whose images have different labels, by different rows of labels.csv" in notes


def test_attributes_of_the_table_take_the_place_of_the_headers(
    folder: Path, tmp_path: Path
) -> None:
    rows = "".join(
        f"A{n:03d},{n % 2},{'weiblich' if n else 'männlich'},{90 + n}\n" for n in range(6)
    )
    (tmp_path / "labels.csv").write_text("AccessionNumber,edema,Geschlecht,Alter\n" + rows)
    frame, notes = joined(
        folder, tmp_path / "labels.csv", targets="edema", columns="sex=Geschlecht,age=Alter"
    )
    assert frame["sex"].to_list() == ["M", "M"] + ["F"] * 10
    assert set(frame["age"]) == {90}
    assert "'sex': read as F: 'weiblich' in 5 rows." in notes


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"targets": "edem"}, "column 'edem', named for edem, is not in the table. Did you mean"),
        ({"targets": ""}, "no column is named as a label: say --option targets=COLUMN,COLUMN."),
        ({"on": "Name"}, "cannot be joined on 'Name' (allowed: AccessionNumber, StudyInstanceUID"),
        ({"on": "PatientID"}, "it has no column 'PatientID'."),
        ({"columns": "view=Befund"}, "'view' is made of the headers and cannot be taken"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(
    folder: Path, tmp_path: Path, options: dict[str, str], text: str
) -> None:
    with pytest.raises(TableError) as error:
        joined(folder, comma(tmp_path / "labels.csv"), **options)
    assert text in str(error.value)


def test_a_table_without_any_key_of_the_headers_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("AccessionNumber,edema\nX1,1\nX2,0\n")
    with pytest.raises(TableError, match="No AccessionNumber of labels.csv is in the headers") as e:
        joined(folder, tmp_path / "labels.csv", targets="edema")
    assert "X1" not in str(e.value)
    assert "A00" not in str(e.value)


def test_keys_that_are_missing_words_or_hold_hidden_characters_are_counted(
    folder: Path, tmp_path: Path
) -> None:
    rows = [("NA", 1, 0, ""), ("unknown", 0, 0, ""), *ROWS[2:5], ("A005\u200b", 1, 0, "")]
    table = tmp_path / "labels.csv"
    table.write_text(text_of(",", rows))
    frame, notes = joined(folder, table)
    assert len(frame) == 6
    assert "2 rows of labels.csv without AccessionNumber: left out." in notes
    assert "1 more row of labels.csv differ from AccessionNumber in the headers" in notes
    frame, _ = joined(folder, table, keys="loose")
    assert len(frame) == 8


def test_a_column_of_the_keys_own_name_comes_before_others_like_it(
    folder: Path, tmp_path: Path
) -> None:
    table = tmp_path / "labels.csv"
    header = ",".join(["ACCESSION_NUMBER", *HEADER])
    rows = "".join(f"other,{','.join(map(str, row))}\n" for row in ROWS)
    table.write_text(f"{header}\n{rows}")
    assert len(joined(folder, table)[0]) == 12
