"""Networks that a study cannot train as it asks: all are named before images are decoded."""

from pathlib import Path

import pytest

from medtransfer.errors import ConfigError
from medtransfer.study.check import check_study
from medtransfer.study.config import Study
from medtransfer.study.schedule import run_study

VIT = "scratch/timm:vit_tiny_patch16_224"


def asking(study: Study, *rungs: object, **training: object) -> Study:
    asked = study.model_dump(exclude_unset=True)
    changes = {"rungs": list(rungs), "training": asked["training"] | training}
    return Study.model_validate(asked | changes)


def test_every_network_that_does_not_suit_is_named_at_once(
    tiny_study: Study, tmp_path: Path
) -> None:
    study = asking(
        tiny_study,
        VIT,
        {
            "rung": "scratch/r14x0.5",
            "training": {"tuning": {"mode": "partial", "frozen_stages": 40}},
        },
        growth={},
    )
    report = check_study(study, tmp_path / "study")
    assert isinstance(report.fault, ConfigError)
    message = str(report.fault)
    assert f"Rung '{VIT}': training.growth needs a network" in message
    assert f"{{rung: {VIT}, training: {{growth: null}}}}" in message
    assert "Rung 'scratch/r14x0.5': tuning.frozen_stages is 40" in message
    assert not list((tmp_path / "study" / "cache").rglob("*"))
    with pytest.raises(ConfigError, match="frozen_stages is 40"):
        run_study(study, tmp_path / "study")


def test_a_size_that_patches_do_not_divide_is_found_by_the_check(
    tiny_study: Study, tmp_path: Path
) -> None:
    asked = asking(tiny_study, VIT).model_dump(exclude_unset=True)
    asked["data"]["image"] = {"resize": 36, "crop": 30}
    report = check_study(Study.model_validate(asked), tmp_path / "study")
    assert "cannot take images of 30 px" in str(report.fault)


def test_networks_that_suit_pass(tiny_study: Study, tmp_path: Path) -> None:
    study = asking(tiny_study, {"rung": VIT, "training": {"growth": None}}, "scratch/r14x0.5")
    assert check_study(study, tmp_path / "study").fault is None
