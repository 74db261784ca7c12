"""The sentence on identifiers comes from a search of the page."""

import re
import time
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtransfer.report.identifiers import (
    Identifiers,
    PageSearch,
    identifiers_of,
    readable_rows,
    search_page,
    standing_in,
)

TEXTS = st.text(st.sampled_from("ab1_é٣ -./^|\u0301"), max_size=8)

PREDICTIONS = pl.DataFrame({"case_id": ["case-4711", "c2"], "patient_id": ["DOE^JANE", "42"]})


def searched(page: str, *names: str) -> PageSearch:
    return search_page(page, Identifiers(frozenset(names), has_manifest=True))


@pytest.mark.parametrize(
    "page",
    [
        "<td>patient_0815</td>",
        "<td>Patient_0815 [0.9]</td>",
        '<p title="patient_0815">',
        '{"row": "patient_0815 (12)"}',
        "x/patient_0815.png",
        "pa\u200btient_0815",
    ],
)
def test_an_id_is_found_wherever_it_stands(page: str) -> None:
    assert searched(page, "patient_0815").found == 1
    assert searched(page, "patient_081").found == 0
    assert searched(page, "atient_0815").found == 0


def test_names_are_found_however_the_page_spells_them() -> None:
    page = r'<td>O&#39;Hara &amp; Sons</td>{"x": "M\u00fcller, J\u00f6rg"} DOE^JANE&nbsp;MRN'
    for name in ("o'hara & sons", "müller, jörg", "doe^jane mrn"):
        assert searched(page, name).found == 1, name


def test_what_cannot_be_told_from_other_text_is_counted_and_not_searched() -> None:
    search = searched("12 of 0815 cases, 1,234,567, c17", "0815", "c17", "12", "1234567", "0.98")
    assert (search.ids, search.found, search.not_searched) == (1, 0, 4)
    assert search.sentence() == (
        "The page was searched for 1 id or file name of the manifest: none is on it. 4 more are "
        "too short to be told from other text (under 5 characters, or numbers under 7 digits) and "
        "were not searched."
    )


def test_our_own_script_is_not_searched_and_a_match_is_said() -> None:
    identifiers = Identifiers(frozenset({"tooltip"}), frozenset({"erika muster"}))
    page = "<script>tooltip()</script> Erika Muster"
    search = search_page(page, identifiers, ["tooltip()"])
    assert search.found == 1
    assert "1 of them is on it. Do not pass it on." in search.sentence()
    assert "of the predictions (no manifest)" in search.sentence()
    assert search_page(page, identifiers.without(["Tooltip"])).ids == 0


def test_ids_files_folders_and_personal_cells_of_a_manifest_are_searched(tmp_path: Path) -> None:
    count = 30
    frame = pl.DataFrame(
        {
            "image_id": [f"image-{n}" for n in range(count)],
            "path": [f"radiographs/SMITH_{n}/frontal.png" for n in range(count)],
            "case_id": [f"case-{n}" for n in range(count)],
            "patient_id": [f"patient-{n}" for n in range(count)],
            "cohort": ["north"] * count,
            "Zuweiser": ["Dr. Qrzl", "Dr. Zbrk"] * 15,
            "scanner": ["Philips", "Siemens"] * 15,
        }
    )
    frame.write_csv(tmp_path / "m.csv")
    identifiers = identifiers_of(PREDICTIONS, readable_rows(tmp_path / "m.csv"))
    assert identifiers.cells == {"dr. qrzl", "dr. zbrk"}
    assert {"case-4711", "doe^jane", "image-3", "smith_7", "patient-29"} <= identifiers.ids
    assert "radiographs/smith_4/frontal.png" in identifiers.ids
    # folders and file names that many patients share identify none
    assert not {"radiographs", "frontal", "philips", "north"} & identifiers.ids
    alone = identifiers_of(PREDICTIONS, readable_rows(tmp_path / "absent.csv"))
    assert alone.ids == {"case-4711", "c2", "doe^jane", "42"}
    assert not alone.has_manifest


@given(st.lists(TEXTS, max_size=12), TEXTS.flatmap(lambda text: st.just(text * 3)))
@settings(max_examples=150, deadline=None)
def test_names_stand_in_a_text_where_a_pattern_for_each_finds_them(
    names: list[str], text: str
) -> None:
    names = [*names, text[1:4], text[2:7]]
    found = {n for n in names if n and re.search(rf"(?<!\w){re.escape(n)}(?!\w)", text)}
    assert standing_in(pl.Series([n for n in names if n], dtype=pl.String), text) == found


def test_the_search_does_not_grow_with_names_whose_words_are_on_the_page() -> None:
    page = " ".join(f"mean {number}-{number + 1}" for number in range(300)) + " scan-17-23"
    names = [f"scan-{x}-{y}" for x in range(100) for y in range(300)]
    start = time.process_time()
    assert standing_in(pl.Series(names), page.replace(" scan", " scan, scan")) == {"scan-17-23"}
    assert time.process_time() - start < 2
