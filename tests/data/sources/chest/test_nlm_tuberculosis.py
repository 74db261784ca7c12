"""Shenzhen and Montgomery: two hospitals as cohorts, people from readings, masks are no films."""

from pathlib import Path

import pytest
from tests.data.sources import tree_nlm_tuberculosis as tree
from tests.data.sources.trees import picture

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.chest.nlm_tuberculosis import Person, person
from medtransfer.data.sources.import_source import read_source
from medtransfer.errors import TableError

NLM = SOURCES["nlm-tuberculosis"]


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("male 45yrs\nnormal", Person("male", "45 years")),
        ("Female, 30 yr\n", Person("Female", "30 years")),
        ("Patient's Sex: M\nPatient's Age: 007Y\nfemale relative", Person("M", "7 years")),
        ("female\nold TB, 12yrs ago", Person("female", None)),
        ("male 3 month old, mother 20yrs\n", Person("male", "3 months")),
        ("Female 18month\n", Person("Female", "18 months")),
        ("male 45years", Person("male", "45 years")),
        ("right upper PTB\nmale", Person(None, None)),
        ("", Person(None, None)),
    ],
)
def test_the_head_of_a_reading_names_the_person(text: str, known: Person) -> None:
    assert person(text) == known


def test_the_hospitals_are_cohorts_and_masks_are_counted(tmp_path: Path) -> None:
    tree.write(tmp_path)
    found = read_source(NLM, tmp_path)
    rows = {row["image_id"]: row for row in found.frame.to_dicts()}
    sick, healthy = rows["CHNCXR_0327_1"], rows["MCUCXR_0001_0"]
    assert (sick["cohort"], sick["Tuberculosis"], sick["No Finding"]) == (
        "nlm-tuberculosis-shenzhen",
        "1",
        "0",
    )
    assert (healthy["cohort"], healthy["sex"], healthy["age"], healthy["Tuberculosis"]) == (
        "nlm-tuberculosis-montgomery",
        "F",
        27,
        "0",
    )
    assert rows["CHNCXR_0328_1"]["sex"] is None
    assert "2 images outside CXR_png, such as masks: left out." in found.notes
    assert "1 film whose reading says no age: left empty." in found.notes
    assert [(join.matched, join.left_only) for join in found.joins] == [(5, 1)]


def test_one_cohort_if_its_name_is_given(tmp_path: Path) -> None:
    tree.write(tmp_path)
    assert set(read_source(NLM, tmp_path, {"cohort": "tb"}).frame["cohort"]) == {"tb"}


def test_two_copies_of_a_film_are_refused(tmp_path: Path) -> None:
    tree.write(tmp_path)
    picture(tmp_path / "copy" / "CXR_png" / "CHNCXR_0001_0.png")
    with pytest.raises(TableError, match="2 images of one name in several folders"):
        read_source(NLM, tmp_path)
