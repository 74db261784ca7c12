"""Model card: its numbers are those of the first page, and what nobody stated is named."""

import json
from dataclasses import replace

from tests.report.front_page.test_build import two_hospitals

from medtransfer.report.cards.model_card import TOLD, card_text, model_card
from medtransfer.report.checklists.about import STATEMENTS
from medtransfer.report.content import ReportData, SplitCounts
from medtransfer.report.front_page.build import front_page
from medtransfer.report.front_page.sentences import interval
from medtransfer.report.text import unmarked


def test_every_number_of_the_first_page_is_on_the_card() -> None:
    data = two_hospitals()
    front = front_page(data)
    card = model_card(data, front, {})
    text = card_text(card)
    for hospital in front.hospitals:
        assert hospital.cohort in text
        assert unmarked(interval(hospital.auroc)) in text
    for line in front.findings:
        assert f"({line.mark}) {unmarked(line.sentence)}" in text
    for sentence in front.not_concluded:
        assert unmarked(sentence) in text
    plain = json.loads(json.dumps(card.plain()))
    assert plain["hospitals"][0]["auroc"]["value"] == front.hospitals[0].auroc.value
    assert plain["notice"] == "Not a medical device: for research."


def test_the_network_is_the_recommended_one_or_the_card_says_that_there_is_none() -> None:
    data = two_hospitals()
    front = front_page(data)
    told = model_card(data, replace(front, recommended=front.subject), {})
    assert told.recommended
    assert "recommended it." in card_text(told)
    none = model_card(data, replace(front, recommended=None), {})
    assert not none.recommended
    assert "not recommended over another" in card_text(none)


def test_statements_of_people_are_on_it_and_missing_ones_are_named() -> None:
    data = two_hospitals()
    card = model_card(data, front_page(data), {"intended_use": "Triage | in [clinic]."})
    text = card_text(card)
    assert r"Triage \| in \[clinic\]." in text
    assert card.missing == tuple(field for field in TOLD if field != "intended_use")
    assert "`consent`: Consent, or its waiver" in text
    assert set(TOLD) <= set(STATEMENTS)


def with_few(data: ReportData) -> ReportData:
    counts = (
        SplitCounts("north", "train", 400, 400, {"y": 100}),
        SplitCounts("north", "tune", 60, 60, {"y": 20}),
        SplitCounts("north", "test", 3, 3, {"y": 1}),
        SplitCounts("south", "test", 90, 80, {"y": 30}),
    )
    return replace(data, counts=counts)


def test_small_counts_of_the_data_are_hidden() -> None:
    data = with_few(two_hospitals())
    card = model_card(data, front_page(data), {})
    by_part = {(row["cohort"], row["split"]): row["cases"] for row in card.data}
    assert by_part["north", "test"] == "<10"
    assert by_part["north", "tune"] == "≥10"  # 463 - 400 - 60 would say 3
