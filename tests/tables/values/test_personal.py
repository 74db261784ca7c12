"""Cells that may identify a person are counted in messages and never quoted."""

from pathlib import Path

import polars as pl
import pytest

from medtransfer.data.sources.cells import with_age
from medtransfer.errors import TableError
from medtransfer.tables.manifest import read_manifest
from medtransfer.tables.schema import write_frame
from medtransfer.tables.values.personal import MAX_QUOTED, quotable
from medtransfer.tables.values.sex import read_sex

PERSONAL = (
    "Erika Mustermann",
    "MUSTERMANN, ERIKA",
    "Müller-Lüdenscheidt, Hans Dr.",
    "von,hans",
    "Doe^Jane",
    "Д. Иванова",
    "jane.doe@example.org",
    "1950-02-03",
    "03.02.1950",
    "19500203",
    "1950",
    "MRN00012345",
    "+49 30 1234567",
    "fell from a ladder three weeks ago",
)


@pytest.mark.parametrize("cell", PERSONAL)
def test_a_cell_that_may_identify_a_person_is_never_quoted(tmp_path: Path, cell: str) -> None:
    texts = [*read_sex(pl.Series("sex", ["F", "M", cell])).notes]
    texts += with_age(pl.DataFrame({"x": [cell]}), pl.col("x"))[1]
    row = {"image_id": "i", "path": "i.png", "case_id": "c", "patient_id": "p", "cohort": "h"}
    write_frame(pl.DataFrame({**row, "y": [cell]}), tmp_path / "m.csv")
    with pytest.raises(
        TableError, match="'y' holds 1 wrong value in 1 row, first in row 2"
    ) as said:
        read_manifest(tmp_path / "m.csv", targets=["y"])
    texts.append(str(said.value))
    assert len(texts) == 3
    assert not any(cell in text for text in texts)
    assert all("1 value in 1 row" in text for text in texts[:2])


@pytest.mark.parametrize("cell", ["divers", "x", "yes", "0.5", "414", ">60", "2a", "+"])
def test_short_words_and_numbers_are_quoted(cell: str) -> None:
    assert quotable({cell: 1}) == [cell]


def test_many_values_are_names_or_numbers_and_none_is_quoted() -> None:
    names = [f"name{chr(97 + number)}" for number in range(MAX_QUOTED + 1)]
    assert quotable(dict.fromkeys(names[:-1], 10)) == names[:-1]
    assert quotable(dict.fromkeys(names, 10)) == []


def test_a_value_of_few_patients_is_counted_and_not_named() -> None:
    assert quotable({"wobbly": 9, "frequent": 10, "M": 1}) == ["frequent", "M"]
    owners = pl.Series([f"p{n}" for n in range(20)] + ["q"] * 15)
    cells = pl.Series("sex", ["F"] * 8 + ["wobbly"] * 12 + ["Zdenka"] * 15)
    (note,) = read_sex(cells, owners).notes
    assert note == (
        "'sex': 'wobbly' in 12 rows, 1 more value in 15 rows: kept as groups of their own. Map one "
        "with --values sex=VALUE:F."
    )
    assert "'Zdenka' in 15 rows" in read_sex(cells).notes[0]  # of rows, where owners are not known
