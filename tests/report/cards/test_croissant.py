"""Description of a manifest: columns and counts, and no row of it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.report.cards.test_model_card import with_few
from tests.report.front_page.test_build import two_hospitals

from medtransfer.report.cards.croissant import SPECIFICATION, croissant_text
from medtransfer.study.config import Study


@pytest.fixture
def study(tmp_path: Path, tiny_study: Study) -> Study:
    """A study of a table with ids, a path, an attribute and a column of names."""
    names = ["Anna Schmidt", "Peter Meyer", "Julia Weber", "Karl Fischer"]
    table = pl.DataFrame(
        {
            "image_id": [f"scan-{n:05}" for n in range(4)],
            "path": [f"secret/{n}.png" for n in range(4)],
            "case_id": [f"study-{n:05}" for n in range(4)],
            "patient_id": [f"mrn-{n:06}" for n in range(4)],
            "cohort": ["a", "a", "b", "b"],
            "malignant": [0, 1, 0, 1],
            "sex": ["F", "M", "F", "M"],
            "surname": names,
        }
    )
    table.write_csv(tmp_path / "ward-7.csv")
    data = tiny_study.data.model_copy(update={"manifest": tmp_path / "ward-7.csv"})
    return tiny_study.model_copy(update={"data": data})


def described(study: Study, about: dict[str, str] | None = None) -> dict[str, Any]:
    data = replace(two_hospitals(), targets=("malignant",))
    return json.loads(croissant_text(data, study, about or {}))


def test_columns_are_described_and_no_id_path_name_or_file(study: Study) -> None:
    document = described(study)
    assert document["conformsTo"] == SPECIFICATION
    fields = [field["name"] for field in document["recordSet"][0]["field"]]
    assert fields == ["cohort", "malignant", "sex"]
    text = json.dumps(document)
    for cell in (
        "scan-",
        "study-0",
        "mrn-",
        "secret",
        "Schmidt",
        "ward-7",
        "surname",
        "patient_id",
    ):
        assert cell not in text
    assert "5 columns of ids, paths and others are not described." in document["description"]


def test_an_attribute_that_names_persons_is_not_described(study: Study) -> None:
    data = study.data.model_copy(update={"attributes": ("sex", "surname")})
    fields = described(study.model_copy(update={"data": data}))["recordSet"][0]["field"]
    assert "surname" not in [field["name"] for field in fields]


def test_a_manifest_that_is_gone_is_described_from_the_settings(study: Study) -> None:
    study.data.manifest.unlink()
    document = described(study)
    assert [f["name"] for f in document["recordSet"][0]["field"]] == ["cohort", "malignant", "sex"]
    assert "sha256" not in document["distribution"][0]


def test_statements_of_people_become_properties_and_small_counts_are_hidden(study: Study) -> None:
    told = {"provider": "Clinic", "data_source": "Archive", "consent": "Waived"}
    document = described(study, told)
    assert document["creator"]["name"] == "Clinic"
    assert document["isBasedOn"] == "Archive"
    few = json.loads(croissant_text(with_few(two_hospitals()), study, {}))
    assert not re.search(r"\b3 cases", few["description"])


def test_the_validator_of_the_format_accepts_it(study: Study, tmp_path: Path) -> None:
    croissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    path = tmp_path / "croissant.json"
    data = replace(two_hospitals(), targets=("malignant",))
    path.write_text(croissant_text(data, study, {}), "utf-8")
    dataset = croissant.Dataset(jsonld=str(path))
    assert not dataset.metadata.ctx.issues.errors
