"""Tuning modes along the whole of a run: stopped, gone on with, and predicted from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray
from tests.local_run import Local

from medtransfer.models.classifier import build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.study.config import Study
from medtransfer.training.loop import Stopped

MODES = {
    "low-rank": {"mode": "low-rank", "rank": 2},
    "partial": {"mode": "partial", "frozen_stages": 4},
    "thawed": {"mode": "partial", "frozen_stages": 4, "frozen_until": 0.34},
}


@pytest.mark.slow
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
    if mode == "thawed":
        assert cost.trained_parameters == cost.parameters
    else:
        assert 0 < cost.trained_parameters < cost.parameters
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    (file,) = whole.own.checkpoint.glob("selected-*/model.safetensors")
    plain.load_state_dict(safetensors.torch.load_file(file))
    moved = {n for n, value in plain.state_dict().items() if not torch.equal(value, before[n])}
    assert {"head.weight", "backbone.stages.3.blocks.0.conv1.weight"} <= moved
    assert ("backbone.stages.1.blocks.0.conv1.weight" in moved) == (mode != "partial")
    assert not any("norm" in name for name in moved) or mode != "low-rank"


def changed(study: Study, **training: object) -> Study:
    asked = study.model_dump(exclude_unset=True)
    return Study.model_validate(asked | {"training": asked["training"] | training})


@pytest.mark.slow
def test_a_head_that_starts_from_the_probe_is_the_probe_where_nothing_moves(
    tiny_study: Study, local: Callable[..., Local], tmp_path: Path
) -> None:
    tuned = changed(tiny_study, head_start="probe", learning_rate=1e-12, precision="float32")
    linear = changed(tiny_study, tuning={"mode": "linear"}, precision="float32")
    logits: list[NDArray[np.float64]] = []
    for name, study in (("tuned", tuned), ("linear", linear)):
        run = local(tmp_path / name, study)
        run.carry_out()
        frame = run.own.predictions().sort("case_id")
        logits.append(frame["logit_malignant"].to_numpy())
    assert np.ptp(logits[1]) > 0.1
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_probed_head_and_growing_images_resume_in_their_bits(
    tiny_study: Study, local: Callable[..., Local], tmp_path: Path
) -> None:
    study = changed(tiny_study, head_start="probe", growth={"share": 0.5, "until": 0.7}, ema=0.5)
    plain, whole, cut = (
        local(tmp_path / "plain", tiny_study),
        local(tmp_path / "whole", study),
        local(tmp_path / "cut", study),
    )
    whole.carry_out()
    for step in (0, 3):
        with pytest.raises(Stopped):
            cut.carry_out(lambda report, step=step: report.step == step)
    cut.carry_out()
    assert cut.digests() == whole.digests()
    plain.carry_out()
    assert plain.digests()["weights"] != whole.digests()["weights"]
