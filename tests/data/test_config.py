"""What may be asked of the data, and what is refused before anything is read."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from medtransfer.data.config import DataConfig, ImageConfig, LabelPolicy, SplitConfig
from medtransfer.data.images.region import Framing
from medtransfer.settings import digest

BINARY = {"manifest": "m.csv", "task": "binary", "targets": ["Edema"]}


def config(**changes: object) -> DataConfig:
    return DataConfig.model_validate({**BINARY, **changes})


def test_the_least_that_must_be_said_is_manifest_task_and_targets() -> None:
    asked = config()
    assert asked.manifest == Path("m.csv")
    assert asked.names == ("Edema",)
    assert asked.targets["Edema"] == LabelPolicy(uncertain="ignore", empty="ignore")
    assert asked.image.flip == "none"
    assert asked.split.train_cohorts is None


def test_targets_may_be_names_or_names_with_policies() -> None:
    asked = config(task="multi-label", targets={"Edema": {"uncertain": "ones"}, "Mass": None})
    assert asked.names == ("Edema", "Mass")
    assert asked.targets["Edema"].uncertain == "ones"
    assert asked.targets["Mass"] == LabelPolicy()


@pytest.mark.parametrize(
    "policy",
    ["ignore", "zeros", "ones", "soft(0)", "soft(0.55)", "soft(1)", "soft(1.0)", "soft(.3)"],
)
def test_policies_are_named(policy: str) -> None:
    assert LabelPolicy(uncertain=policy, empty=policy).uncertain == policy


@pytest.mark.parametrize(
    "policy",
    [
        "",
        "one",
        "Ones",
        "soft",
        "soft()",
        "soft(2)",
        "soft(-0.1)",
        "soft(1.5)",
        "0.5",
        "ones\n",
        "soft(nan)",
    ],
)
def test_other_policies_are_refused(policy: str) -> None:
    with pytest.raises(ValidationError, match="uncertain"):
        LabelPolicy(uncertain=policy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": ["a", "b"]}, "a binary task has one target, not 2: use multi-label"),
        ({"targets": []}, "at least 1"),
        ({"task": "single-label", "targets": ["a", "b"]}, "needs class_column and at least two"),
        (
            {"task": "single-label", "targets": ["a"], "class_column": "c"},
            "needs class_column and at least two",
        ),
        ({"class_column": "c"}, "class_column is for single-label tasks, not binary"),
        (
            {"task": "multi-label", "class_column": "c"},
            "class_column is for single-label tasks, not multi-label",
        ),
        ({"task": "regression"}, "binary.*multi-label.*single-label"),
        ({"pixel_limit": 0}, "greater than or equal to 1000000"),
        ({"pixel_limit": 10**9}, "less than or equal to 178956970"),
        ({"splits": {}}, "splits"),
        ({"image": {"resize": 64}}, "resize and crop go together"),
        ({"image": {"crop": 64}}, "resize and crop go together"),
        ({"image": {"resize": 64, "crop": 65}}, "crop 65 is larger than resize 64"),
        ({"image": {"resize": 5000, "crop": 64}}, "resize holds 5000 .allowed: the side of a sq"),
        ({"image": {"resize": 64, "crop": 7}}, "crop holds 7 .*whole numbers from 8 up to 4096"),
        ({"image": {"resize": [64, 48, 3], "crop": 32}}, r"resize holds \[64, 48, 3\]"),
        ({"image": {"resize": True, "crop": 32}}, "resize holds True"),
        ({"image": {"resize": "wide", "crop": 32}}, "resize holds wide"),
        (
            {"image": {"resize": [64, 48], "crop": [64, 56]}},
            "crop 64x56 is larger than resize 64x48",
        ),
        ({"image": {"resize": 64, "crop": [64, 40]}}, "stretched 1.60 times against test images"),
        ({"image": {"chest_wall": "left"}}, "chest_wall is found with the breast: it needs region"),
        (
            {"image": {"region": "breast", "chest_wall": "left", "flip": "both"}},
            "flip: both mirrors half of them again",
        ),
        ({"levels": {"exam_id": "median"}}, "max.*mean"),
        (
            {
                "task": "single-label",
                "targets": ["a", "b"],
                "class_column": "c",
                "levels": {"e": "max"},
            },
            "levels bring cases together .* need a binary or multi-label task",
        ),
        ({"image": {"region": "lung"}}, "whole.*breast"),
        ({"image": {"flip": "sideways"}}, "none.*horizontal.*vertical.*both"),
        ({"split": {"tune_fraction": 0.5, "test_fraction": 0.5}}, "together are 1.*below 1"),
        ({"split": {"tune_fraction": 0}}, "greater than 0"),
        ({"split": {"test_fraction": 1}}, "less than 1"),
        ({"split": {"train_fraction": 0}}, "greater than 0"),
        ({"split": {"train_fraction": 1.1}}, "less than or equal to 1"),
        ({"split": {"seed": -1}}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_work_is_refused_with_what_is_allowed(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**changes)


def test_sizes_are_both_given_or_both_left_to_the_rule() -> None:
    assert ImageConfig(resize=64, crop=64).crop == 64
    assert ImageConfig().resize is None


@pytest.mark.parametrize("given", [[1152, 896], (1152, 896), "1152x896", "1152 × 896"])
def test_a_size_may_be_height_and_width(given: object) -> None:
    image = ImageConfig.model_validate({"resize": given, "crop": [1024, 832]})
    assert (image.resize, image.crop) == ((1152, 896), (1024, 832))
    assert image.preparation == "1152 × 896 → 1024 × 832 px, height × width"
    assert ImageConfig.model_validate(image.model_dump(mode="json")) == image


def test_the_region_is_said_with_the_sizes() -> None:
    image = ImageConfig(resize=64, crop=56, region="breast", chest_wall="left")
    assert image.preparation == "box around the breast, chest wall to the left, 64 → 56 px"
    assert image.framing == Framing("breast", "left")


@pytest.mark.parametrize("given", [64, "64", 64.0, [64, 64], "64x64"])
def test_a_square_is_one_number_whatever_its_spelling(given: object) -> None:
    """So that run ids and the names of caches do not depend on it."""
    image = ImageConfig.model_validate({"resize": given, "crop": 64})
    assert image.scope("identity") == ImageConfig(resize=64, crop=64).scope("identity")
    assert image.preparation == "64 → 64 px"


@pytest.mark.parametrize(
    "changes",
    [
        {"targets": ["Mass"]},
        {"targets": {"Edema": {"uncertain": "ones"}}},
        {"targets": {"Edema": {"empty": "zeros"}}},
        {"image": {"flip": "horizontal"}},
        {"image": {"resize": 40, "crop": 32}},
        {"image": {"resize": [40, 32], "crop": [40, 32]}},
        {"image": {"region": "breast"}},
        {"split": {"train_cohorts": ["A"]}},
        {"split": {"tune_fraction": 0.1}},
        {"split": {"test_fraction": 0.1}},
        {"split": {"train_fraction": 0.1}},
        {"split": {"group_columns": ["lesion"]}},
        {"split": {"seed": 1}},
    ],
)
def test_what_can_change_a_prediction_is_identity(changes: dict[str, object]) -> None:
    assert digest(config(**changes).scope("identity")) != digest(config().scope("identity"))


@pytest.mark.parametrize(
    "changes",
    [
        {"manifest": "n.csv"},
        {"image_root": "/data"},
        {"pixel_limit": 10**6},
        {"attributes": ["sex"]},
    ],
)
def test_places_limits_and_attributes_are_not(changes: dict[str, object]) -> None:
    assert digest(config(**changes).scope("identity")) == digest(config().scope("identity"))


def test_attributes_change_results_but_no_prediction() -> None:
    assert config(attributes=["sex"]).scope("scoring")["attributes"] == ["sex"]


def test_fractions_leave_something_to_train_on() -> None:
    split = SplitConfig(tune_fraction=0.3, test_fraction=0.3)
    assert 1 - split.tune_fraction - split.test_fraction > 0
