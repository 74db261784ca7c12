"""Rungs that start from a part of their weights."""

import pytest
import torch

from medtransfer.errors import ConfigError
from medtransfer.models.classifier import build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import find_rung
from medtransfer.models.weight_files import find_weights, model_digest

RUNG = "tiny-10k/r26x0.25"


def weights(rung: str, seed: int = 0) -> dict[str, torch.Tensor]:
    built = build_classifier(ModelConfig(rung=rung), 1, seed=seed, device=torch.device("cpu"))
    return built.classifier.backbone.state_dict()


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_lowest_groups_are_pre_trained_and_the_others_are_random(count: int) -> None:
    whole, scratch = weights(RUNG), weights("scratch/r26x0.25")
    taken = ("stem.", "stages.0.", "stages.1.", "stages.2.", "stages.3.")[:count]
    for name, value in weights(f"{RUNG}@stages{count}").items():
        source = whole if name.startswith(taken) else scratch
        assert torch.equal(value, source[name]), name


def test_mean_and_variance_stay_and_nothing_else() -> None:
    whole, drawn = weights(RUNG), weights(f"{RUNG}@mean-variance")
    for name, value in whole.items():
        if value.numel() > 2_000:
            assert drawn[name].std() == pytest.approx(float(value.std()), rel=0.1)
            pair = torch.stack([drawn[name].flatten(), value.flatten()])
            assert abs(float(torch.corrcoef(pair)[0, 1])) < 0.1
    again = weights(f"{RUNG}@mean-variance")
    assert all(torch.equal(value, again[name]) for name, value in drawn.items())
    other = weights(f"{RUNG}@mean-variance", seed=1)
    assert not torch.equal(
        other["stages.0.blocks.0.conv1.weight"], drawn["stages.0.blocks.0.conv1.weight"]
    )


def test_its_file_is_that_of_the_rung_and_its_scale_is_not() -> None:
    model, whole = ModelConfig(rung=f"{RUNG}@stages2"), ModelConfig(rung=RUNG)
    assert find_weights(model) == find_weights(whole)
    assert model_digest(model) == model_digest(whole)
    rung = find_rung(f"{RUNG}@stages2")
    assert rung.images is None
    assert rung.pretraining == "Tiny-ImageNet at 32 px: lowest 2 groups of layers alone"
    assert rung.architecture == find_rung(RUNG).architecture


@pytest.mark.parametrize(
    ("rung", "message"),
    [
        (
            f"{RUNG}@stages0",
            r"ends in '@stages0' \(allowed: @stages1, @stages2, …, @mean-variance, ",
        ),
        (f"{RUNG}@half", "ends in '@half'"),
        ("scratch/r26x0.25@stages1", "has no pre-trained weights to take a part of"),
        ("embeddings/e@stages1", "has no pre-trained weights to take a part of"),
        ("tiny/r26@stages1", "does not exist"),
    ],
)
def test_what_is_no_start_is_refused(rung: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_rung(rung)


def test_more_groups_than_there_are_is_said() -> None:
    with pytest.raises(ConfigError, match=r"@stages5; the backbone has 5 groups .* 1 to 4"):
        weights(f"{RUNG}@stages5")
