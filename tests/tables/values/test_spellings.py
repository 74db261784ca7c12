"""Classes and groups that differ by case or blanks alone are one."""

from pathlib import Path

import polars as pl
import pytest
from tests.data.sources.trees import picture
from tests.tables.values.test_reading import manifest

from medtransfer import import_source, init_study, join_manifests, read_manifest
from medtransfer.errors import TableError
from medtransfer.evaluation.comparison.attributes.attribute_table import join_attributes
from medtransfer.tables.values.folding import plain_word
from medtransfer.tables.values.spellings import (
    BOTH_SIDES,
    SIDE_WORDS,
    is_rounded_id,
    one_spelling,
    patient_notes,
    read_sides,
)

DX = ["Mel", "mel", "Mel", "nv", "NV ", "nv", "basal  cell", "Basal cell", "ｎｖ", None]


def test_the_most_frequent_spelling_is_taken_and_the_others_are_named() -> None:
    cells, notes = one_spelling(pl.Series("dx", DX * 10))
    assert cells.to_list()[:6] == ["Mel", "Mel", "Mel", "nv", "nv", "nv"]
    assert len({*cells.to_list()}) == 4
    (note,) = notes
    assert note == (
        "'dx': only case, blanks, dashes or decimals differ: read 'NV ' as 'nv' in 10 rows, "
        "'basal  cell' as 'Basal cell' in 10 rows, 'mel' as 'Mel' in 10 rows, 'ｎｖ' as 'nv' in 10 "
        "rows."
    )
    assert one_spelling(pl.Series("dx", DX))[1] == [
        "'dx': only case, blanks, dashes or decimals differ: read 4 spellings."
    ]


def test_a_given_spelling_comes_first_and_given_names_stay_apart() -> None:
    many = pl.Series("x", [f"{letter}{n}" for n in range(600) for letter in "aA"])
    assert one_spelling(many)[1] == []
    cells = pl.Series("x", ["a", "a", "A", "B", "b"])
    assert one_spelling(cells, ["A"])[0].to_list()[:3] == ["A", "A", "A"]
    kept, notes = one_spelling(cells, ["A", "a", "B", "b"])
    assert (kept.to_list(), notes) == (cells.to_list(), [])
    assert one_spelling(pl.Series("x", ["A+", "A-", "a1", "A 1"]))[1] == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_init_run_and_evaluate_see_one_class_and_one_group(tmp_path: Path, suffix: str) -> None:
    dx = ["Mel", "mel ", "Mel", "nv", "NV", "nv"] * 10
    makers = ["GE", "ge", "Ge", "GE", "Philips", "philips"] * 10
    path = manifest(tmp_path, suffix, dx=dx, maker=makers)
    study = init_study(path, tmp_path / "s.yaml")
    assert "Targets found: Mel, nv (classes of dx); attributes: maker." in study.notes
    assert any("'mel' as 'Mel' in 10 rows" in note for note in study.notes)
    read = read_manifest(path, class_column="dx", targets=["MEL", "nv"], attributes=["maker"])
    assert sorted(read.frame["dx"]) == ["MEL"] * 30 + ["nv"] * 30
    assert read.frame["maker"].n_unique() == 2
    assert any("'GE'" in note for note in read.notes)
    with pytest.raises(TableError, match="'dx' holds 'Mel' in 30 rows"):
        read_manifest(path, class_column="dx", targets=["mole", "nv"])
    predictions = pl.DataFrame({"case_id": [f"i{n}" for n in range(6)], "target_y": [1, 0] * 3})
    joined = join_attributes(predictions, path, ["maker"], None, 1)
    assert joined.frame["maker"].n_unique() == 2


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["links", "rechts", None], ["L", "R", None]),
        (["Left ", "RIGHT", "l", "r"], ["L", "R", "L", "R"]),
        (["gauche", "droite"], ["L", "R"]),
        (["izquierda", "derecha"], ["L", "R"]),
        (["G", "D"], ["L", "R"]),
        (["L", "P"], ["L", "R"]),
        (["OD", "OS", "OU"], ["R", "L", "OU"]),
        (["OD", "OG"], ["R", "L"]),
        (["OI", "od"], ["L", "R"]),
        (["RE", "LE"], ["R", "L"]),
        (["LD", "LE"], ["R", "L"]),
        (["V", "H"], ["L", "R"]),
        (["L", "D"], ["L", "R"]),
        (["L", "R", "D"], ["L", "R", "D"]),
        (["左", "右"], ["L", "R"]),
        (["prawa", "lewa"], ["R", "L"]),
        (["D", "D"], ["D", "D"]),
        (["L", "R", "B", "U"], ["L", "R", "B", "U"]),
    ],
)
def test_sides_are_read_in_the_words_of_hospitals(
    cells: list[str | None], expected: list[str | None]
) -> None:
    read, notes = read_sides(pl.Series("laterality", cells, dtype=pl.String))
    assert read.to_list() == expected
    assert bool(notes) == (cells != expected or "D" in expected)
    assert read_sides(read)[0].to_list() == expected


def test_a_word_that_is_no_side_is_kept_and_named() -> None:
    _, notes = read_sides(pl.Series("laterality", ["links"] + ["oben"] * 12))
    assert notes[0] == "'laterality': read as L: 'links' in 1 row."
    assert notes[1:] == [
        (
            "'laterality': 'oben' in 12 rows: no side that is known, kept as it stands. Map it "
            "with --values laterality=WORD:L,WORD:R."
        )
    ]


def test_no_word_is_both_sides() -> None:
    words = [{*map(plain_word, text.split())} for text in SIDE_WORDS.values()]
    assert not words[0] & words[1]
    assert not BOTH_SIDES & (words[0] | words[1])


def test_a_number_and_the_same_with_decimals_are_one_group() -> None:
    cells, notes = one_spelling(pl.Series("grade", ["1", "1.0", "1", "2,0", "10", "1.5"]))
    assert cells.to_list() == ["1", "1", "1", "2,0", "10", "1.5"]
    assert len(notes) == 1


def test_other_dashes_and_underscores_are_one_spelling() -> None:
    cells = pl.Series("dx", ["non-mel", "non–mel", "non‑mel", "a b", "a_b"] * 10)
    spelled, notes = one_spelling(cells)
    assert spelled.to_list()[:5] == ["non-mel", "non-mel", "non-mel", "a b", "a b"]
    assert notes[0].startswith("'dx': only case, blanks, dashes or decimals differ: read")


@pytest.mark.parametrize(
    ("ids", "rounded"),
    [
        (["1.23E+15", "7"], [True, False]),
        (["1234567890123450", "1234567890123460", "12"], [True, True, False]),
        (["1234567890123450", "1234567890123461"], [False, False]),
        (["1234567890123450", "1234567890123450", "12"], [False, False, False]),  # one id
        (["123456789012345000", "12"], [True, False]),
        (["123456789012345", "10"], [False, False]),
    ],
)
def test_long_numbers_that_all_end_in_0_are_rounded(ids: list[str], rounded: list[bool]) -> None:
    frame = pl.DataFrame({"patient_id": ids, "cohort": ["A"] * len(ids)})
    assert frame.select(is_rounded_id("patient_id"))["patient_id"].to_list() == rounded
    # as after join, beside a cohort whose long numbers are whole
    joined = frame.select(pl.format("A/{}", "patient_id").alias("patient_id"), "cohort")
    other = pl.DataFrame({"patient_id": ["B/1234567890123457"], "cohort": ["B"]})
    both = pl.concat([joined, other])
    assert both.select(is_rounded_id("patient_id"))["patient_id"].to_list() == [*rounded, False]


def test_ids_of_one_patient_and_of_several_are_said_before_a_check(tmp_path: Path) -> None:
    ids = ["0012", "12", "p 1", "P1", "1.23E+15", "1.23E+15", "7", "8"]
    rows = [f"{n},{n}.png,{n},{ids[n]},A,{n % 2}\n" for n in range(len(ids))]
    path = tmp_path / "m.csv"
    path.write_text("image_id,path,case_id,patient_id,cohort,mass\n" + "".join(rows))
    other = tmp_path / "o.csv"
    other.write_text("image_id,path,case_id,patient_id,cohort,mass\na,a.png,a,5,B,1\n")
    twins = (
        "4 patient_ids may be 2 patients: they differ in case, leading zeros or blanks alone, and "
        "count as different patients. `medtransfer check` names the rows."
    )
    rounded = (
        "1 patient_id in scientific notation or ending in 0: a spreadsheet has rounded long "
        "numbers, and several patients may have become one. `medtransfer check` names the rows."
    )
    said = (twins, rounded)
    assert {*said} <= {*init_study(path, tmp_path / "s.yaml").notes}
    joined = join_manifests([path, other], tmp_path / "j.csv")
    assert {f"A: {note}" for note in said} <= {*joined.notes}
    assert not any("patient_id" in note for note in joined.notes if note.startswith("B: "))
    assert {*said} <= {*init_study(joined.path, tmp_path / "j.yaml").notes}
    for number in range(len(ids)):
        picture(tmp_path / "x" / f"{number}.png", number)
    (tmp_path / "x" / "m.csv").write_text(path.read_text())
    assert {*said} <= {*import_source("csv", tmp_path / "x", tmp_path / "x.parquet").notes}


def test_an_id_of_two_people_is_said_by_init_join_and_evaluate(tmp_path: Path) -> None:
    rows = [
        f"{n},{n}.png,c{n},p{n // 2},A,{n % 2},{'FM'[n % 2]},{20 + 40 * (n % 2)}" for n in (0, 1, 4)
    ]
    path = tmp_path / "m.csv"
    path.write_text("\n".join(["image_id,path,case_id,patient_id,cohort,mass,sex,age", *rows]))
    other = tmp_path / "o.csv"
    other.write_text(path.read_text().replace(",A,", ",B,"))
    sexes, ages = "'sex' is both F and M for 1", "'age' differs by 20 years or more for 1"
    said = f"{sexes} patient id; {ages} patient id."
    for note in (sexes, ages):
        whole = f"{note} patient id. `medtransfer check` names the rows."
        assert whole in init_study(path, tmp_path / f"{len(note)}.yaml").notes
        assert f"A: {whole}" in join_manifests([path, other], tmp_path / f"{len(note)}.csv").notes
    predictions = pl.DataFrame({"case_id": ["c0", "c1", "c4"], "target_y": [1, 0, 1]})
    assert said in join_attributes(predictions, path, ["sex"], None, 1).said


def test_an_id_of_two_people_is_noted_with_its_count() -> None:
    frame = pl.DataFrame(
        {
            "patient_id": ["p1", "p1", "p2", "p2", "p3", "p3"],
            "sex": ["F", "M", "F", "F", "M", None],
            "age": ["31", "32", "20", "71", "50", "52"],
        }
    )
    frame = frame.with_columns(cohort=pl.lit("home"))
    assert patient_notes(frame, ["sex", "age"]) == [
        "'sex' is both F and M for 1 patient id. `medtransfer check` names the rows.",
        "'age' differs by 20 years or more for 1 patient id. `medtransfer check` names the rows.",
    ]
    assert patient_notes(frame.filter(pl.col("patient_id") == "p3"), ["sex", "age"]) == []
