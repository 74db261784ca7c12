"""Tables as programs of other countries write them: read, and said how."""

from pathlib import Path

import pytest
from tests.data.sources.trees import workbook

from medtransfer.errors import TableError
from medtransfer.tables.csv_reader import read_text_table
from medtransfer.tables.manifest import MANIFEST_CONTRACT, read_manifest
from medtransfer.tables.other_predictions import read_other_predictions
from medtransfer.tables.schema import read_noted_frame
from medtransfer.tables.text_format import find_format
from medtransfer.tables.workbook import read_workbook

HEAD = "image_id,path,case_id,patient_id,cohort,dose"
TEXT = f"{HEAD}\nMüller,a.png,c,007,Köln,1.5\nb,b.png,d,8,Köln,2\n"
ROWS = [("Müller", "a.png", "c", "007", "Köln", "1.5"), ("b", "b.png", "d", "8", "Köln", "2")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (TEXT.encode(), None),
        (TEXT.encode("utf-8-sig"), None),
        (TEXT.replace("\n", "\r\n").encode(), None),
        (TEXT.replace("\n", "\r").encode(), "line ends of old Macs (CR)"),
        (TEXT.replace(",", ";").replace("1.5", "1,5").encode(), "columns between ';'"),
        (TEXT.replace(",", "\t").encode(), "columns between tabs"),
        (TEXT.replace(",", "|").encode(), "columns between '|'"),
        (TEXT.encode("cp1252"), "text in cp1252"),
        (TEXT.encode("utf-16"), "text in utf-16"),
        (TEXT.encode("utf-16-le"), "text in utf-16-le"),
        (TEXT.encode("utf-16-be"), "text in utf-16-be"),
        (
            TEXT.replace(",", ";").replace("\n", "\r").encode("cp1252"),
            "columns between ';', text in cp1252, line ends of old Macs (CR)",
        ),
    ],
)
@pytest.mark.parametrize("name", ["m.csv", "m.tsv"])
def test_every_form_of_a_text_table_is_found_and_said(
    tmp_path: Path, content: bytes, said: str | None, name: str
) -> None:
    (tmp_path / name).write_bytes(content)
    table = read_noted_frame(tmp_path / name, MANIFEST_CONTRACT)
    assert table.frame.drop("row").rows() == ROWS
    sentences = [f'Manifest "{name}" was read with {said}.'] if said else []
    assert [note for note in table.notes if "Decimal" not in note] == sentences
    assert read_manifest(tmp_path / name).frame["patient_id"].to_list() == ["007", "8"]


def test_decimal_commas_are_points_but_those_of_thousands_stay(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(
        "study;patient_id;target_x;prob_x;mas\n1;7;0;0,25;1,200\n2;8;1;0,5;2,400\n3;9;1;1;3\n"
    )
    read = read_other_predictions(path, {"case_id": "study"})
    assert read.frame["logit_x"].to_list()[1] == 0.0
    assert "Decimal commas of prob_x were read as points." in read.notes
    table = read_text_table(path, "t")
    assert table.frame["mas"].to_list() == ["1,200", "2,400", "3"]


def test_a_letter_beyond_the_first_megabyte_is_found(tmp_path: Path) -> None:
    rows = "".join(f"i{n},i{n}.png,c{n},p{n},A\n" for n in range(60_000))
    text = f"image_id,path,case_id,patient_id,cohort\n{rows}Jörg,x.png,x,x,A\n"
    (tmp_path / "m.csv").write_bytes(text.encode("cp1252"))
    assert len(text) > 2**20
    assert read_manifest(tmp_path / "m.csv").frame["image_id"][0] == "Jörg"


@pytest.mark.parametrize(
    ("word", "encoding"),
    [
        ("Żółty", "cp1250"),
        ("mężczyzna", "cp1250"),
        ("женский", "cp1251"),
        ("γυναίκα", "cp1253"),
        ("kadın", "cp1254"),
        ("м", "cp1251"),
        ("żeńska", "cp1250"),
        ("bărbat", "cp1250"),
        ("nő", "cp1250"),
        ("průměr", "cp1250"),
        ("männlich", "mac_roman"),
        ("féminin", "mac_roman"),
        ("niña", "mac_roman"),
        ("varón", "mac_roman"),
        ("männlich", "cp850"),
        ("não", "cp850"),
        ("女性", "gbk"),
        ("男性", "shift_jis"),
        ("여자", "euc_kr"),
    ],
)
def test_another_encoding_is_refused_and_read_when_it_is_named(
    tmp_path: Path, word: str, encoding: str
) -> None:
    (tmp_path / "t.csv").write_bytes(f"id,sex\n1,{word}\n".encode(encoding))
    with pytest.raises(TableError, match="line 2 is not UTF-8 text.*encoding=NAME") as said:
        read_text_table(tmp_path / "t.csv", "t.csv")
    assert word not in str(said.value)
    table = read_text_table(tmp_path / "t.csv", "t.csv", encoding=encoding)
    assert table.frame["sex"].to_list() == [word]


@pytest.mark.parametrize(
    "text",
    [
        *("männlich", "MÄNNLICH", "Größe", "féminin", "l’homme", "à droite", "où", "più", "naïve"),
        *("niña", "varón", "¿qué?", "¡sí!", "não", "coração", "irmãs", "põe", "manhã", "kvinne på"),
        *("5 µm", "Ø 5", "37°C", "Ångström", "ÆTAT", "ŒDÈME", "œdème", "„groß“", "2019–2020"),
    ],
)
def test_words_of_western_europe_are_read_from_cp1252(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_bytes(f"id,note\n1,{text}\n".encode("cp1252"))
    assert read_text_table(tmp_path / "t.csv", "t.csv").frame["note"].to_list() == [text]


def test_a_separator_that_cannot_be_told_is_refused_unless_names_tell_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;b,c\n1;2,3\n")
    with pytest.raises(TableError, match="commas and ';' between its columns"):
        read_text_table(path, "t.csv")
    assert read_text_table(path, "t.csv", ["a"]).frame.columns == ["a", "b,c"]
    assert read_text_table(path, "t.csv", ["c"]).frame.columns == ["a;b", "c"]


def test_a_workbook_is_read_by_its_first_sheet(tmp_path: Path) -> None:
    workbook(tmp_path / "m.xlsx", HEAD.split(","), ROWS)
    assert read_manifest(tmp_path / "m.xlsx").frame["patient_id"].to_list() == ["007", "8"]


@pytest.mark.parametrize(
    ("above", "line"),
    [
        (b"sep=;\n", 2),
        (b'"SEP=;"\n', 2),
        (b"Export of the clinic; 2021\n\nall films\n", 4),
        (b"\n\n", 3),
    ],
)
def test_lines_above_the_header_are_left_out_and_said(
    tmp_path: Path, above: bytes, line: int
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(above + b"path;patient_id;note\na.png;1;x\nb.png;2;\n")
    table = read_text_table(path, "t.csv", ["path", "patient_id", "cohort"])
    assert table.frame.rows() == [("a.png", "1", "x"), ("b.png", "2", None)]
    assert table.first_row == line + 1
    assert f"its header in line {line}; what is above was left out" in table.notes[0]


def test_a_header_without_an_expected_name_stays_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\npath,1\npatient_id,2\n")
    table = read_text_table(path, "t.csv", ["path", "patient_id"])
    assert (table.frame.columns, len(table.frame), table.notes) == (["a", "b"], 2, ())


def test_a_null_byte_in_a_cell_does_not_make_a_text_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"path,patient_id,cohort\na,\x00,n\nb,22,k\n")
    assert find_format(path, "t", ("path", "patient_id")).encoding == "utf-8"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_found_where_few_letters_are_latin(
    tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "t.csv"
    rows = [f"病人编号甲乙丙{n},恶性肿瘤病变一二三四五六七八九十" for n in range(9)]
    path.write_bytes("\n".join(["编号,诊断结果", *rows]).encode(encoding))
    table = read_text_table(path, "t.csv")
    assert table.frame["编号"][3] == "病人编号甲乙丙3"
    assert f"text in {encoding}" in table.notes[0]


def test_separators_at_the_end_of_rows_hold_nothing_but_other_cells_are_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,2,\n3,4, ,\n")
    assert read_text_table(path, "t.csv").frame.rows() == [("1", "2"), ("3", "4")]
    path.write_bytes(b"a,b\n1,2,\n3,4,5\n")
    with pytest.raises(TableError, match="line 3 has 3 cells, the header has 2"):
        read_text_table(path, "t.csv")


@pytest.mark.parametrize("start", ["", '"'])
def test_rows_with_fewer_cells_than_the_header_are_counted(tmp_path: Path, start: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"a,b,c\n{start}1{start},2,\n3\n4,5\n")
    table = read_text_table(path, "t.csv")
    (note,) = table.notes
    assert "2 rows with fewer cells than the header, first row 3: what they lack was read" in note
    path.write_text("a,b,c\n1,2,\n3,,\n")
    assert read_text_table(path, "t.csv").notes == ()


def test_names_of_columns_are_expected_ones_but_for_blanks_and_unicode_form(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(" Pat\u200b ,Gro\u0308ße,other \n1,2,3\n")
    assert read_text_table(path, "t.csv", ["Pat", "Größe"]).frame.columns == [
        "Pat",
        "Größe",
        "other ",
    ]


def test_a_workbook_is_read_by_the_sheet_and_below_the_title_that_names_tell(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.xlsx"
    rows = [[], ["path ", "patient_id", "label"], ["a.png", "12", "1"], [], ["b.png", "13", "0"]]
    workbook(path, ["Export of the clinic"], rows, Legend=[["word", "meaning"], ["w", "female"]])
    table = read_workbook(path, "t.xlsx", ["path", "patient_id"]).numbered("row")
    assert table.frame.rows() == [(4, "a.png", "12", "1"), (6, "b.png", "13", "0")]
    assert table.frame.columns == ["row", "path", "patient_id", "label"]
    assert table.notes == (
        "t.xlsx has 2 sheets with rows: 'S' was read, Legend not.",
        "t.xlsx: the header is in row 3; what is above was left out.",
        "1 empty row left out, first row 5.",
    )


def test_quotes_inside_cells_are_letters_where_no_cell_begins_with_one(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,5" wide\n2,3\' 4"\n')
    assert read_text_table(path, "t.csv").frame["b"].to_list() == ['5" wide', "3' 4\""]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ('1,x\n2,"5\'3" SECRET"\n3,y\n', "the quotes in line 3 or below do not come in pairs"),
        ('1,x\n2,"SECRET\n3,y\n', "the quotes in line 3 or below do not come in pairs"),
        ('1,5" wide\n2,"x"\n', "Quotes belong around whole cells"),
    ],
)
def test_quotes_that_do_not_come_in_pairs_are_named_by_line(
    tmp_path: Path, rows: str, expected: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + rows)
    with pytest.raises(TableError, match=expected) as error:
        read_text_table(path, "t.csv")
    assert "SECRET" not in str(error.value)


def test_short_rows_are_numbered_as_in_the_file_beside_empty_rows_and_long_texts(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n1,2," + "x" * 200_000 + "\n\n4,5\n")
    table = read_text_table(path, "t.csv")
    assert "1 row with fewer cells than the header, first row 4" in table.notes[0]
    assert table.numbered("row").frame["row"].to_list() == [2, 4]


def test_errors_of_formulas_are_empty_cells_that_are_counted(tmp_path: Path) -> None:
    writer = pytest.importorskip("xlsxwriter")
    book = writer.Workbook(str(tmp_path / "t.xlsx"))
    sheet = book.add_worksheet()
    for place, row in enumerate([["path", "age"], ["a.png", 50], ["b.png", None]]):
        sheet.write_row(place, 0, row)
    sheet.write_formula(2, 1, "=1/0", None, "#DIV/0!")
    book.close()
    table = read_workbook(tmp_path / "t.xlsx", "t.xlsx")
    assert table.frame["age"].to_list() == ["50", None]
    assert table.notes == (
        "t.xlsx: 1 cell with an error such as #N/A, in all its sheets: read as empty.",
    )
