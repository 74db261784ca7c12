"""Own data: a folder of classes, and any table by a mapping of its columns."""

import os
import unicodedata
from datetime import timedelta
from pathlib import Path
from shlex import split

import polars as pl
import pytest
from tests.data.sources import tree_csv, tree_folder
from tests.data.sources.trees import picture, table

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import read_source, write_manifest
from medtransfer.data.sources.source import Source
from medtransfer.errors import ConfigError, MedTransferError, TableError
from medtransfer.tables.manifest import read_manifest
from medtransfer.tables.values.value_map import read_value_map

FOLDER, CSV = SOURCES["folder"], SOURCES["csv"]


def test_class_folders_alone_are_read(tmp_path: Path) -> None:
    for number, name in enumerate(("cat/a.png", "cat/b.jpg", "dog/deep/a.png")):
        picture(tmp_path / name, number)
    picture(tmp_path / "loose.png")
    found = read_source(FOLDER, tmp_path)
    assert dict(found.frame.select("image_id", "label").iter_rows()) == {
        "cat/a": "cat",
        "cat/b": "cat",
        "dog/deep/a": "dog",
    }
    assert "split" not in found.frame.columns
    assert "1 image outside a class folder: left out." in found.notes


def test_hidden_images_are_counted_and_what_a_mac_leaves_is_not(tmp_path: Path) -> None:
    for name in ("cat/a.png", "dog/b.png", ".old/cat/c.png", "cat/.d.jpg", "cat/._a.png"):
        picture(tmp_path / name)
    picture(tmp_path / "__MACOSX" / "cat" / "a.png")
    found = read_source(FOLDER, tmp_path)
    assert found.frame["image_id"].to_list() == ["cat/a", "dog/b"]
    assert "2 images in folders or files whose name begins with a dot: left out." in found.notes


def test_folders_that_differ_by_case_or_blanks_are_one_class(tmp_path: Path) -> None:
    for number, name in enumerate(
        ("Mel/a.png", "Mel/b.png", "mel/c.png", "mel /d.png", "nv /e.png")
    ):
        picture(tmp_path / name, number)
    found = read_source(FOLDER, tmp_path)
    assert {*found.frame["label"]} == {"Mel", "nv"}
    assert "Classes: 2 of fewer than 10 images." in found.notes
    assert "'label': only case, blanks, dashes or decimals differ: read 2 spellings." in found.notes


def test_files_of_one_name_and_two_endings_stay_apart(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png", 1)
    picture(tmp_path / "cat" / "a.jpg", 2)
    assert read_source(FOLDER, tmp_path).frame["image_id"].to_list() == ["cat/a.jpg", "cat/a.png"]


def test_a_pattern_tells_the_patient_and_a_torn_patient_stays_visible(tmp_path: Path) -> None:
    tree_folder.write(tmp_path)
    found = read_source(FOLDER, tmp_path, {"patient": r"^(p\d+)_"})
    by_id = dict(found.frame.select("image_id", "patient_id").iter_rows())
    assert by_id["train/NORMAL/p1_a"] == by_id["train/NORMAL/p1_b"] == "p1"
    assert not any("patient of its own" in note for note in found.notes)


def test_without_a_pattern_it_is_said_that_each_image_is_a_patient(tmp_path: Path) -> None:
    tree_folder.write(tmp_path)
    assert any("patient of its own" in note for note in read_source(FOLDER, tmp_path).notes)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("(", "one group"), (r"^p\d+", "one group"), (r"^(q\d+)", "does not fit the names of 8")],
)
def test_a_pattern_that_does_not_work_is_refused(
    tmp_path: Path, pattern: str, expected: str
) -> None:
    tree_folder.write(tmp_path)
    with pytest.raises(MedTransferError, match=expected):
        read_source(FOLDER, tmp_path, {"patient": pattern})


def test_a_table_is_read_under_our_names(tmp_path: Path) -> None:
    tree_csv.write(tmp_path)
    frame = read_source(CSV, tmp_path, tree_csv.OPTIONS).frame
    assert frame["patient_id"].to_list() == ["007", "007", "08", "09"]
    assert frame["Edema"].to_list() == ["1", "0", "-1", None]
    assert frame["Cancer"].to_list() == ["1", "0", "0", "1"]
    assert frame["split"].to_list() == ["train", "train", "tune", "test"]
    assert set(frame["cohort"]) == {"north"}


def test_words_of_label_cells_are_mapped_column_by_column(tmp_path: Path) -> None:
    tree_csv.write(tmp_path)
    options = {"columns": "patient_id=PatID,path=File", "targets": "Part"}
    values = {"Part": {"Training": "1", "Val": "0", "Test": ""}, "Edema": {"1": "0"}}
    found = read_source(CSV, tmp_path, options, values=values)
    assert found.frame["Part"].to_list() == ["1", "1", "0", None]
    assert found.frame["Edema"].to_list() == ["0", "0.0", "-1", None]
    assert "'Part': 'Training' in 2 rows written as '1'." in found.notes
    assert "'Part': 'Test' in 1 row left empty." in found.notes
    with pytest.raises(TableError, match="column 'Prat' of --values is not in the table"):
        read_source(CSV, tmp_path, options, values={"Prat": {"a": "1"}})


def test_findings_in_one_text_become_targets(tmp_path: Path) -> None:
    tree_csv.write(tmp_path)
    options = {"columns": "patient_id=PatID,path=File", "findings": "Findings"}
    with pytest.raises(TableError, match="Edema of 'Findings' is a column of the table too"):
        read_source(CSV, tmp_path, options)
    frame = read_source(CSV, tmp_path, {**options, "targets": "Mass,Effusion"}).frame
    assert frame["Mass"].to_list() == ["0", None, "1", "1"]
    assert frame["Effusion"].to_list() == ["1", None, "0", "0"]


def test_all_that_is_wrong_with_a_mapping_is_said_at_once(tmp_path: Path) -> None:
    tree_csv.write(tmp_path)
    with pytest.raises(TableError) as error:
        read_source(CSV, tmp_path, {"columns": "view=Veiw,path=Fil"})
    assert "column 'Fil', named for path, is not in the table. Did you mean 'File'" in str(
        error.value
    )
    assert "column 'Veiw', named for view" in str(error.value)
    assert "say --columns patient_id=COLUMN" in str(error.value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"columns": "patient_id"}, "'patient_id' is neither ours=theirs nor ours:=text"),
        ({"columns": "path=a,path=b"}, "'path' is given twice"),
        ({"table": "other.csv"}, "No table other.csv"),
        ({**tree_csv.OPTIONS, "targets": "Part"}, "'Part' is not a column"),
        (
            {**tree_csv.OPTIONS, "targets": "sex"},
            "'sex' holds 'female' in 2 rows, first in row 2",
        ),
        ({**tree_csv.OPTIONS, "targets": "Edma"}, "Did you mean 'Edema'"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, options: dict[str, str], expected: str
) -> None:
    tree_csv.write(tmp_path)
    with pytest.raises(MedTransferError, match=expected):
        read_source(CSV, tmp_path, options)


def test_paths_are_found_by_name_and_by_stem_too(tmp_path: Path) -> None:
    tree_csv.write(tmp_path)
    whole = read_source(CSV, tmp_path, {"columns": "patient_id=PatID,path=File"}).frame
    for change in (lambda p: Path(p).name, lambda p: Path(p).stem, lambda p: f"D:\\x\\{p}"):
        rows = [(row[0], change(row[1]), *row[2:]) for row in tree_csv.ROWS]
        table(tmp_path / "images.csv", tree_csv.HEADER, rows)
        found = read_source(CSV, tmp_path, {"columns": "patient_id=PatID,path=File"}).frame
        assert found["path"].to_list() == whole["path"].to_list()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("PatID,File\n男,a.png\n".encode("gbk"), "line 2 is not UTF-8 text"),
        (b"PatID,File\n1,a.png,b\n", "line 2 has 3 cells, the header has 2"),
        (b"", "is empty"),
    ],
)
def test_a_file_in_another_spelling_is_named(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(TableError, match=expected):
        read_source(CSV, tmp_path, {"columns": "patient_id=PatID,path=File"})


def test_a_name_of_ours_may_serve_twice_and_repeats_are_named_by_the_tables_rows(
    tmp_path: Path,
) -> None:
    picture(tmp_path / "a.png", 1)
    picture(tmp_path / "b.png", 2)
    rows = [("x", "b.png", "1"), ("w", "a.png", "1"), ("x", "b.png", "2")]
    table(tmp_path / "t.csv", ("image_id", "path", "reading"), rows)
    options = {"columns": "case_id=image_id,patient_id=image_id", "cohort": "north"}
    with pytest.raises(TableError, match="'image_id' is not unique: 1 value repeated in rows 2, 4"):
        read_source(CSV, tmp_path, options)
    table(tmp_path / "t.csv", ("image_id", "path", "reading"), rows[:2])
    frame = read_source(CSV, tmp_path, options).frame
    assert frame["image_id"].to_list() == frame["patient_id"].to_list() == ["w", "x"]


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b""])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_byte_order_mark_and_windows_line_ends_are_no_matter(
    tmp_path: Path, start: bytes, end: bytes
) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "t.csv").write_bytes(start + b"PatID,File" + end + b"007,a.png" + end)
    frame = read_source(CSV, tmp_path, {"columns": "patient_id=PatID,path=File"}).frame
    assert frame["patient_id"].to_list() == ["007"]


def test_pictures_inside_a_parquet_file_are_kept_inside(tmp_path: Path) -> None:
    picture(tmp_path / "x" / "a.png")
    raw = (tmp_path / "x" / "a.png").read_bytes()
    frame = pl.DataFrame({"id": ["1", "2"], "image": [raw, raw], "dx": [1, 0]})
    frame.write_parquet(tmp_path / "t.parquet")
    options = {"columns": "patient_id=id,image_id=id", "targets": "dx"}
    found = read_source(CSV, tmp_path, options).frame
    assert found["image"].to_list() == [raw, raw]
    assert found["dx"].to_list() == ["1", "0"]
    with pytest.raises(ConfigError, match="must end in .parquet"):
        write_manifest(found, tmp_path, tmp_path / "m.csv")


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("cxr_nih64", 854),
        ("cxr_actualmed", 54),
        ("mammo_mias", 258),
        ("derm_pad_ufes", 550),
        ("us_busi", 618),
        ("retina_dr", 478),
    ],
)
def test_real_sets_go_through_a_column_mapping(
    shared: Path, tmp_path: Path, name: str, rows: int
) -> None:
    options = {"table": f"{name}.parquet", "columns": "case_id=image_id", "cohort": name}
    found = read_source(CSV, shared, options)
    written = write_manifest(found.frame, shared, tmp_path / "m.parquet")
    assert len(read_manifest(written.path)) == rows


LESIONS = [
    ("1", "7", "nv", "60", "2", "x1", "0"),
    ("2", "7", "mel", "0", "5", "x2", "1"),
    ("2", "8", "odd", "44", "UNK", "x3", ""),
]


def lesions(folder: Path) -> Path:
    """Two patients whose lesions have the same number; age 0 stands for unknown."""
    head = ("patient", "lesion", "dx", "age", "skin", "note", "malignant")
    rows = [(f"{row[5]}.png", *row) for row in LESIONS]
    table(folder / "lesions.csv", ("path", *head), rows)
    for number, row in enumerate(LESIONS):
        picture(folder / f"{row[5]}.png", number)
    return folder


NAMED = "patient_id=patient,case_id=patient+lesion,diagnosis=dx,age=age,fitzpatrick=skin"


def test_two_columns_make_an_id(tmp_path: Path) -> None:
    frame = read_source(CSV, lesions(tmp_path), {"columns": NAMED}).frame
    assert frame["case_id"].to_list() == ["1_7", "2_7", "2_8"]


def test_a_column_may_have_a_plus_in_its_name(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", ("path", "a+b", "a"), [("x.png", "p1", "p2")])
    picture(tmp_path / "x.png")
    assert read_source(CSV, tmp_path, {"columns": "patient_id=a+b"}).frame["patient_id"][0] == "p1"


def test_every_part_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError) as error:
        read_source(CSV, lesions(tmp_path), {"columns": "patient_id=patiant,case_id=dx+lession"})
    for part in ("patiant", "lession"):
        assert f"column '{part}'" in str(error.value)


def test_cells_that_stand_for_nothing_are_left_empty_and_counted(tmp_path: Path) -> None:
    options = {"columns": NAMED, "empty": "age=0,fitzpatrick=UNK,note=x3"}
    found = read_source(CSV, lesions(tmp_path), options)
    assert found.frame["age"].to_list() == [60, None, 44]
    assert found.frame["age_band"].to_list() == ["60-79", None, "40-59"]
    assert found.frame["skin_type"].to_list() == ["I-II", "V-VI", None]
    assert found.frame["note"].to_list() == ["x1", "x2", None]
    assert "'age' is left empty in 1 row that say 0." in found.notes
    with pytest.raises(TableError, match=r"column 'agee', named for empty, is not there"):
        read_source(CSV, tmp_path, {"columns": NAMED, "empty": "agee=0"})
    with pytest.raises(ConfigError, match="'age' is not column=text"):
        read_source(CSV, tmp_path, {"columns": NAMED, "empty": "age"})


def test_columns_that_are_not_named_are_left_out_and_listed(tmp_path: Path) -> None:
    options = {"columns": NAMED, "targets": "malignant"}
    kept = read_source(CSV, lesions(tmp_path), {**options, "others": "keep"})
    assert "note" in kept.frame.columns
    found = read_source(CSV, tmp_path, options)
    assert any("not named and left out" in n and "note" in n for n in found.notes)
    assert set(found.frame.columns) == {
        "image_id",
        "path",
        "case_id",
        "patient_id",
        "cohort",
        "diagnosis",
        "age",
        "age_band",
        "fitzpatrick",
        "skin_type",
        "malignant",
    }


def test_an_own_table_gets_the_shared_names_of_a_source_that_it_is_like(tmp_path: Path) -> None:
    options = {"columns": NAMED, "targets": "malignant", "like": "ham10000"}
    found = read_source(CSV, lesions(tmp_path), options, shared_names=True)
    assert found.frame["diagnosis"].to_list() == ["NV", "MEL", None]
    assert found.frame["malignant"].to_list() == ["0", "1", None]
    said = "Class 'odd' of 'diagnosis' has no shared class and is left empty (1 row)."
    assert said in found.notes


def test_likeness_is_refused_where_it_is_of_no_use(tmp_path: Path) -> None:
    options = {"columns": NAMED, "like": "ham10000"}
    with pytest.raises(ConfigError, match="of no use without --harmonise"):
        read_source(CSV, lesions(tmp_path), options)
    with pytest.raises(ConfigError, match="Did you mean 'ham10000'"):
        read_source(CSV, tmp_path, {**options, "like": "ham1000"}, shared_names=True)
    with pytest.raises(ConfigError, match="like=SOURCE"):
        read_source(CSV, tmp_path, {"columns": NAMED}, shared_names=True)


def test_targets_that_the_other_source_does_not_know_are_said(tmp_path: Path) -> None:
    head = ("path", "patient", "malignant", "Pleural Effusion")
    table(tmp_path / "t.csv", head, [("x.png", "1", "1", "0")])
    picture(tmp_path / "x.png")
    options = {
        "columns": "patient_id=patient",
        "targets": "Pleural Effusion,malignant",
        "like": "chexpert",
    }
    found = read_source(CSV, tmp_path, options, shared_names=True)
    assert found.frame["Effusion"].to_list() == ["0"]
    assert "malignant: not a target of CheXpert, name kept." in found.notes


def test_a_column_of_file_names_may_be_called_image(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 1)
    picture(tmp_path / "b.png", 2)
    content = "image;patient_id;dx\na.png;1;mel\nb.png;2;nv\n"
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(TableError, match="holds the image file: say --columns path=image"):
        read_source(CSV, tmp_path)
    for columns in ("path=image", "path=image,image_id=image"):
        frame = read_source(CSV, tmp_path, {"columns": columns}).frame
        assert frame["path"].to_list() == ["a.png", "b.png"]
        assert "image" not in frame.columns
    (tmp_path / "m.csv").write_text("image_id,case_id,patient_id,cohort,image\n1,1,1,a,a.png\n")
    with pytest.raises(TableError, match="call it 'path', or import the table with --columns path"):
        read_manifest(tmp_path / "m.csv")


def test_labels_that_were_left_out_are_offered_with_the_option_that_takes_them(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "images"
    rows = [("Yes", 1, "mel"), ("no", 0, "nv"), ("No", 1, "nv")]
    for number in range(3):
        picture(folder / f"{number}.png", number)
    lines = [f"{n}.png,{n},{a},{b},{c},Smith {n}" for n, (a, b, c) in enumerate(rows)]
    (folder / "t.csv").write_text("\n".join(["File,PatID,edema,mass,diag,name", *lines]))
    columns = "path=File,patient_id=PatID"
    notes = read_source(CSV, folder, {"columns": columns}).notes
    offers = [note.split(" is taken with: ")[1] for note in notes if " is taken with: " in note]
    assert offers == [
        "--option targets=mass",
        "--option targets=edema --values edema=No:0,Yes:1,no:0",
        "--columns diag=diag",
    ]
    values = {"edema": {"No": "0", "Yes": "1", "no": "0"}}
    taken = {"columns": f"{columns},diag=diag", "targets": "mass,edema"}
    frame = read_source(CSV, folder, taken, values=values).frame
    assert frame.select("edema", "mass", "diag").rows() == [
        ("1", "1", "mel"),
        ("0", "0", "nv"),
        ("0", "1", "nv"),
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("+", "-"), "--option targets=HER2 --values HER2=+:1,-:0"),
        (("ja", "nein"), "--option targets=HER2 --values HER2=ja:1,nein:0"),
        (("Positivo", "Negativo"), "--option targets=HER2 --values HER2=Negativo:0,Positivo:1"),
        (("阳性", "阴性"), "--option targets=HER2 --values 'HER2=阳性:1,阴性:0'"),
        (("hayır", "evet"), "--option targets=HER2 --values 'HER2=evet:1,hayır:0'"),
        (("low", "high"), None),
    ],
)
def test_labels_in_words_of_other_languages_are_offered_too(
    tmp_path: Path, words: tuple[str, str], expected: str | None
) -> None:
    for number in range(8):
        picture(tmp_path / f"{number}.png", number)
    rows = [(f"{number}.png", number, words[number % 2]) for number in range(8)]
    table(tmp_path / "t.csv", ("File", "Pat", "HER2"), rows)
    columns = {"columns": "path=File,patient_id=Pat"}
    notes = read_source(CSV, tmp_path, columns).notes
    offers = [note.split(" is taken with: ")[1] for note in notes if " is taken with: " in note]
    if expected is None:
        assert offers == []
        return
    (offer,) = offers
    assert sorted(offer) == sorted(expected)
    arguments = split(offer)
    values = read_value_map([arguments[3]])
    frame = read_source(CSV, tmp_path, {**columns, "targets": "HER2"}, values=values).frame
    assert {*frame["HER2"]} == {"1", "0"}


def test_files_are_found_under_names_in_another_case_or_unicode_form(tmp_path: Path) -> None:
    names = [f"Bilder/Müller_{number}.png" for number in range(3)]
    on_disk = [unicodedata.normalize("NFD", names[0]), "bilder/müller_1.PNG", names[2]]
    for number, name in enumerate(on_disk):
        picture(tmp_path / name, number)
    table(tmp_path / "t.csv", ("File", "Pat"), [(n.replace("/", "\\"), n[-5]) for n in names])
    found = read_source(CSV, tmp_path, {"columns": "path=File,patient_id=Pat"})
    assert dict(found.frame.select("patient_id", "path").iter_rows()) == {
        str(number): name for number, name in enumerate(on_disk)
    }
    sentence = "2 rows found their file under a name that differs in case or Unicode form alone."
    assert sentence in found.notes


@pytest.mark.parametrize("source", [FOLDER, CSV])
def test_file_names_that_are_not_utf_8_are_refused_with_what_to_do(
    tmp_path: Path, source: Source
) -> None:
    picture(tmp_path / "mal" / "a.png")
    name = os.path.join(os.fsencode(tmp_path), "mal/bär.png".encode("latin-1"))  # noqa: PTH118
    try:
        (tmp_path / "mal" / "a.png").rename(os.fsdecode(name))
    except OSError:
        pytest.skip("this disk holds UTF-8 names alone")
    table(tmp_path / "t.csv", ("path", "patient_id"), [("mal/bär.png", "1")])
    with pytest.raises(TableError, match="1 image file has a name that is not UTF-8.*convmv"):
        read_source(source, tmp_path)


def test_a_file_that_two_names_could_mean_is_given_to_none(tmp_path: Path) -> None:
    for number, name in enumerate(("a.png", "B.png", "b.PNG", "c.png")):
        picture(tmp_path / name, number)
    rows = [("a.png", "1"), ("A.PNG", "2"), ("b.png", "3"), ("c.png", "4")]
    table(tmp_path / "t.csv", ("File", "Pat"), rows)
    found = read_source(CSV, tmp_path, {"columns": "path=File,patient_id=Pat"})
    assert found.frame["patient_id"].to_list() == ["1", "4"]
    assert not any("Unicode form" in note for note in found.notes)


def test_ids_keep_their_commas_where_numbers_have_decimal_commas(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("File;Pat;Lesion;mal\na.png;100,0;7,5;1,0\n")
    options = {"columns": "path=File,patient_id=Pat,case_id=Pat+Lesion", "targets": "mal"}
    (row,) = read_source(CSV, tmp_path, options).frame.iter_rows(named=True)
    assert (row["patient_id"], row["case_id"], row["mal"]) == ("100,0", "100,0_7,5", "1")


def test_ages_are_read_under_our_own_name_too(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / f"{number}.png", number)
    rows = [("0.png", "1", "045Y"), ("1.png", "2", "60-69"), ("2.png", "3", "old")]
    table(tmp_path / "t.csv", ("path", "patient_id", "age"), rows)
    found = read_source(CSV, tmp_path)
    assert found.frame["age"].to_list() == [45, None, None]
    assert found.frame["age_band"].to_list() == ["40-59", "60-79", None]
    assert "Age is left empty: 1 value in 1 row." in found.notes


def test_rows_that_repeat_another_whole_are_left_out_and_counted(tmp_path: Path) -> None:
    tree_csv.write(tmp_path)
    table(tmp_path / "images.csv", tree_csv.HEADER, [*tree_csv.ROWS, tree_csv.ROWS[1]])
    found = read_source(CSV, tmp_path, tree_csv.OPTIONS)
    assert len(found.frame) == len(tree_csv.ROWS)
    assert "1 row repeats another row in every cell and is left out." in found.notes
    other = (*tree_csv.ROWS[1][:3], "1", *tree_csv.ROWS[1][4:])
    table(tmp_path / "images.csv", tree_csv.HEADER, [*tree_csv.ROWS, other])
    with pytest.raises(TableError, match="'image_id' is not unique"):
        read_source(CSV, tmp_path, tree_csv.OPTIONS)


def test_findings_in_several_spellings_are_one_and_missing_words_say_nothing(
    tmp_path: Path,
) -> None:
    cells = ["Edema|Effusion", "edema | effusion", "Edema", "Effusion|", "NaN", "|", "No Finding"]
    for number in range(len(cells)):
        picture(tmp_path / f"{number}.png", number)
    rows = [(f"{number}.png", number, cell) for number, cell in enumerate(cells)]
    table(tmp_path / "t.csv", ("File", "Pat", "F"), rows)
    options = {"columns": "path=File,patient_id=Pat", "findings": "F"}
    found = read_source(CSV, tmp_path, options)
    assert found.frame["Edema"].to_list() == ["1", "1", "1", "0", None, None, "0"]
    assert found.frame["Effusion"].to_list() == ["1", "1", "0", "1", None, None, "0"]
    assert {"No Finding"} == {*found.frame.columns[6:]} - {"Edema", "Effusion"}
    assert "'F': only case, blanks, dashes or decimals differ: read 2 spellings." in found.notes
    assert "'F': read as missing: 'NaN' in 1 row." in found.notes
    with pytest.raises(TableError, match="No row of 'F' names Edma. Did you mean 'Edema'"):
        read_source(CSV, tmp_path, {**options, "targets": "Edma"})


def test_words_for_missing_values_are_no_patient(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / f"{number}.png", number)
    rows = [("0.png", "NA"), ("1.png", "NA"), ("2.png", "P1"), ("3.png", "null")]
    table(tmp_path / "t.csv", ("path", "patient_id"), rows)
    with pytest.raises(TableError) as error:
        read_source(CSV, tmp_path)
    assert "'patient_id' holds 'NA' in 2 rows, 'null' in 1 row: rows of several" in str(error.value)
    other = [("0.png", "unbekannt"), ("1.png", "unbekannt"), ("2.png", "P1"), ("3.png", "-")]
    table(tmp_path / "t.csv", ("path", "patient_id"), other)
    with pytest.raises(TableError, match="'patient_id' holds 'unbekannt' in 2 rows: rows of"):
        read_source(CSV, tmp_path)
    table(tmp_path / "t.csv", ("path", "patient_id"), rows)
    values = {"patient_id": {"NA": "A", "null": "B"}}
    frame = read_source(CSV, tmp_path, values=values).frame
    assert frame["patient_id"].to_list() == ["A", "A", "P1", "B"]


def test_ids_stored_as_decimal_numbers_lose_the_decimals_and_others_are_refused(
    tmp_path: Path,
) -> None:
    for number in range(2):
        picture(tmp_path / f"{number}.png", number)
    names = ["0.png", "1.png"]
    pl.DataFrame({"path": names, "patient_id": [100.0, 101.0]}).write_parquet(
        tmp_path / "t.parquet"
    )
    found = read_source(CSV, tmp_path)
    assert found.frame["patient_id"].to_list() == ["100", "101"]
    note = "'patient_id' is stored as decimal numbers; read without the decimals."
    assert note in found.notes
    large = [2.0**60, 2.0**60 + 512]
    for ids, reason in (([1.5, 2.0], ""), (large, ", too large to be exact: several ids may .*")):
        pl.DataFrame({"path": names, "patient_id": ids}).write_parquet(tmp_path / "t.parquet")
        with pytest.raises(TableError, match=f"numbers with decimals{reason}; store ids as text"):
            read_source(CSV, tmp_path)


def test_split_folders_beside_class_folders_are_refused(tmp_path: Path) -> None:
    for n, name in enumerate(("train/mel", "train/nv", "mel")):
        picture(tmp_path / name / f"{n}.png")
    with pytest.raises(TableError, match="train hold folders as splits do, and 1 image lie in"):
        read_source(FOLDER, tmp_path)


def test_a_class_folder_called_by_a_missing_word_is_no_class(tmp_path: Path) -> None:
    for n in range(12):
        picture(tmp_path / ("NA", "mel", "nv")[n % 3] / f"{n}.png")
    notes = read_source(FOLDER, tmp_path).notes
    assert "Classes: more of fewer" not in str(notes)
    assert not any(note.startswith("Classes: NA") for note in notes)
    assert any("read as missing: 'NA' in 4 rows" in note for note in notes)


def test_headers_of_ours_in_another_spelling_are_proposed_before_others(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    table(
        tmp_path / "t.csv", ("Image Id", "PATH", "CaseId", "patient-id"), [("1", "1.png", "c", "p")]
    )
    with pytest.raises(TableError) as caught:
        read_source(CSV, tmp_path)
    said = str(caught.value)
    for pair in ("image_id=Image Id", "path=PATH", "case_id=CaseId", "patient_id=patient-id"):
        assert pair in said


def test_words_for_splits_are_counted_and_others_refused_with_what_to_do(tmp_path: Path) -> None:
    rows: list[tuple[str, ...]] = []
    for n, word in enumerate(("Train", "VAL", "test")):
        picture(tmp_path / f"{n}.png")
        rows.append((f"{n}.png", str(n), word))
    table(tmp_path / "t.csv", ("path", "patient_id", "split"), rows)
    imported = read_source(CSV, tmp_path)
    assert "'split': read as tune: 'VAL' in 1 row." in imported.notes
    assert "'split': read as train: 'Train' in 1 row." in imported.notes
    table(
        tmp_path / "t.csv", ("path", "patient_id", "split"), [*rows[:2], ("2.png", "2", "prueba")]
    )
    with pytest.raises(TableError, match="--values split=WORD:train"):
        read_source(CSV, tmp_path)


def test_paths_that_are_of_another_place_are_found_by_name_and_that_is_said(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png")
    table(tmp_path / "t.csv", ("path", "patient_id"), [("D:\\export\\1.png", "p")])
    assert any("found by their names alone" in note for note in read_source(CSV, tmp_path).notes)
    table(tmp_path / "t.csv", ("path", "patient_id"), [("a\\1.png", "p")])
    assert not any("names alone" in note for note in read_source(CSV, tmp_path).notes)


def test_labels_in_words_are_refused_with_the_option_that_reads_them(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    picture(tmp_path / "2.png")
    rows = [("1.png", "p", "ja"), ("2.png", "q", "nein")]
    table(tmp_path / "t.csv", ("path", "patient_id", "x"), rows)
    with pytest.raises(TableError, match="say --values x=ja:1,nein:0"):
        read_source(CSV, tmp_path, {"targets": "x"})


@pytest.mark.parametrize("cells", [["12.0", "7.0"], [12.0, 7.0]])
def test_ids_lose_decimals_alike_in_csv_and_parquet(tmp_path: Path, cells: list[object]) -> None:
    picture(tmp_path / "1.png")
    picture(tmp_path / "2.png")
    frame = pl.DataFrame({"path": ["1.png", "2.png"], "patient_id": cells})
    frame.write_parquet(tmp_path / "t.parquet")
    imported = read_source(CSV, tmp_path)
    assert sorted(imported.frame["patient_id"]) == ["12", "7"]
    assert "'patient_id' is stored as decimal numbers; read without the decimals." in imported.notes


def test_durations_of_a_parquet_file_are_left_out_and_said(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    frame = pl.DataFrame({"path": ["1.png"], "patient_id": ["p"], "age": [timedelta(days=9)]})
    frame.write_parquet(tmp_path / "t.parquet")
    imported = read_source(CSV, tmp_path)
    assert "age" not in imported.frame.columns
    assert "t.parquet: 1 column of durations not read: age." in imported.notes


@pytest.mark.parametrize("blank", [" {} ", "{}\xa0", "\u200b{}"])
def test_blanks_around_headers_do_not_hide_columns_in_any_format(
    tmp_path: Path, blank: str
) -> None:
    picture(tmp_path / "1.png")
    names = [blank.format(name) for name in ("path", "patient_id", "x")]
    table(tmp_path / "t.csv", names, [("1.png", "p", "1")])
    as_text = read_source(CSV, tmp_path, {"targets": "x"}).frame
    (tmp_path / "t.csv").unlink()
    pl.DataFrame([("1.png", "p", "1")], names, orient="row").write_parquet(tmp_path / "t.parquet")
    as_parquet = read_source(CSV, tmp_path, {"targets": "x"}).frame
    assert as_text.equals(as_parquet)
    assert as_text["x"].to_list() == ["1"]
