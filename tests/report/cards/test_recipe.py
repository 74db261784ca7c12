"""A rung's training in the words of the report."""

from typing import Any

import pytest

from medtransfer.report.cards.recipe import recipe_of
from medtransfer.training.config import TrainingConfig


def test_the_rule_is_written_out() -> None:
    assert recipe_of(TrainingConfig()) == (
        "BiT-HyperRule; batch 512, learning rate 0.003, steps by the rule, weight decay 0, "
        "selection: best of 10 validations by tuning AUROC"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimiser": "adamw"}, "AdamW"),
        ({"schedule": "cosine"}, "cosine schedule"),
        ({"layer_decay": 0.65}, "layer decay 0.65"),
        ({"clip_norm": 1.0}, "gradients clipped to 1"),
        ({"ema": 0.999}, "weights averaged with decay 0.999"),
        ({"loss": {"kind": "asymmetric"}}, "asymmetric loss"),
        (
            {"loss": {"weights": "balanced", "smoothing": 0.1}},
            "class weights balanced, label smoothing 0.1",
        ),
        ({"loss": {"weights": {"Edema": 3}}}, "class weights by target"),
        ({"tuning": {"mode": "partial", "frozen_stages": 2}}, "lowest 2 stages frozen"),
        (
            {"tuning": {"mode": "partial", "frozen_stages": 2, "frozen_until": 0.5}},
            "lowest 2 stages frozen in the first 50% of the steps",
        ),
        ({"tuning": {"mode": "low-rank", "rank": 4}}, "low-rank updates of rank 4"),
        ({"head_start": "probe"}, "head from the linear probe"),
        (
            {"growth": {"share": 0.5, "until": 0.3}},
            "images of 50% of the side in the first 30% of the steps",
        ),
    ],
)
def test_every_departure_is_named(changes: dict[str, Any], words: str) -> None:
    assert f", {words}," in recipe_of(TrainingConfig.model_validate(changes))


def test_a_probe_names_its_penalties() -> None:
    config = TrainingConfig.model_validate({"tuning": {"mode": "linear", "penalties": [1, 0.01]}})
    assert recipe_of(config) == (
        "Linear probe: logistic regression on fixed features; the best of 2 L2 penalties, 0.01 to "
        "1, by tuning AUROC"
    )
