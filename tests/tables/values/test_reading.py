"""One reading of cells, the same from CSV and Parquet, in every command."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from tests.data.sources.trees import picture

from medtransfer import check_manifest, init_study, join_manifests, read_manifest
from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import read_source
from medtransfer.errors import ConfigError, TableError
from medtransfer.evaluation.comparison.attributes.attribute_table import join_attributes
from medtransfer.tables.values.missing_words import CERTAIN, POSSIBLE
from medtransfer.tables.values.value_map import read_value_map

MISSING = ("NA", "NaN", "nan", "n/a", "null", ".", "-", "unknown", "None", "#N/A", "", "  ", "?")


def manifest(folder: Path, suffix: str = ".csv", **columns: Sequence[str | float | None]) -> Path:
    """A manifest of as many images as the columns have cells."""
    folder.mkdir(exist_ok=True)
    count = len(next(iter(columns.values())))
    names = [f"i{number}" for number in range(count)]
    ids = {"image_id": names, "path": [f"{n}.png" for n in names], "case_id": names}
    frame = pl.DataFrame({**ids, "patient_id": names, "cohort": ["A"] * count, **columns})
    path = folder / f"m{suffix}"
    if suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path, quote_style="always")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("word", MISSING)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_missing_word_is_no_label_and_no_group(tmp_path: Path, word: str, suffix: str) -> None:
    path = manifest(
        tmp_path, suffix, y=["1", "0", word, "1"], scanner=["GE", word, "GE", "Philips"]
    )
    read = read_manifest(path, targets=["y"], attributes=["scanner"])
    assert read.frame["y"].to_list() == ["1", "0", None, "1"]
    assert read.frame["scanner"].to_list() == ["GE", None, "GE", "Philips"]
    said = [f"'{name}': read as missing: '{word}' in 1 row." for name in ("y", "scanner")]
    assert sorted(read.notes) == (sorted(said) if word.strip() else [])
    study = init_study(path, tmp_path / "s.yaml")
    assert "Targets found: y (1/0/-1/empty); attributes: scanner." in study.notes


def test_nan_in_a_column_of_numbers_is_missing(tmp_path: Path) -> None:
    path = manifest(tmp_path, ".parquet", y=[1.0, 0.0, float("nan"), None])
    read = read_manifest(path, targets=["y"])
    assert read.frame["y"].to_list() == [1.0, 0.0, None, None]
    assert read.notes == ("'y': read as missing: 'NaN' in 1 row.",)
    assert "y (1/0/-1/empty)" in init_study(path, tmp_path / "s.yaml").notes[-1]


@pytest.mark.parametrize(
    "word",
    [
        *("Ｎ／Ａ", "N / A", "not_available", "Not  Known.", "(missing)", "<unknown>", "[NaN]"),
        *(
            "#NV",
            "#VALEUR!",
            "Sin información",
            "SIN INFORMACION",
            "non renseignée",
            "nicht erhoben",
        ),
        *(
            "Belirtilmemiş",
            "未说明",
            "ﾃﾞｰﾀなし",
            "알 수 없음",
            "не указано",
            "Patient declines",
            "Refused",
            "Unknown/Not Reported",
            "Unknown, Unavailable or Unreported",
            "inconnu(e)",
            "Unbek.",
            "(leer)",
            "(blank)",
            "missing data",
            "未詳",
            "\u200b",
            "\ufeff\u200b",
        ),
    ],
)
def test_missing_words_are_read_in_any_spelling(tmp_path: Path, word: str) -> None:
    path = manifest(tmp_path, scanner=["GE", word, "Philips"])
    assert read_manifest(path, attributes=["scanner"]).frame["scanner"].null_count() == 1


def test_words_that_only_begin_like_missing_ones_are_values(tmp_path: Path) -> None:
    cells = ["NAD", "normal.", "none seen", "-/-", "..", "na-18", "0", "unknown primary"]
    cells += ["left/unknown", "none or mild"]
    path = manifest(tmp_path, finding_text=cells)
    read = read_manifest(path, attributes=["finding_text"])
    assert (read.frame["finding_text"].to_list(), read.notes) == (cells, ())


def test_a_plus_beside_it_makes_a_dash_a_value(tmp_path: Path) -> None:
    path = manifest(tmp_path, her2=["+", "-", "NA"], er=["(+)", "(-)", "(+)"])
    frame = read_manifest(path, attributes=["her2", "er"]).frame
    assert frame["her2"].to_list() == ["+", "-", None]
    assert frame["er"].to_list() == ["(+)", "(-)", "(+)"]


@pytest.mark.parametrize("word", ["None", "unknown", "-", "UNK"])
def test_a_word_that_may_be_a_class_is_for_the_user_to_decide(tmp_path: Path, word: str) -> None:
    path = manifest(tmp_path, dx=["mel", "nv", word, "NaN"])
    expected = f"'dx' holds '{word}' in 1 row, which may be a class or a missing value: say --val"
    for read in (
        lambda: init_study(path, tmp_path / "s.yaml"),
        lambda: read_manifest(path, class_column="dx", targets=["mel", "nv"]),
    ):
        with pytest.raises(TableError, match=expected.replace("?", r"\?")):
            read()
    kept = read_manifest(path, class_column="dx", targets=["mel", "nv", word])
    assert kept.frame["dx"].to_list() == ["mel", "nv", word, None]
    values = {"dx": {word: ""}}
    study = init_study(path, tmp_path / "s.yaml", values=values)
    assert "Targets found: mel, nv (classes of dx); attributes: none." in study.notes
    assert "values:" in study.path.read_text()
    values = {"dx": {word: word}}
    study = init_study(path, tmp_path / "t.yaml", values=values)
    assert any(word in note and "classes of dx" in note for note in study.notes)


def test_check_stops_on_such_a_class_too(tmp_path: Path) -> None:
    path = manifest(tmp_path, dx=["mel", "nv", "unknown"])
    for number in range(3):
        picture(tmp_path / f"i{number}.png", number)
    with pytest.raises(TableError, match="may be a class or a missing value"):
        check_manifest(path, tmp_path / "c")


def test_sexes_are_read_alike_everywhere(tmp_path: Path) -> None:
    path = manifest(tmp_path, y=["1", "0", "1", "0"], Geschlecht=["w", "m", "divers", "k.A."])
    expected = ["F", "M", "divers", None]
    read = read_manifest(path)
    assert read.frame["Geschlecht"].to_list() == expected
    assert "'Geschlecht': read as missing: 'k.A.' in 1 row." in read.notes
    other = manifest(tmp_path / "b", y=["1"], Geschlecht=["weiblich"])
    pl.read_csv(other).with_columns(cohort=pl.lit("B")).write_csv(other)
    joined = join_manifests([path, other], tmp_path / "j.parquet")
    assert pl.read_parquet(joined.path)["Geschlecht"].to_list() == [*expected, "F"]
    assert "A: 'Geschlecht': read as F: 'w' in 1 row." in joined.notes
    for number in range(4):
        picture(tmp_path / "x" / f"i{number}.png", number)
    (tmp_path / "x" / "m.csv").write_text(path.read_text())
    imported = read_source(SOURCES["csv"], tmp_path / "x", {"columns": "sex=Geschlecht"})
    assert imported.frame["sex"].to_list() == expected
    predictions = pl.DataFrame({"case_id": ["i0", "i1", "i2", "i3"], "target_y": [1, 0, 1, 0]})
    table = join_attributes(predictions, path, ["Geschlecht"], None, 1)
    assert table.frame.sort("case_id")["Geschlecht"].to_list() == expected
    assert any("is not known of 1 case: counted as group Unknown" in note for note in table.said)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_letter_that_tells_no_sex_is_named_alike_by_every_command(
    tmp_path: Path, suffix: str
) -> None:
    path = manifest(tmp_path, suffix, y=["1", "0"] * 6, Geschlecht=["w"] * 12)
    note = (
        "'Geschlecht': 'w' in 12 rows: the column does not tell which sex that is, so it is kept "
        "as it stands. Say it with --values Geschlecht=w:F or Geschlecht=w:M."
    )
    assert note in read_manifest(path).notes
    assert note in init_study(path, tmp_path / "s.yaml").notes
    other = manifest(tmp_path / "b", suffix, y=["1"], Geschlecht=["m"])
    frame = pl.read_parquet(other) if suffix == ".parquet" else pl.read_csv(other)
    frame = frame.with_columns(cohort=pl.lit("B"))
    frame.write_parquet(other) if suffix == ".parquet" else frame.write_csv(other)
    assert f"A: {note}" in join_manifests([path, other], tmp_path / "j.parquet").notes
    for number in range(12):
        picture(tmp_path / f"i{number}.png", number)
    assert note in check_manifest(path, tmp_path / "c").notes
    options = {"table": path.name, "columns": "Geschlecht=Geschlecht"}
    assert note in read_source(SOURCES["csv"], tmp_path, options).notes
    predictions = pl.DataFrame({"case_id": [f"i{n}" for n in range(12)], "target_y": [1, 0] * 6})
    for names in (None, [], ["Geschlecht"]):  # also where it is one group, and not reported by
        assert note in join_attributes(predictions, path, names, None, 1).said
    values = read_value_map(["Geschlecht=w:F"])
    told = join_attributes(predictions, path, None, values, 1).said
    assert "'Geschlecht': 'w' in 12 rows written as 'F'." in told
    assert not any("does not tell" in said for said in told)


def test_mapped_values_are_read_no_further(tmp_path: Path) -> None:
    path = manifest(tmp_path, sex=["0", "1", "9", "9"], implant=["None", "yes", "None", "NA"])
    values = read_value_map(["sex=0:F,1:M,9:empty", "implant=None:none"])
    read = read_manifest(path, values=values, attributes=["implant"])
    assert read.frame["sex"].to_list() == ["F", "M", None, None]
    assert read.frame["implant"].to_list() == ["none", "yes", "none", None]
    assert "'sex': '9' in 2 rows left empty." in read.notes


def test_cells_without_anything_can_be_mapped(tmp_path: Path) -> None:
    path = manifest(tmp_path, mass=["1", "", " ", "-1"])
    read = read_manifest(path, values=read_value_map(["mass=empty:0,-1:empty"]), targets=["mass"])
    assert read.frame["mass"].to_list() == ["1", "0", "0", None]
    assert "'mass': 'empty' in 2 rows written as '0'." in read.notes
    whole = read_manifest(manifest(tmp_path, mass=["1", "0"]), values={"mass": {"": "0"}})
    assert "'mass': no row holds 'empty', which --values names." in whole.notes


def test_a_target_called_sex_stays_as_it_stands(tmp_path: Path) -> None:
    path = manifest(tmp_path, sex=["m", "w", "m"])
    read = read_manifest(path, class_column="sex", targets=["m", "w"])
    assert (read.frame["sex"].to_list(), read.notes) == (["m", "w", "m"], ())


def test_ids_and_paths_are_never_missing_words(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("image_id,path,case_id,patient_id,cohort\nNA,None,nan,null,NA\n")
    row = read_manifest(path).frame.row(0)
    assert row[1:] == ("NA", "None", "nan", "null", "NA")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sex", "'sex' is not of the form COLUMN=FROM:TO,FROM:TO"),
        ("sex=w", "'w' of 'sex' is not FROM:TO"),
        ("sex=w:F,w:M", "'w' of 'sex' is given twice"),
        ("=w:F", "is not of the form"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        read_value_map([text])


def test_values_may_hold_commas_colons_and_equals_signs() -> None:
    texts = ['dx="a, b":c,>=9:late', "time=10:30:morning,x:empty,y:"]
    assert read_value_map(texts) == {
        "dx": {"a, b": "c", ">=9": "late"},
        "time": {"10:30": "morning", "x": "", "y": ""},
    }


def test_the_lists_of_missing_words_are_apart() -> None:
    assert not CERTAIN & POSSIBLE


@pytest.mark.parametrize(
    ("cells", "codes"),
    [
        (["arm", "leg", "-999"], "site=-999:empty"),
        (["arm", "leg", "9"], "site=9:empty"),
        (["1", "2", "99", "1"], "site=99:empty"),
        (["1", "2", "-9"], "site=-9:empty"),
    ],
)
def test_a_code_that_may_be_a_missing_value_is_named_and_kept(
    tmp_path: Path, cells: list[str], codes: str
) -> None:
    read = read_manifest(manifest(tmp_path, site=cells), attributes=["site"])
    assert read.frame["site"].to_list() == cells
    (note,) = [note for note in read.notes if "missing value" in note]
    assert note.endswith(f"say --values {codes}.")


@pytest.mark.parametrize("cells", [["1", "0", "-1"], ["7", "8", "9"], ["90", "95", "99"], ["9"]])
def test_numbers_among_their_like_are_no_codes(tmp_path: Path, cells: list[str]) -> None:
    read = read_manifest(manifest(tmp_path, site=cells), attributes=["site"])
    assert not [note for note in read.notes if "missing value" in note]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_codes_of_sexes_that_are_stored_with_decimals_are_named(
    tmp_path: Path, suffix: str
) -> None:
    path = manifest(tmp_path, suffix, sex=[1.0, 2.0, None, 1.0])
    read = read_manifest(path)
    assert read.frame["sex"].to_list() == ["1", "2", None, "1"]
    assert any("--values sex=1:F,2:M or sex=1:M,2:F" in note for note in read.notes)
