"""Names of cohorts and groups are short text that can be shown."""

from pathlib import Path

import polars as pl
import pytest

from medtransfer.errors import TableError
from medtransfer.tables.manifest import read_manifest
from medtransfer.tables.schema import write_frame
from medtransfer.tables.values.names import MAX_NAME, can_be_shown

ALLOWED = r"\(allowed: text of up to 200 characters without control characters"


def manifest(folder: Path, **columns: str) -> Path:
    row = {"image_id": "i", "path": "i.png", "case_id": "c", "patient_id": "p", "cohort": "h"}
    frame = pl.DataFrame([{**row, "sex": "f"}, {**row, "image_id": "j", "sex": "f", **columns}])
    write_frame(frame.with_columns(case_id="image_id", patient_id="image_id"), folder / "m.parquet")
    return folder / "m.parquet"


@pytest.mark.parametrize("bad", ["\x0b", "\x00", "\x1b[31m", "\x85", "\u202e", "\ufffe", "\n"])
def test_names_that_cannot_be_shown_are_refused_by_row(tmp_path: Path, bad: str) -> None:
    name = f"hospital{bad}b"
    assert not can_be_shown(name)
    path = manifest(tmp_path, cohort=name, sex=name)
    with pytest.raises(TableError) as caught:
        read_manifest(path, attributes=["sex"])
    text = str(caught.value)
    assert bad not in text.replace("\n  - ", "").replace("\nSee", "")
    for column in ("cohort", "sex"):
        assert f"'{column}' holds 1 wrong value in 1 row" in text  # a name of one patient
    assert "in 1 row, first in row 2 (allowed: text of up to 200 characters" in text


def test_a_name_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=ALLOWED):
        read_manifest(manifest(tmp_path, cohort="h" * (MAX_NAME + 1)))


@pytest.mark.parametrize(
    "good", ["Zürich", "病院", "St. Mary's (2)", "مستشفى", "👩‍⚕️", "h" * MAX_NAME]
)
def test_names_of_any_language_are_allowed(tmp_path: Path, good: str) -> None:
    assert can_be_shown(good)
    assert len(read_manifest(manifest(tmp_path, cohort=f" {good}\n"))) == 2


@pytest.mark.parametrize("bad", ["\x0b", "\x00", "\x1b[31m", "\u202e", "\n", "x" * 4096])
def test_ids_and_paths_that_cannot_be_shown_are_refused_by_row(tmp_path: Path, bad: str) -> None:
    row = {"path": "i.png", "case_id": "c", "patient_id": "p", "cohort": "h", "view": "PA"}
    named = dict.fromkeys(("path", "case_id", "patient_id", "view"), f"MILLER{bad}2")
    frame = pl.DataFrame([row, {**row, **named}]).with_columns(
        image_id=pl.Series(["i", f"MILLER{bad}3"])
    )
    write_frame(frame, tmp_path / "m.parquet")
    with pytest.raises(TableError) as caught:
        read_manifest(tmp_path / "m.parquet")
    text = str(caught.value)
    for column in ("image_id", *named):
        assert f"'{column}' holds what is no id in 1 row, first in row 2 (allowed: text of" in text
    assert "MILLER" not in text


def test_ids_of_any_language_and_long_paths_are_allowed(tmp_path: Path) -> None:
    path = "/".join(["Ärzte 病院"] * 300)
    frame = pl.DataFrame(
        {"image_id": "ü-1", "path": path, "case_id": "病", "patient_id": "أ", "cohort": "h"}
    )
    write_frame(frame, tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet").frame["path"].to_list() == [path]
