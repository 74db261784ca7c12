"""Out of memory: smaller micro-batches, the same step, remembered; and an end that says why."""

from pathlib import Path

import pytest
import torch
from tests.training.conftest import Bench

from medtransfer.errors import StudyError
from medtransfer.models.classifier import Classifier
from medtransfer.training.loop import Stopped

CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 6710886400 bytes. Error code 12 (Cannot allocate memory)"
)


class Memory:
    """A device that holds so many images of a training step at once, and counts them."""

    def __init__(self, classifier: Classifier, holds: int, error: Exception = CUDA) -> None:
        self.holds, self.error = holds, error
        self.sizes: list[int] = []
        classifier.backbone.register_forward_hook(self._forward)

    def _forward(self, backbone: torch.nn.Module, images: tuple, found: torch.Tensor) -> None:
        if backbone.training:
            self.sizes.append(len(images[0]))
            if len(images[0]) > self.holds:
                found.register_hook(self._refuse)  # it runs out in the backward pass

    def _refuse(self, _gradient: torch.Tensor) -> None:
        raise self.error


def losses_of(bench: Bench, folder: Path, **changes) -> list[float]:
    losses: list[float] = []
    bench.fit(folder, watch=lambda r: bool(losses.append(r.loss)), **changes)
    return losses


@pytest.fixture(scope="module")
def whole(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """Losses of a run that the memory holds."""
    return losses_of(bench, tmp_path_factory.mktemp("whole"), micro_batch=8)


@pytest.mark.slow
@pytest.mark.parametrize("error", [CUDA, CPU])
def test_the_micro_batch_is_halved_and_the_steps_stay_the_same(
    bench: Bench, whole: list[float], tmp_path: Path, error: Exception
) -> None:
    classifier = bench.classifier()
    memory = Memory(classifier, 3, error)
    torn = losses_of(bench, tmp_path / "torn", classifier=classifier, micro_batch=8)
    assert torn == pytest.approx(whole, rel=1e-4)
    assert memory.sizes[:6] == [8, 4, 2, 2, 2, 2]
    assert set(memory.sizes[6:]) == {2}  # the size is found once


@pytest.mark.slow
def test_a_step_that_ran_out_half_way_leaves_nothing_behind(bench: Bench, tmp_path: Path) -> None:
    """Gradients and running statistics of the micro-batches before are not counted twice."""
    rung = "imagenet/effnet-lite0"
    classifier = bench.classifier(rung)
    memory = Memory(classifier, 8)

    def less_from_step_three(report) -> bool:
        memory.holds = 8 if report.step < 2 or memory.sizes[-1] == 2 else 3
        return report.step == 3

    with pytest.raises(Stopped):
        bench.fit(tmp_path / "a", classifier=classifier, watch=less_from_step_three, micro_batch=4)
    small = bench.classifier(rung)
    with pytest.raises(Stopped):
        bench.fit(tmp_path / "b", classifier=small, watch=lambda r: r.step == 2, micro_batch=4)
    with pytest.raises(Stopped):
        bench.fit(tmp_path / "b", classifier=small, watch=lambda r: r.step == 3, micro_batch=2)
    one, other = classifier.state_dict(), small.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_the_size_that_was_found_outlives_the_process(bench: Bench, tmp_path: Path) -> None:
    classifier = bench.classifier()
    Memory(classifier, 2)
    with pytest.raises(Stopped):
        bench.fit(
            tmp_path, classifier=classifier, watch=lambda r: r.step == 1, checkpoint_seconds=1e9
        )
    again = bench.classifier()
    memory = Memory(again, 100)
    _, state = bench.fit(tmp_path, classifier=again)
    assert set(memory.sizes) == {2}
    assert state.micro_batch == 2
    assert state.images == 48  # an attempt that failed does not count


@pytest.mark.slow
def test_the_size_is_on_the_disk_before_the_next_check(bench: Bench, tmp_path: Path) -> None:
    classifier = bench.classifier()
    Memory(classifier, 2)
    folders: list[list[str]] = []

    def look(report) -> bool:
        folders.append(sorted(p.name for p in tmp_path.glob("step-*")))
        return False

    bench.fit(tmp_path, classifier=classifier, watch=look, checkpoint_seconds=1e9, checks=1)
    assert folders[1] == ["step-00000001"]


@pytest.mark.slow
def test_a_memory_that_holds_no_case_ends_the_run_and_says_what_to_do(
    bench: Bench, tmp_path: Path
) -> None:
    classifier = bench.classifier()
    memory = Memory(classifier, 0)
    with pytest.raises(StudyError) as caught:
        bench.fit(tmp_path, classifier=classifier)
    assert "does not hold one case of a training step" in str(caught.value)
    assert "micro_batch 1, images of 32 × 32 pixels" in str(caught.value)
    assert "Choose a smaller rung or data.image.crop" in str(caught.value)
    assert memory.sizes == [4, 2, 1]


def test_other_errors_of_a_step_are_not_tried_again(bench: Bench, tmp_path: Path) -> None:
    classifier = bench.classifier()
    memory = Memory(classifier, 3, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        bench.fit(tmp_path, classifier=classifier)
    assert memory.sizes == [4]
