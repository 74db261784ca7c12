"""What a run settles before it trains: schedule, MixUp, device; and what it notes of itself."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.local_run import Local

from medtransfer.errors import StudyError
from medtransfer.runs import fine_tune
from medtransfer.runs.config import Transfer
from medtransfer.runs.fine_tune import plan_training
from medtransfer.runs.transfer import environment, pick_device
from medtransfer.study.config import Study
from medtransfer.study.schedule import run_study
from medtransfer.study.status import read_status
from medtransfer.training.config import TrainingConfig
from medtransfer.training.losses import Loss


def run(**training: object) -> Transfer:
    return Transfer.model_validate(
        {
            "data": {"manifest": Path("m.csv"), "task": "binary", "targets": ["y"]},
            "model": {"rung": "scratch/r14x1"},
            "training": training,
            "seed": 4,
        }
    )


@pytest.mark.parametrize(
    ("cases", "steps", "mixup"), [(19_999, 500, 0.0), (20_000, 10_000, 0.1), (500_000, 20_000, 0.1)]
)
def test_schedule_and_mixup_follow_the_rule_where_the_study_names_none(
    cases: int, steps: int, mixup: float
) -> None:
    plan = plan_training(run(), np.zeros((cases, 1)))
    assert (plan.schedule.steps, plan.mixup) == (steps, mixup)
    assert plan.schedule.learning_rate == 0.003
    assert (plan.loss, plan.seed, plan.select_best) == (Loss("binary"), 4, True)


def test_the_study_may_name_its_own() -> None:
    plan = plan_training(
        run(steps=40, mixup=0.0, learning_rate=0.02, selection="last"), np.zeros((500_000, 1))
    )
    assert (plan.schedule.steps, plan.mixup, plan.select_best) == (40, 0.0, False)
    assert plan.schedule.learning_rate == 0.02


def test_a_device_that_is_not_there_is_refused_with_what_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device(TrainingConfig()).type == "cpu"
    with pytest.raises(StudyError, match=r"training.device is 'cuda'.*\(it has cpu\)"):
        pick_device(TrainingConfig(device="cuda"))


def test_auto_takes_the_fastest_device_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device(TrainingConfig()).type == "mps"
    assert pick_device(TrainingConfig(device="cpu")).type == "cpu"


def test_the_environment_names_what_can_move_the_last_bits() -> None:
    found = environment(TrainingConfig(device="cpu"))
    packages, decoder = found["packages"], found["decoder"]
    assert isinstance(packages, dict)
    assert isinstance(decoder, str)
    assert packages["torch"] == torch.__version__.split("+")[0]
    assert found["threads"] == torch.get_num_threads()
    assert "Pillow" in decoder
    assert found["device"] == "cpu"


def test_a_finished_run_notes_what_it_took(local: Callable[[Path], Local], tmp_path: Path) -> None:
    made = local(tmp_path)
    made.carry_out()
    cost = made.own.cost()
    assert (cost.steps, cost.images) == (6, 48)
    assert cost.parameters == 2_007_328 + 1024 + 1  # backbone and head
    assert cost.training_cases == made.planned.num_cases
    assert cost.seconds > 0
    assert (cost.peak_memory_mib or 0) > 50
    assert cost.selected_step in (2, 4, 6)
    assert cost.micro_batch == 4
    assert cost.weights is None


def test_a_label_fraction_without_a_labelled_case_is_refused(
    local: Callable[[Path], Local], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = local(tmp_path)
    monkeypatch.setattr(
        fine_tune, "training_cases", lambda cases, *_: cases.take(np.zeros(len(cases), dtype=bool))
    )
    with pytest.raises(StudyError, match="No labelled training case is left at label fraction 1."):
        made.carry_out()


@pytest.mark.slow
def test_a_loss_that_is_no_number_leaves_a_diverged_run_and_the_study_goes_on(
    tiny_study: Study, tmp_path: Path
) -> None:
    # a decay of more than 1 a step: weights grow tenfold with each
    wild = {"rung": "scratch/r14x1", "training": {"learning_rate": 9.9, "weight_decay": 0.99}}
    study = Study.model_validate(
        tiny_study.model_dump(exclude_unset=True)
        | {
            "rungs": [wild, "scratch/r14x0.5"],
            "training": {"batch_size": 4, "steps": 60, "checks": 1},
        }
    )
    folder = run_study(study, tmp_path / "s")
    first, second = read_status(folder).runs
    assert (first.state, second.state) == ("diverged", "done")
    assert first.message.startswith("the loss is not finite at step ")
    error = folder.run(first.run_id).error()
    assert error is not None
    assert f"step {error.step}" in first.message
