"""Recommendation of a comparison: by the rule of one study, from the common cases."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from medtransfer.report.compare.candidates import common_choice
from medtransfer.report.compare.compare import compare_studies
from medtransfer.report.compare.side import named_apart, study_side
from medtransfer.report.reading import load_evaluation_data
from medtransfer.report.recommendation import recommend, recommendation_of
from medtransfer.runs.folders import StudyFolder


@pytest.mark.slow
def test_beside_its_copy_a_study_is_advised_upon_as_alone(
    finished: StudyFolder, tmp_path: Path
) -> None:
    shutil.copytree(finished.path, tmp_path / "copy")
    compared = compare_studies([finished.path, tmp_path / "copy"], tmp_path / "out")
    advice = recommendation_of(load_evaluation_data(compared.folder))
    own = recommend(finished)
    assert [(p.difference, p.low, p.high) for p in advice.rests_on.pairs] == [
        (p.difference, p.low, p.high) for p in own.rests_on.pairs
    ]
    left_out = dict(advice.rests_on.left_out)
    assert left_out["scratch/r14x0.5 (finished 2)"] == (
        "has the same runs as scratch/r14x0.5 (finished 1)"
    )
    assert len(left_out) == 2
    assert "the same patients" not in advice.reason


def test_studies_of_other_patients_or_shares_of_them_were_trained_apart(
    finished: StudyFolder,
) -> None:
    side = replace(study_side(finished.path).side, run_ids=frozenset())
    other = replace(side, trained=side.trained.head(5))
    fewer = replace(side, label_fraction=0.1)
    unknown = replace(side, knows_training=False)
    assert not common_choice(named_apart([side, side])).trained_apart
    for apart in (other, fewer, unknown):
        assert common_choice(named_apart([side, apart])).trained_apart
