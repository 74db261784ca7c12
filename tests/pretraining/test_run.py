"""Pre-training: a rung that studies can name, resumed to the bit, never half made."""

from pathlib import Path

import pytest
import torch
from tests.in_process import pretrain_here, run_here

from medtransfer.errors import ConfigError, StudyError
from medtransfer.files import read_json, sha256
from medtransfer.models.classifier import build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import find_rung
from medtransfer.models.tensors import read_tensors
from medtransfer.pretraining.config import Pretrain, UpstreamTraining, upstream_schedule
from medtransfer.pretraining.pretrain import pretrain_rung
from medtransfer.pretraining.run import pretrain
from medtransfer.pretraining.rung_folder import RungFolder
from medtransfer.runs.events import Event, Preparing
from medtransfer.runs.transfer import environment
from medtransfer.study.config import Study
from medtransfer.training.loop import StepReport, Stopped


def carry_out(run: Pretrain, folder: RungFolder, stop_at: tuple[int, ...] = ()) -> None:
    """In this process; stopped after some steps and gone on with."""

    def watch(report: StepReport) -> bool:
        return report.step in stop_at

    for _ in range(len(stop_at) + 1):
        folder.start({"run_id": "x" * 12, "pretrain": {}}, environment(run.training))
        try:
            pretrain_rung(run, folder, watch)
        except Stopped:
            continue


@pytest.mark.slow
def test_a_rung_is_made_and_a_study_names_it(
    recipe: Pretrain, tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    heard: list[Event] = []
    folder = pretrain_here(recipe, None, heard.append)
    assert folder.path == Path("rungs/shades")
    assert [type(event).__name__ for event in heard if not isinstance(event, Preparing)][-2:] == [
        "PretrainStep",
        "RungMade",
    ]
    history = folder.rung_history()
    assert history[-1].held_out_loss < history[0].held_out_loss
    facts = read_json(folder.path / "rung.json")
    assert (facts["images"], facts["images_held_out"], facts["classes"]) == (48, 12, 3)
    assert facts["sha256"] == sha256(folder.model)
    assert "48 images (shades of grey)" in (folder.path / "README.md").read_text()
    assert not folder.checkpoint.exists()

    rung = find_rung("own/shades")
    assert (rung.images, rung.supervised, rung.architecture.name) == (48, True, "r26x0.25")
    built = build_classifier(ModelConfig(rung="own/shades"), 1, seed=0, device=torch.device("cpu"))
    kept = read_tensors(folder.model)
    for name, value in built.classifier.backbone.state_dict().items():
        torch.testing.assert_close(value, kept[name], rtol=0, atol=0)

    study = tiny_study.model_copy(update={"rungs": ()})
    study = Study.model_validate(
        tiny_study.model_dump(exclude_unset=True) | {"rungs": ["own/shades"]}
    )
    done = run_here(study, tmp_path / "s")
    assert {done.run(name).state() for name in done.run_ids()} == {"done"}


@pytest.mark.slow
def test_the_same_command_makes_nothing_again_and_another_recipe_is_refused(
    recipe: Pretrain, tmp_path: Path
) -> None:
    folder = pretrain_here(recipe, tmp_path / "r")
    before = sha256(folder.model), (folder.path / "done").stat().st_mtime_ns
    pretrain_here(recipe, tmp_path / "r")
    assert (sha256(folder.model), (folder.path / "done").stat().st_mtime_ns) == before
    other = recipe.model_copy(update={"seed": 1})
    with pytest.raises(StudyError, match="holds another pre-training run"):
        pretrain_here(other, tmp_path / "r")


def test_a_recipe_that_is_refused_leaves_no_folder(recipe: Pretrain, tmp_path: Path) -> None:
    data = recipe.data.model_copy(update={"label": "diagnosis"})
    with pytest.raises(ConfigError, match="has no column diagnosis"):
        pretrain(recipe.model_copy(update={"data": data}), tmp_path / "r")
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_stopping_anywhere_changes_no_bit(recipe: Pretrain, tmp_path: Path) -> None:
    whole, broken = RungFolder(tmp_path / "a" / "r"), RungFolder(tmp_path / "b" / "r")
    carry_out(recipe, whole)
    carry_out(recipe, broken, (1, 4, 5))
    assert sha256(whole.model) == sha256(broken.model)
    assert (whole.path / "history.jsonl").read_text() == (broken.path / "history.jsonl").read_text()


@pytest.mark.slow
def test_going_on_from_a_rung_starts_with_its_weights(
    recipe: Pretrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = pretrain_here(recipe)
    rate = recipe.training.model_copy(
        update={"learning_rate": 1e-9, "steps": 1, "ema": 0.0, "weight_decay": 0.0, "checks": 1}
    )
    second = recipe.model_copy(update={"name": "more", "rung": "own/shades", "training": rate})
    folder = pretrain_here(second)
    old, new = read_tensors(first.model), read_tensors(folder.model)
    for name in old:
        if not name.startswith("head"):  # a head of its own, from zero
            torch.testing.assert_close(old[name], new[name], rtol=0, atol=1e-6)
    assert read_json(folder.path / "rung.json")["continued_from"] == "own/shades"
    rung = find_rung("own/more")
    assert rung.images == 2 * 48  # those of both
    assert rung.pretraining == "shades of grey, after own/shades"


def test_images_are_small_first_where_sides_are_named(recipe: Pretrain) -> None:
    training = recipe.training.model_copy(update={"sides": (8, 12, 16), "steps": 9})
    assert [training.side_at(step, 48, 16) for step in range(9)] == [8] * 3 + [12] * 3 + [16] * 3
    assert recipe.training.side_at(5, 48, 16) == 16


def test_the_schedule_is_that_of_bit_on_imagenet() -> None:
    schedule = upstream_schedule(UpstreamTraining(), 1_281_167)
    steps = -(-90 * 1_281_167 // 4096)
    assert schedule.supports == (5000, *(round(steps * k / 90) for k in (30, 60, 80)), steps)
    assert schedule.learning_rate == pytest.approx(0.48)
    assert UpstreamTraining(batch_size=256).learning_rate == pytest.approx(0.03)
    assert UpstreamTraining(batch_size=256, learning_rate=0.2).learning_rate == 0.2
