"""CSAW-CC: the side and the time of a cancer, breasts that had theirs later."""

from pathlib import Path

from tests.data.sources import tree_csaw_cc as tree

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import read_source

CSAW = SOURCES["csaw-cc"]


def labels_of(folder: Path, **options: str) -> dict[str, str]:
    frame = read_source(CSAW, folder, options).frame
    return dict(frame.select("case_id", "malignant").iter_rows())


def test_a_cancer_is_of_its_breast_and_of_its_time(tmp_path: Path) -> None:
    tree.write(tmp_path)
    labels = labels_of(tmp_path)
    assert (labels["2_2015_L"], labels["2_2015_R"]) == ("1", "0")
    assert (labels["12_2009_R"], labels["12_2009_L"]) == ("-1", "0")
    assert (labels["12_2012_R"], labels["21_2010_L"]) == ("1", "1")
    assert {labels[f"4_{year}_{side}"] for year in (2012, 2014) for side in "LR"} == {"0"}


def test_cancers_between_screenings_can_be_uncertain(tmp_path: Path) -> None:
    tree.write(tmp_path)
    labels = labels_of(tmp_path, cancer="screen-detected")
    assert (labels["2_2015_L"], labels["21_2010_L"]) == ("-1", "1")


def test_an_exam_with_an_uncertain_breast_is_not_healthy(tmp_path: Path) -> None:
    tree.write(tmp_path)
    labels = labels_of(tmp_path, case="exam")
    assert (labels["12_2009"], labels["2_2015"], labels["4_2012"]) == ("-1", "1", "0")


def test_a_cancer_without_a_side_is_counted(tmp_path: Path) -> None:
    tree.write(tmp_path)
    imported = read_source(CSAW, tmp_path)
    assert any(note.startswith("1 patient with a cancer whose side") for note in imported.notes)
    labels = labels_of(tmp_path)
    assert (labels["30_2011_L"], labels["30_2011_R"]) == ("-1", "-1")


def test_age_and_time_are_in_words(tmp_path: Path) -> None:
    tree.write(tmp_path)
    frame = read_source(CSAW, tmp_path).frame
    (row,) = frame.filter(image_id="00021_20990909_L_CC_5").iter_rows(named=True)
    assert (row["age_group"], row["timing"], row["view"], row["laterality"]) == (
        *("55+", "screen-detected"),
        *("CC", "L"),
    )
