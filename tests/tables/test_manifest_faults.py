"""A manifest that breaks its contract: every fault at once, by row, without identifiers."""

from pathlib import Path

import polars as pl
import pytest

from medtransfer.errors import TableError
from medtransfer.tables.manifest import label_text, read_manifest
from medtransfer.tables.schema import write_frame

HEAD = "image_id,path,case_id,patient_id,cohort"
OUTSIDE = "absolute or leaves the folder with '..'"
INSIDE = "relative to the manifest's folder, or to data.image_root"
WITHIN = "(is case_id unique only within a patient?)"
SECRETS = ("JANE-DOE", "1955-03-21", "MRN4711", "/home/ward3")


def complaint(folder: Path, content: str, **asked: object) -> str:
    """The message for a CSV manifest."""
    path = folder / "chest.csv"
    path.write_text(content)
    with pytest.raises(TableError) as caught:
        read_manifest(path, **asked)  # type: ignore[arg-type]
    return str(caught.value)


def parquet_complaint(folder: Path, frame: pl.DataFrame, **asked: object) -> str:
    write_frame(frame, folder / "chest.parquet")
    with pytest.raises(TableError) as caught:
        read_manifest(folder / "chest.parquet", **asked)  # type: ignore[arg-type]
    return str(caught.value)


def test_all_faults_of_columns_and_cells_are_in_one_error(tmp_path: Path) -> None:
    text = complaint(
        tmp_path,
        "image_id,path,case_id,patientid,cohort,split,Edema,Pneumonia\n"
        "a,a.png,c,p,A,training,yes,1\n"
        ",b.png,c,p,,train,1.5,0\n"
        "a,../c.png,c,p,A,train,yes,present\n",
        targets=["Edema", "Pneumonia", "Pneumothorx"],
        attributes=["sex"],
    )
    assert text.splitlines() == [
        'Manifest "chest.csv" cannot be used:',
        "  - 'image_id' is empty in 1 row, first in row 3",
        "  - column 'patient_id' is missing (is it 'patientid'?)",
        "  - 'cohort' is empty in 1 row, first in row 3",
        "  - 'split' holds 'training' in 1 row, first in row 2 (allowed: train, tune, test)",
        "  - attribute 'sex' is not a column",
        "  - 'Edema' holds 'yes' in 2 rows, first in row 2 (allowed: 1, 0, -1, empty)",
        (
            "  - 'Edema' holds '1.5' in 1 row, first in row 3 (allowed: 1, 0, -1, empty); "
            "say what words mean with --values Edema=WORD:1,WORD:0"
        ),
        (
            "  - 'Pneumonia' holds 'present' in 1 row, first in row 4 (allowed: 1, 0, -1, empty); "
            "say what words mean with --values Pneumonia=WORD:1,WORD:0"
        ),
        "  - target 'Pneumothorx' is not a column. Did you mean 'Pneumonia'?",
        "  - 'image_id' is not unique: 1 value repeated in rows 2, 4",
        "  - 1 case with images of different 'split', rows 2, 3, 4",
        f"  - 'path' is {OUTSIDE} in 1 row, first in row 4 (allowed: {INSIDE})",
        "See docs/reference/manifest.md.",
    ]


def test_a_table_with_names_of_its_own_is_sent_to_import(tmp_path: Path) -> None:
    text = complaint(tmp_path, "file,mrn,site\na.png,1,A\n")
    assert "`medtransfer import csv FOLDER` makes a manifest of a table with other" in text
    assert "medtransfer import" not in complaint(tmp_path, "image_id,path,case_id\na,a.png,1\n")


def test_all_faults_between_rows_are_in_one_error(tmp_path: Path) -> None:
    text = complaint(
        tmp_path,
        HEAD + ",split\n"
        "a,a.png,c1,p1,A,train\n"
        "a,../b.png,c1,p2,A,train\n"
        "c,/c.png,c2,p3,A,train\n"
        "d,d.png,c2,p3,B,test\n",
    )
    assert text.splitlines() == [
        'Manifest "chest.csv" cannot be used:',
        "  - 'image_id' is not unique: 1 value repeated in rows 2, 3",
        f"  - 1 case with images of different 'patient_id', rows 2, 3 {WITHIN}",
        "  - 1 case with images of different 'cohort', rows 4, 5",
        "  - 1 case with images of different 'split', rows 4, 5",
        f"  - 'path' is {OUTSIDE} in 2 rows, first in row 3 (allowed: {INSIDE})",
        "See docs/reference/manifest.md.",
    ]


def test_messages_name_rows_and_never_ids_paths_or_attributes(tmp_path: Path) -> None:
    name, born, record, folder = SECRETS
    text = complaint(
        tmp_path,
        HEAD + ",split,born,Edema\n"
        f"{name},{folder}/x.png,{record},{name},A,train,{born},1\n"
        f"{name},{folder}/y.png,{record},{record},B,test,{born},0\n",
        targets=["Edema"],
        attributes=["born"],
    )
    assert "rows 2, 3" in text
    assert not [secret for secret in SECRETS if secret in text]
    text = complaint(
        tmp_path, f"{HEAD},Edema\n{name},{folder},{record},,A,huh\n", targets=["Edema", "x"]
    )
    assert "'Edema' holds 1 wrong value in 1 row, first in row 2 (allowed: 1, 0, -1, empty)" in text
    assert not [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize(
    "wrong", ["yes", "Positive", "2", "-2", "0.5", "1,0", "1;0", "TRUE", "inf", "１", "01"]
)
def test_label_typos_are_refused_with_what_is_allowed(tmp_path: Path, wrong: str) -> None:
    text = complaint(tmp_path, f'{HEAD},Edema\na,a.png,c,p,A,"{wrong}"\n', targets=["Edema"])
    assert f"'Edema' holds '{wrong}' in 1 row, first in row 2 (allowed: 1, 0, -1, empty)" in text


def test_class_names_are_a_closed_list(tmp_path: Path) -> None:
    text = complaint(
        tmp_path,
        HEAD + ",diagnosis\na,a.png,c,p,A,nevus\nb,b.png,d,q,A,naevus\nc,c.png,e,q,A,\n",
        class_column="diagnosis",
        targets=["nevus", "melanoma"],
    )
    assert (
        "'diagnosis' holds 'naevus' in 1 row, first in row 3 (allowed: nevus, melanoma, empty); "
        "name it among the targets, or empty its cells with --values diagnosis=CLASS:empty" in text
    )


def test_a_class_column_that_is_not_there_is_suggested(tmp_path: Path) -> None:
    text = complaint(
        tmp_path, f"{HEAD},diagnosis\na,a.png,c,p,A,x\n", class_column="diagnose", targets=["x"]
    )
    assert "class column 'diagnose' is not a column. Did you mean 'diagnosis'?" in text


def test_a_target_that_is_nearly_a_column_is_suggested(tmp_path: Path) -> None:
    text = complaint(tmp_path, f"{HEAD},Edema\na,a.png,c,p,A,1\n", targets=["edema"])
    assert "target 'edema' is not a column. Did you mean 'Edema'?" in text


@pytest.mark.parametrize("name", ["patient_id", "split", "cohort", "image_id"])
def test_reserved_columns_are_no_targets_and_no_attributes(tmp_path: Path, name: str) -> None:
    content = HEAD + ",split\na,a.png,c,p,A,train\n"
    assert f"attribute '{name}' is a reserved column" in complaint(
        tmp_path, content, attributes=[name]
    )
    assert f"target '{name}' is a reserved column" in complaint(tmp_path, content, targets=[name])


def test_a_manifest_needs_paths_or_pictures(tmp_path: Path) -> None:
    text = complaint(tmp_path, "image_id,case_id,patient_id,cohort\na,c,p,A\n")
    assert "it has neither a 'path' nor an 'image' column" in text


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x.png",
        "a/../../x.png",
        "a/..",
        "C:\\x.png",
        "c:/x.png",
        "\\\\host\\x.png",
        "..\\x.png",
        "//host/x.png",
    ],
)
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    text = complaint(tmp_path, f"{HEAD}\na,a.png,c,p,A\nb,{path},c,p,A\n")
    assert f"'path' is {OUTSIDE} in 1 row, first in row 3" in text
    assert path not in text


def test_blanks_around_an_id_do_not_hide_that_it_is_repeated(tmp_path: Path) -> None:
    text = complaint(tmp_path, f"{HEAD}\na,a.png,c,p,A\n a ,b.png,c,p,A\n")
    assert "'image_id' is not unique: 1 value repeated in rows 2, 3" in text


def test_float_ids_are_refused_because_their_spelling_is_lost(tmp_path: Path) -> None:
    columns = {"image_id": ["a"], "path": ["a"], "case_id": ["c"], "patient_id": [7.0]}
    text = parquet_complaint(tmp_path, pl.DataFrame({**columns, "cohort": ["A"]}))
    assert "'patient_id' is stored as numbers with decimals; store ids as text" in text


def test_true_and_false_are_labels_by_their_type_and_words_as_text(tmp_path: Path) -> None:
    columns = {"image_id": ["a"], "path": ["a"], "case_id": ["c"], "patient_id": ["p"]}
    frame = pl.DataFrame({**columns, "cohort": ["A"], "Edema": [True]})
    text = frame.with_columns(pl.col("Edema").cast(pl.String))
    said = parquet_complaint(tmp_path, text, targets=["Edema"])
    assert "'Edema' holds 'true' in 1 row, first in row 1" in said
    assert "say what words mean with --values Edema=WORD:1,WORD:0" in said
    write_frame(frame, tmp_path / "typed.parquet")
    read = read_manifest(tmp_path / "typed.parquet", targets=["Edema"])
    assert read.frame["Edema"].to_list() == ["1"]
    assert read.notes == ("'Edema': read as 1: 'true' in 1 row.",)


def test_escape_sequences_of_cells_and_headers_are_not_sent_to_the_terminal(
    tmp_path: Path,
) -> None:
    evil = "\x1b]0;owned\x07"
    text = complaint(
        tmp_path, f"{HEAD},Edema,patient{evil}\na,a.png,c,,A,{evil},x\n", targets=["Edema", evil]
    )
    assert not set("\x1b\x07") & set(text)


def test_markup_of_cells_is_shown_as_it_is(tmp_path: Path) -> None:
    rows = "".join(f"a{n},{n}.png,c{n},p{n},A,[red]x[/red]\n" for n in range(10))
    text = complaint(tmp_path, f"{HEAD},Edema\n{rows}", targets=["Edema"])
    assert "'[red]x[/red]'" in text


@pytest.mark.parametrize("as_numbers", [False, True])
def test_soft_labels_are_refused_with_what_to_do(tmp_path: Path, *, as_numbers: bool) -> None:
    cells = ["0", "1", "0.5", "0.7", None]
    rows = [f"i{k},i{k}.png,c{k},p{k},A,{cell or ''}" for k, cell in enumerate(cells)]
    if as_numbers:
        numbers = [None if cell is None else float(cell) for cell in cells]
        columns = {name: [f"{name[0]}{k}" for k in range(5)] for name in HEAD.split(",")}
        frame = pl.DataFrame(columns | {"cohort": ["A"] * 5, "Edema": numbers})
        text = parquet_complaint(tmp_path, frame, targets=["Edema"])
    else:
        content = "\n".join([f"{HEAD},Edema", *rows, ""])
        text = complaint(tmp_path, content, targets=["Edema"])
    assert "'Edema' is between 0 and 1 in 2 rows: such soft labels are not trained on" in text
    assert "`targets: {Edema: {uncertain: soft(0.7)}}`" in text
    assert "`readings:`" in text


def test_fractions_that_are_asked_for_are_read_and_all_else_is_refused(tmp_path: Path) -> None:
    rows = [f"i{k},i{k}.png,c{k},p{k},A,{cell}" for k, cell in enumerate(["0", "0.5", "-1", ""])]
    path = tmp_path / "m.csv"
    path.write_text("\n".join([f"{HEAD},Edema", *rows, ""]))
    table = read_manifest(path, targets=["Edema"], fractions=["Edema"])
    assert table.frame.select(label_text("Edema"))["Edema"].to_list() == ["0", "0.5", "-1", None]
    path.write_text("\n".join([f"{HEAD},Edema", *rows, "j,j.png,d,q,A,1.5", ""]))
    with pytest.raises(TableError, match="a number from 0 to 1") as fault:
        read_manifest(path, targets=["Edema"], fractions=["Edema"])
    assert "in 1 row" in str(fault.value) or "row 6" in str(fault.value)
