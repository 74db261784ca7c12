"""Checklists: pinned inventories, and states that facts and statements allow."""

from pathlib import Path

import pytest
from tests.report.front_page.test_build import two_hospitals
from tests.report.hand_made import areas, report_data

from medtransfer.errors import ConfigError
from medtransfer.report.checklists.about import STATEMENTS, about_template, read_about
from medtransfer.report.checklists.annex_iv import ANNEX_IV
from medtransfer.report.checklists.claim import CLAIM
from medtransfer.report.checklists.fda_card import FDA_CARD
from medtransfer.report.checklists.fill import CHECKLISTS, checklist_text, filled
from medtransfer.report.checklists.future_ai import FUTURE_AI
from medtransfer.report.checklists.item import Checklist
from medtransfer.report.checklists.proofs import Proof, proofs_of
from medtransfer.report.checklists.stard_ai import STARD_AI
from medtransfer.report.checklists.tripod import TRIPOD
from medtransfer.report.front_page.build import front_page

PROOFS = {
    *("answers", "audit", "counts", "decisions", "detectable", "ensembling", "environment", "flow"),
    *("groups", "images", "internal", "intervals", "label_policy", "limits", "metrics", "networks"),
    *("questions",),
    *("recipe", "recommendation", "rung_facts", "search", "seeds", "settings", "shift", "splits"),
    *("understanding", "updating"),
}


def numbered(**counts: int) -> list[str]:
    return [f"{name}{n}" for name, count in counts.items() for n in range(1, count + 1)]


def in_parts(count: int, parts: dict[int, str]) -> list[str]:
    return [f"{n}{part}" for n in range(1, count + 1) for part in parts.get(n, "") or [""]]


TRIPOD_PARTS = {
    3: "abc",
    5: "ab",
    6: "abc",
    8: "abc",
    9: "abc",
    12: "abcdefg",
    18: "abcdef",
    20: "abc",
    23: "ab",
    27: "abc",
}
STARD_PARTS = {15: "abcd", 16: "abc", 17: "ab", 26: "ab", 40: "ab"}


@pytest.mark.parametrize(
    ("checklist", "numbers"),
    [
        (CLAIM, numbered(**{"": 44})),
        (TRIPOD, in_parts(27, TRIPOD_PARTS)),
        (STARD_AI, in_parts(40, STARD_PARTS)),
        (FDA_CARD, numbered(**{"": 38})),
        (ANNEX_IV, numbered(**{"": 9})),
        (FUTURE_AI, numbered(F=3, Un=4, T=6, Us=5, R=3, E=2, G=7)),
    ],
    ids=lambda value: value.name if isinstance(value, Checklist) else "",
)
def test_the_inventory_of_a_checklist_is_whole(checklist: Checklist, numbers: list[str]) -> None:
    assert [item.number for item in checklist.items] == numbers
    for item in checklist.items:
        assert item.proofs or item.told
        assert set(item.proofs) <= PROOFS
        assert set(item.told) <= set(STATEMENTS)


def test_inventories_have_the_published_numbers_of_parts() -> None:
    assert (len(TRIPOD.items), len(STARD_AI.items)) == (52, 48)


def test_every_statement_is_asked_for_by_an_item() -> None:
    asked = {field for checklist in CHECKLISTS for item in checklist.items for field in item.told}
    assert asked == set(STATEMENTS)


def states(about: dict[str, str], proofs: dict[str, Proof]) -> dict[str, str]:
    return {entry.item.number: entry.state for entry in filled(CLAIM, proofs, about)}


def test_an_item_is_answered_only_by_all_that_it_asks_for() -> None:
    data = two_hospitals()
    proofs = proofs_of(data, front_page(data))
    empty = states({}, proofs)
    assert empty["33"] == "answered"  # another hospital was tested
    assert empty["7"] == "partly"  # counts are known, the source of the data is not
    assert empty["44"] == "for a person"
    told = states({"data_source": "Two clinics.", "funding": "None."}, proofs)
    assert told["7"] == told["44"] == "answered"
    assert told["1"] == "partly"  # a title is written by a person


def test_what_was_not_studied_answers_nothing() -> None:
    data = report_data(areas())
    proofs = proofs_of(data, front_page(data))
    assert "shift" not in proofs
    assert states({}, proofs)["33"] == "for a person"


def test_answers_link_to_the_section_that_proves_them() -> None:
    data = two_hospitals()
    text = checklist_text("a | study", proofs_of(data, front_page(data)), {"funding": "A [grant]"})
    assert "](report.html#shift)" in text
    assert "A \\[grant\\]" in text
    assert "Missing in about.yaml: `registration`" in text
    assert "# Checklists: a \\| study" in text
    assert text.count("\n| ") == 44 + 52 + 48 + 30 + 38 + 9 + 2 * 6
    assert "0 answered" not in text.split("## TRIPOD")[0]


def test_about_is_read_with_all_its_faults_at_once(tmp_path: Path) -> None:
    path = tmp_path / "about.yaml"
    path.write_text("consent: waived\nfundin: none\nusers: [a, b]\nethics:\n")
    with pytest.raises(ConfigError) as raised:
        read_about(path)
    text = str(raised.value)
    assert "about.yaml:2: field 'fundin' does not exist." in text
    assert "funding" in text
    assert "about.yaml:3: users must be a text" in text
    path.write_text("consent: waived\nethics:\ndates: 2020 to 2024\n")
    assert read_about(path) == {"consent": "waived", "dates": "2020 to 2024"}


def test_the_template_is_an_about_without_statements(tmp_path: Path) -> None:
    path = tmp_path / "about.yaml"
    path.write_text(about_template())
    assert read_about(path) == {}
    assert all(f"\n{field}:\n" in about_template() for field in STATEMENTS)
