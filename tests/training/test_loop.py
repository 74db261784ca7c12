"""Training: repeatable, resumable to the bit, honest about divergence."""

import json
import math
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from tests.training.conftest import Bench

from medtransfer.errors import StudyError
from medtransfer.files import is_whole
from medtransfer.training.checkpoint import TrainingState
from medtransfer.training.loop import Diverged, Stopped, TuneScore

GOLDEN = Path(__file__).parents[1] / "golden" / "losses.json"


def weights_of(classifier) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in classifier.state_dict().items()}


def same(first, second) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def stop_at(step: int):
    return lambda report: report.step == step


Whole = Callable[..., tuple[dict[str, torch.Tensor], TrainingState]]


@pytest.fixture(scope="module")
def whole(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Weights and state of runs that nothing stopped, each carried out once."""

    @cache
    def carry_out(rung: str = "scratch/r14x0.5", mixup: float = 0.0):
        folder = tmp_path_factory.mktemp("whole")
        classifier, state = bench.fit(folder, classifier=bench.classifier(rung), mixup=mixup)
        return weights_of(classifier), state

    return carry_out


@pytest.fixture(scope="module")
def stopped(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints of a run that was stopped after step 3; read-only."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(Stopped):
        bench.fit(folder, watch=stop_at(3))
    return folder


def test_the_same_seed_gives_the_same_bits(bench: Bench, tmp_path: Path) -> None:
    first, _ = bench.fit(tmp_path / "a")
    torch.manual_seed(99)  # what else happens in the process must not matter
    second, _ = bench.fit(tmp_path / "b")
    assert same(weights_of(first), weights_of(second))


@pytest.mark.slow
@pytest.mark.parametrize("rung", ["scratch/r14x0.5", "imagenet/effnet-lite0"])
@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_a_run_stopped_anywhere_ends_in_the_same_bits(
    bench: Bench, whole: Whole, tmp_path: Path, step: int, rung: str
) -> None:
    weights, state = whole(rung, mixup=0.3)
    with pytest.raises(Stopped):
        bench.fit(
            tmp_path / "torn", classifier=bench.classifier(rung), watch=stop_at(step), mixup=0.3
        )
    torn, resumed = bench.fit(tmp_path / "torn", classifier=bench.classifier(rung), mixup=0.3)
    assert same(weights, weights_of(torn))
    assert resumed.checks == state.checks
    assert resumed.selected == state.selected
    assert resumed.images == state.images


def test_a_stop_at_the_last_step_is_no_stop(bench: Bench, tmp_path: Path) -> None:
    _, state = bench.fit(tmp_path, watch=stop_at(6))
    assert state.step == 6


@pytest.mark.slow
def test_micro_batches_of_a_group_norm_network_give_the_same_losses(
    bench: Bench, tmp_path: Path
) -> None:
    _, whole = bench.fit(tmp_path / "a", micro_batch=8)
    _, split = bench.fit(tmp_path / "b", micro_batch=3)
    for one, other in zip(whole.checks, split.checks, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)


def test_losses_are_as_they_were_reviewed(bench: Bench, tmp_path: Path) -> None:
    losses: list[float] = []
    bench.fit(tmp_path, watch=lambda report: bool(losses.append(report.loss)))
    golden = json.loads(GOLDEN.read_text())
    assert losses == pytest.approx(golden, rel=2e-3), (
        "Losses have moved. If they should, raise IDENTITY_VERSION in study/run.py, say why, and "
        f"write the new ones to {GOLDEN.name}"
    )


@pytest.mark.slow
def test_training_learns_the_phantom(bench: Bench, tmp_path: Path) -> None:
    _, state = bench.fit(tmp_path, steps=60, checks=4, learning_rate=0.01)
    assert state.checks[-1].train_loss < 0.8 * math.log(2)


def test_the_best_check_is_kept_and_the_first_of_equals(bench: Bench, tmp_path: Path) -> None:
    areas = iter([0.6, 0.9, 0.9])
    snapshots = []

    def tune(classifier) -> TuneScore:
        snapshots.append(weights_of(classifier))
        return TuneScore(0.5, next(areas))

    classifier, state = bench.fit(tmp_path, tune=tune)
    assert state.selected == 4
    assert same(weights_of(classifier), snapshots[1])
    assert not same(snapshots[1], snapshots[2])


def test_the_last_weights_are_kept_where_that_is_asked_for(bench: Bench, tmp_path: Path) -> None:
    areas = iter([0.9, 0.6, 0.5])
    snapshots = []

    def tune(classifier) -> TuneScore:
        snapshots.append(weights_of(classifier))
        return TuneScore(0.5, next(areas))

    classifier, state = bench.fit(tmp_path, tune=tune, selection="last")
    assert state.selected == 6
    assert same(weights_of(classifier), snapshots[-1])


@pytest.mark.slow
def test_an_undefined_auroc_falls_back_on_the_loss(bench: Bench, tmp_path: Path) -> None:
    losses = iter([0.5, 0.2, 0.4])
    _, state = bench.fit(tmp_path, tune=lambda _: TuneScore(next(losses), None))
    assert state.selected == 4


def test_a_loss_that_is_no_number_ends_the_run_with_its_step(bench: Bench, tmp_path: Path) -> None:
    classifier = bench.classifier()

    def poison(report) -> bool:
        if report.step == 4:
            with torch.no_grad():
                classifier.get_parameter("backbone.stem.conv.weight").fill_(torch.inf)
        return False

    with pytest.raises(Diverged, match="not finite at step 4") as caught:
        bench.fit(tmp_path, classifier=classifier, watch=poison)
    assert caught.value.step == 4


def test_weights_that_are_no_numbers_are_noticed_at_once(bench: Bench, tmp_path: Path) -> None:
    classifier = bench.classifier()
    with torch.no_grad():
        classifier.head.bias.fill_(torch.nan)
    with pytest.raises(Diverged, match="at step 0"):
        bench.fit(tmp_path, classifier=classifier)


def test_two_checkpoints_and_the_selected_weights_are_kept(bench: Bench, tmp_path: Path) -> None:
    bench.fit(tmp_path)
    steps = sorted(p.name for p in tmp_path.glob("step-*"))
    assert steps == ["step-00000005", "step-00000006"]
    assert len(list(tmp_path.glob("selected-*"))) == 1
    assert all(is_whole(p) for p in tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "delete"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    bench: Bench, whole: Whole, stopped: Path, tmp_path: Path, name: str, damage: str
) -> None:
    shutil.copytree(stopped, tmp_path / "torn")
    victim = tmp_path / "torn" / "step-00000003" / name
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 0xFF
    match damage:
        case "flip":
            victim.write_bytes(content)
        case "cut":
            victim.write_bytes(content[: len(content) // 3])
        case _:
            victim.unlink()
    started: list[int] = []
    torn, _ = bench.fit(tmp_path / "torn", watch=lambda r: bool(started.append(r.step)))
    assert started[0] == 3  # step 2 was whole, so step 3 is made again
    assert same(whole()[0], weights_of(torn))


@pytest.mark.slow
def test_a_run_diverges_at_the_same_step_though_it_was_stopped_before(
    bench: Bench, tmp_path: Path
) -> None:
    wild = {"learning_rate": 9.9, "weight_decay": 0.99, "steps": 40, "checks": 4}
    with pytest.raises(Diverged) as whole:
        bench.fit(tmp_path / "whole", **wild)
    assert whole.value.step > 2
    with pytest.raises(Stopped):  # one step before: the weights are lost already
        bench.fit(tmp_path / "torn", watch=stop_at(whole.value.step), **wild)
    with pytest.raises(Diverged, match="the loss is not finite") as torn:
        bench.fit(tmp_path / "torn", **wild)
    assert torn.value.step == whole.value.step


@pytest.mark.slow
def test_damaged_selected_weights_are_never_used(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        bench.fit(tmp_path, watch=stop_at(5), tune=lambda _: TuneScore(0.5, 0.7))
    selected = next(tmp_path.glob("selected-*")) / "model.safetensors"
    selected.write_bytes(selected.read_bytes()[:-1] + b"\x55")
    with pytest.raises(StudyError, match="selected weights of step 2 were damaged.*starts over"):
        bench.fit(tmp_path, tune=lambda _: TuneScore(0.5, 0.7))
    _, state = bench.fit(tmp_path, tune=lambda _: TuneScore(0.5, 0.7))
    assert state.step == 6


def test_watchers_hear_of_every_step(bench: Bench, tmp_path: Path) -> None:
    heard = []
    bench.fit(tmp_path, watch=lambda report: bool(heard.append(report)))
    assert [r.step for r in heard] == [1, 2, 3, 4, 5, 6]
    assert {r.steps for r in heard} == {6}
    assert heard[0].tune_auroc is None
    assert heard[-1].tune_auroc is not None
    assert all(r.images_per_second > 0 for r in heard)


@pytest.mark.slow
def test_what_is_called_after_a_check_sees_the_decision_and_changes_nothing(
    bench: Bench, tmp_path: Path
) -> None:
    steps: list[int] = []
    selected: list[bool] = []

    def look(step: int) -> None:
        steps.append(step)
        selected.append(any((tmp_path / "looked").glob("selected-*")))

    plain = bench.fit(tmp_path / "plain")
    looked = bench.fit(tmp_path / "looked", after_check=look)
    assert steps == [2, 4, 6]
    assert all(selected)
    assert looked[1].checks == plain[1].checks
    assert looked[1].selected == plain[1].selected
    assert same(weights_of(looked[0]), weights_of(plain[0]))
