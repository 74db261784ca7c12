"""Training with groups: each way serves a small group better, and is resumed bit by bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.conftest import Bench

from medtransfer.data.augment import Augmentation
from medtransfer.data.cases import Cases
from medtransfer.data.loader import CaseImages, TrainingBatches
from medtransfer.evaluation.inference.predict import predict
from medtransfer.training.bit_hyperrule import make_schedule
from medtransfer.training.checkpoint import CheckpointFolder, TrainingState
from medtransfer.training.config import TrainingConfig
from medtransfer.training.loop import FitPlan, Stopped, fit
from medtransfer.training.losses import Loss
from medtransfer.training.mitigation.config import MitigationConfig


class Grouped:
    """A training set in which one case of four has its label turned around."""

    def __init__(self, bench: Bench) -> None:
        cases = bench.training.cases
        assert isinstance(cases, Cases)
        self.number = (np.arange(len(cases)) % 4 == 0).astype(np.int64)
        turned = np.where(self.number[:, None] == 1, 1 - cases.targets, cases.targets)
        self.cases = replace(cases, targets=turned, groups=self.number)
        self.bench = bench

    def train(
        self, folder: Path, method: str | None, steps: int = 40, stop_at: int | None = None
    ) -> tuple[torch.nn.Module, TrainingState]:
        images = CaseImages.__new__(CaseImages)
        vars(images).update(vars(self.bench.training))
        images.cases, images.weights = self.cases, None
        images.groups = None if method is None else self.number
        config = TrainingConfig(
            batch_size=16, micro_batch=8, steps=steps, checks=1, learning_rate=0.02, mixup=0
        )
        plan = FitPlan(
            make_schedule(len(images), config.learning_rate, steps, "staircase"),
            0.0,
            Loss("binary"),
            5,
            select_best=False,
            mitigation=None
            if method is None
            else MitigationConfig.model_validate({"groups": "g", "method": method, "rate": 0.3}),
        )
        batches = TrainingBatches(
            images,
            16,
            micro_batch=8,
            augmentation=Augmentation(5, "none"),
            balanced=method == "sampling",
        )
        classifier = self.bench.classifier()
        state = fit(
            classifier,
            batches,
            plan,
            config,
            tune=lambda: self.bench.look_at(classifier),
            checkpoints=CheckpointFolder(folder),
            on_step=lambda report: report.step == stop_at,
        )
        return classifier, state

    def losses(self, classifier: torch.nn.Module) -> np.ndarray:
        logits = predict(classifier, self.bench.training)[:, 0]  # type: ignore[arg-type]
        each = np.logaddexp(0, -logits * (2 * self.cases.targets[:, 0] - 1))
        return np.bincount(self.number, each) / np.bincount(self.number)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sampling", "weights"])
def test_the_small_group_is_served_better(bench: Bench, tmp_path: Path, method: str) -> None:
    grouped = Grouped(bench)
    plain = grouped.losses(grouped.train(tmp_path / "plain", None)[0])
    classifier, state = grouped.train(tmp_path / method, method)
    losses = grouped.losses(classifier)
    assert plain[1] > plain[0]
    assert losses[1] < plain[1]
    assert losses[1] - losses[0] < plain[1] - plain[0]
    assert not state.group_weights


@pytest.mark.slow
def test_dro_serves_the_group_of_the_larger_loss_better(bench: Bench, tmp_path: Path) -> None:
    grouped = Grouped(bench)
    plain = grouped.losses(grouped.train(tmp_path / "plain", None, steps=20)[0])
    classifier, state = grouped.train(tmp_path / "dro", "dro", steps=20)
    losses = grouped.losses(classifier)
    assert losses.max() < plain.max()
    assert np.ptp(losses) < np.ptp(plain)
    assert np.argmax(state.group_weights) == np.argmax(plain)
    assert sum(state.group_weights) == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sampling", "weights", "dro"])
def test_a_stopped_training_goes_on_bit_by_bit(bench: Bench, tmp_path: Path, method: str) -> None:
    grouped = Grouped(bench)
    whole, state = grouped.train(tmp_path / "whole", method, steps=6)
    with pytest.raises(Stopped):
        grouped.train(tmp_path / "parts", method, steps=6, stop_at=3)
    parts, resumed = grouped.train(tmp_path / "parts", method, steps=6)
    assert resumed.group_weights == state.group_weights
    pairs = zip(whole.state_dict().values(), parts.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
