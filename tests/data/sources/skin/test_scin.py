"""SCIN: the leading condition of a weighted list, skin types of two kinds, people in groups."""

from pathlib import Path

import pytest
from tests.data.sources import tree_scin as tree
from tests.data.sources.trees import with_cell

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import read_source
from medtransfer.data.sources.skin.scin import Leading, leading
from medtransfer.errors import ConfigError, TableError

SCIN = SOURCES["scin"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{'Eczema': 0.69, 'Psoriasis': 0.31}", Leading("Eczema", 0.69)),
        ("{'Psoriasis': 0.31, 'Eczema': 0.69}", Leading("Eczema", 0.69)),
        ('{"Kaposi\'s sarcoma": 1.0}', Leading("Kaposi's sarcoma", 1.0)),
        ("{'Abrasion, scrape, or scab': 1}", Leading("Abrasion, scrape, or scab", 1.0)),
        ("{'Tinea': 0.5, 'Eczema': 0.5}", Leading(None, 0.5, tied=True)),
        ("{}", Leading(None)),
        ("", Leading(None)),
    ],
)
def test_the_heaviest_condition_leads(text: str, expected: Leading) -> None:
    assert leading(text) == expected


def test_every_image_has_the_condition_of_its_case(tmp_path: Path) -> None:
    tree.write(tmp_path)
    imported = read_source(SCIN, tmp_path)
    rows = {row["image_id"]: row for row in imported.frame.to_dicts()}
    first, second = (rows[f"-1000600354148496558_{number}"] for number in (1, 2))
    assert first["diagnosis"] == second["diagnosis"] == "Eczema"
    assert (first["view"], second["view"]) == ("close-up", "angle")
    assert first["case_id"] == second["case_id"] == first["patient_id"]
    assert rows["1003358831658393077_3"]["view"] == "distance"
    assert "1 case without a condition: the class is left empty." in imported.notes
    assert "1 case whose first conditions weigh the same: the class is left empty." in (
        imported.notes
    )
    assert "malignant" not in imported.frame.columns


def test_skin_types_sex_race_and_age_are_groups(tmp_path: Path) -> None:
    tree.write(tmp_path)
    imported = read_source(SCIN, tmp_path)
    rows = {row["image_id"]: row for row in imported.frame.to_dicts()}
    young, apart, old = (
        rows[f"{case}_1"]
        for case in ("-1000600354148496558", "1003358831658393077", "1003826561155964328")
    )
    assert (young["fitzpatrick"], young["skin_type"]) == ("3", "III-IV")
    assert (young["age_group"], young["age_band"], young["race"]) == ("18-29", None, "Asian")
    assert (apart["fitzpatrick"], apart["fitzpatrick_self"]) == (None, "6")
    assert (apart["age_band"], apart["race"], apart["sex"]) == ("40-59", "Other", "M")
    assert (old["age_group"], old["age_band"], old["fitzpatrick_self"]) == ("80+", "80+", None)
    assert rows["-1002039107727665188_1"]["sex"] is None
    assert "1 case whose dermatologists see several skin types: left empty." in imported.notes


def test_a_least_weight_empties_the_class(tmp_path: Path) -> None:
    tree.write(tmp_path)
    imported = read_source(SCIN, tmp_path, {"weight": "0.5"})
    rows = {row["image_id"]: row for row in imported.frame.to_dicts()}
    assert rows["1003844406100696311_1"]["diagnosis"] is None
    assert rows["1003358831658393077_1"]["diagnosis"] == "SK/ISK"
    note = "1 case whose first condition weighs less than 0.5: the class is left empty."
    assert note in imported.notes
    with pytest.raises(ConfigError, match="a number from 0 to 1"):
        read_source(SCIN, tmp_path, {"weight": "half"})


def test_shared_classes_are_those_of_lesions(tmp_path: Path) -> None:
    tree.write(tmp_path)
    imported = read_source(SCIN, tmp_path, shared_names=True)
    rows = {row["image_id"]: row for row in imported.frame.to_dicts()}
    assert rows["1003844406100696311_1"]["diagnosis"] == "AKIEC"
    assert rows["1003358831658393077_1"]["diagnosis"] == "BKL"
    assert rows["-1000600354148496558_1"]["diagnosis"] is None


def test_other_answers_are_named_by_row(tmp_path: Path) -> None:
    tree.write(tmp_path)
    with_cell(tmp_path / "dataset" / "scin_cases.csv", 3, "age_group", "AGE_5")
    with pytest.raises(TableError, match="'AGE_5' in 1 row, first in row 3"):
        read_source(SCIN, tmp_path)
