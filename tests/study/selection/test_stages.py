"""Studies of the stages: the base with other rungs, modes, lengths and seeds."""

import pytest

from medtransfer.study.config import Study
from medtransfer.study.selection.candidates import has_features, named_rungs, rungs_at_hand
from medtransfer.study.selection.stages import (
    final_study_of,
    full_study_of,
    probe_study_of,
    short_study_of,
)


@pytest.fixture
def base(tiny_study: Study) -> Study:
    fields = tiny_study.model_dump(exclude_unset=True)
    entry = {"rung": "scratch/r14x0.5", "pool": "max", "training": {"learning_rate": 0.5}}
    return Study.model_validate(
        fields | {"rungs": [entry, "tiny-10k/r26x0.25"], "training": {"steps": 40, "checks": 20}}
    )


def test_probes_are_linear_and_keep_what_the_base_says_of_a_rung(base: Study) -> None:
    study = probe_study_of(base, ["scratch/r14x0.5", "tiny-10k/r26x0.25"])
    assert {study.training_of(entry).tuning.mode for entry in study.rungs} == {"linear"}
    assert study.rungs[0].pool == "max"
    assert study.seeds == (0,)
    assert study.data == base.data


def test_a_short_schedule_is_a_quarter_with_no_more_checks_than_steps(base: Study) -> None:
    study = short_study_of(base, {"scratch/r14x0.5": 40})
    training = study.training_of(study.rungs[0])
    assert (training.steps, training.checks, training.learning_rate) == (10, 10, 0.5)
    whole = full_study_of(base, ["scratch/r14x0.5"])
    assert whole.training_of(whole.rungs[0]).steps == 40
    assert whole.training_of(whole.rungs[0]).tuning.mode == "full"


def test_finalists_have_their_modes_and_the_same_seeds(base: Study) -> None:
    modes = {"tiny-10k/r26x0.25": "full", "scratch/r14x0.5": "linear"}
    study = final_study_of(base, modes, (0, 2))
    assert [study.training_of(entry).tuning.mode for entry in study.rungs] == ["full", "linear"]
    assert study.seeds == (0, 2)
    assert study.reference_rung == "tiny-10k/r26x0.25"


def test_only_rungs_whose_weights_are_here_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    found = rungs_at_hand()
    assert "tiny-100k/r26x0.25" in found.rungs
    assert all(has_features(rung) for rung in found.rungs)
    away = {item.rung: item.reason for item in found.left_out}
    assert away["bit-m/r50x1"] == "its weights are not on this machine"
    monkeypatch.setattr("medtransfer.study.selection.candidates.is_available", lambda _rung: False)
    monkeypatch.setattr("medtransfer.study.selection.candidates.own_names", list)
    alone = rungs_at_hand()
    assert alone.rungs == ("scratch/r26x0.25s", "scratch/r26x0.25", "scratch/r14x0.5")
    assert len(alone.left_out) > len(found.left_out)


def test_named_rungs_must_be_here() -> None:
    from medtransfer.errors import ConfigError, WeightsError

    assert named_rungs(["tiny-10k/r26x0.25"] * 2).rungs == ("tiny-10k/r26x0.25",)
    with pytest.raises(ConfigError, match="rung 'tiny-9k/r26x0.25' does not exist"):
        named_rungs(["tiny-9k/r26x0.25"])
    with pytest.raises(WeightsError, match="not on this machine"):
        named_rungs(["bit-m/r152x4"])
