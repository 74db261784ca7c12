"""Advice after an automatic study: the recommended rung, else the first on the tuning split."""

from pathlib import Path

import pytest

from medtransfer.automatic.advice import make_advice
from medtransfer.errors import StudyError
from medtransfer.evaluation.comparison.choice.rule import Evidence, Recommendation
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.selection.decisions import Decision, Decisions

NO_EVIDENCE = Evidence(label_fraction=1.0, seeds=2, candidates=("net/a", "net/b"))


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    folder = StudyFolder(tmp_path / "skin study")
    Decisions(folder).record(
        Decision(
            stage="finalists",
            kept=("net/a", "net/b"),
            dropped=(),
            sentence="Finalists.",
            tune_auroc={"net/a full": 0.91, "net/b linear": 0.905, "net/b full": 0.8},
            seconds={},
            modes={"net/a": "full", "net/b": "linear"},
            seeds=(0, 1),
        )
    )
    return folder


def test_the_recommended_rung_is_deployed(folder: StudyFolder) -> None:
    advice = make_advice(folder, Recommendation("net/b", "It is better.", "Here.", NO_EVIDENCE))
    assert (advice.rung, advice.mode, advice.is_recommended) == ("net/b", "linear", True)
    assert advice.reason == "It is better. Here."
    assert advice.commands[1] == f"medtransfer export '{folder.path}' -o 'skin study'.medt"


def test_without_a_recommendation_the_tuning_split_decides_and_says_so(folder: StudyFolder) -> None:
    advice = make_advice(folder, Recommendation(None, "No rung.", "", NO_EVIDENCE))
    assert (advice.rung, advice.mode, advice.is_recommended) == ("net/a", "full", False)
    assert advice.reason == (
        "No rung. On the tuning split net/a was first, with AUROC 0.910 against 0.905 of net/b: "
        "take it unless size or speed speak for the other."
    )
    assert advice.commands[1].endswith("--rung net/a")


def test_another_study_has_no_advice(tmp_path: Path) -> None:
    recommendation = Recommendation(None, "", "", NO_EVIDENCE)
    with pytest.raises(StudyError, match="holds no automatic study"):
        make_advice(StudyFolder(tmp_path), recommendation)
