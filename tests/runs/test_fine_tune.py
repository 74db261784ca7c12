"""Tuning modes along the whole of a run: stopped, gone on with, and predicted from."""

from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tests.local_run import Local

from medtransfer.models.classifier import build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.study.config import Study
from medtransfer.training.loop import Stopped

MODES = {
    "low-rank": {"mode": "low-rank", "rank": 2},
    "partial": {"mode": "partial", "frozen_stages": 4},
}


@pytest.mark.parametrize("mode", MODES)
def test_a_part_that_is_trained_resumes_in_its_bits_and_leaves_a_plain_network(
    tiny_study: Study, local: Callable[..., Local], tmp_path: Path, mode: str
) -> None:
    asked = tiny_study.model_dump(exclude_unset=True)
    asked["training"] |= {"tuning": MODES[mode], "ema": 0.5, "selection": "last"}
    study = Study.model_validate(asked)
    whole, cut = local(tmp_path / "whole", study), local(tmp_path / "cut", study)
    whole.carry_out()
    with pytest.raises(Stopped):
        cut.carry_out(lambda report: report.step == 3)
    cut.carry_out()
    assert cut.digests() == whole.digests()

    model = ModelConfig(rung="scratch/r14x0.5")
    plain = build_classifier(model, 1, seed=0, device=torch.device("cpu")).classifier
    cost = whole.own.cost()
    assert cost.parameters == sum(weight.numel() for weight in plain.parameters())
    assert cost.parameters is not None
    assert cost.trained_parameters is not None
    assert 0 < cost.trained_parameters < cost.parameters
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    (file,) = whole.own.checkpoint.glob("selected-*/model.safetensors")
    plain.load_state_dict(safetensors.torch.load_file(file))
    moved = {n for n, value in plain.state_dict().items() if not torch.equal(value, before[n])}
    assert {"head.weight", "backbone.stages.3.blocks.0.conv1.weight"} <= moved
    assert ("backbone.stages.1.blocks.0.conv1.weight" in moved) == (mode == "low-rank")
    assert not any("norm" in name for name in moved) or mode == "partial"
