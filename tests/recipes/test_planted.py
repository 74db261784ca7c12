"""The planted truth beside what a study found: numbers from the generator, none typed in."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from tests.report.front_page.test_build import two_hospitals
from tests.report.hand_made import OTHER, REFERENCE

from medtransfer.data.phantom import Hospital, Phantom
from medtransfer.recipes import planted
from medtransfer.recipes.planted import PlantedTruth, planted_truths
from medtransfer.runs.folders import StudyFolder

PHANTOM = Phantom(
    hospitals={
        "north": Hospital(10, prevalence=0.5),
        "south": Hospital(10, prevalence=0.2, signal=0.5),
    },
    spread=0.5,
)


@pytest.fixture
def truths(monkeypatch: pytest.MonkeyPatch):
    """Truths of a phantom beside numbers written by hand."""
    monkeypatch.setattr(planted, "CASES", 10_000)
    monkeypatch.setattr(planted, "load_study_data", lambda _study: two_hospitals())

    def of(phantom: Phantom) -> dict[str, PlantedTruth]:
        by_hand = planted_truths(phantom, StudyFolder(Path("nowhere")))
        return {truth.topic: truth for truth in by_hand}

    return of


def test_each_question_has_its_truth_beside_the_studys_number(truths) -> None:
    by_topic = truths(PHANTOM)
    assert list(by_topic) == ["transfer", "shift", "labels", "groups", "probabilities"]
    exact = norm.cdf(1 / 0.5 / np.sqrt(2)) - norm.cdf(0.5 / 0.5 / np.sqrt(2))
    shift = by_topic["shift"]
    assert shift.truth == pytest.approx(exact, abs=0.015)
    assert shift.found == "AUROC 0.15 [0.02, 0.30] lower"
    assert "lesions of south show 50% of the sign" in shift.planted
    assert shift.sentence.startswith("planted: lesions of south")
    assert by_topic["probabilities"].truth > 0.1


def test_a_reference_that_is_best_is_compared_with_the_other_rung(
    truths, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = truths(PHANTOM)
    best = replace(two_hospitals(), chosen=REFERENCE)
    monkeypatch.setattr(planted, "load_study_data", lambda _study: best)
    monkeypatch.setattr(planted, "with_choice", lambda data: data)
    mine = truths(PHANTOM)
    assert mine["transfer"].found == other["transfer"].found
    assert f"between {OTHER} and {REFERENCE}" in mine["transfer"].found


def test_the_truth_follows_the_generator(truths) -> None:
    assert truths(PHANTOM)["groups"].truth == pytest.approx(0, abs=0.03)
    assert truths(replace(PHANTOM, group_gap=0.5))["groups"].truth > 0.1
    same = replace(PHANTOM, hospitals={name: Hospital(10) for name in ("north", "south")})
    assert truths(same)["shift"].truth == pytest.approx(0, abs=0.02)
    assert truths(same)["probabilities"].truth < 0.02
