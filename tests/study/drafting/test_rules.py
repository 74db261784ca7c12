"""Rules from facts to settings, on made facts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtransfer.data.config import SplitConfig
from medtransfer.study.drafting.fingerprint import ImageSizes, LabelCount, Machine
from medtransfer.study.drafting.rules import (
    FEW_POSITIVES,
    MIN_POSITIVES,
    MIN_STEPS,
    SHORT_BATCH,
    Sides,
    choose_flips,
    choose_length,
    choose_points,
    choose_seeds,
    choose_sides,
    choose_weights,
)
from medtransfer.training.bit_hyperrule import make_schedule

LAPTOP = Machine(gpus=0, cores=4, memory=16 * 2**30)
SERVER = Machine(gpus=1, cores=16, memory=128 * 2**30)
FILM = ImageSizes(images=24, width=2544, height=3056, bits=12, channels=1)
TILE = ImageSizes(images=24, width=28, height=28, bits=8, channels=3)


def count(positive: int, negative: int, target: str = "edema") -> LabelCount:
    return LabelCount(target, "north", positive, negative, 0)


def test_a_cpu_gets_a_side_that_it_can_train_and_the_reason() -> None:
    derived = choose_sides(FILM, LAPTOP)
    assert (derived.value, derived.basis) == (Sides(144, 128), "rule")
    assert derived.note == ("rule resolution: no GPU; BiT-HyperRule's 480 px are hours on a CPU")


@pytest.mark.parametrize(
    ("sizes", "sides"),
    [(FILM, Sides(512, 480)), (TILE, Sides(160, 128)), (None, Sides(None, None))],
)
def test_a_gpu_gets_the_sides_of_the_hyperrule(sizes: ImageSizes | None, sides: Sides) -> None:
    assert choose_sides(sizes, SERVER).value == sides


def test_the_schedule_on_a_gpu_is_that_of_the_hyperrule() -> None:
    derived = choose_length(30_000, SERVER)
    assert derived.value.steps == make_schedule(30_000, 0.001).steps == 10_000
    assert "30,000 training cases are a medium task" in derived.reason


@given(st.integers(1, 2_000_000))
def test_a_short_schedule_never_exceeds_the_hyperrule_and_grows_with_the_data(cases: int) -> None:
    steps = choose_length(cases, LAPTOP).value.steps
    assert MIN_STEPS <= steps <= make_schedule(cases, 0.001).steps
    assert steps <= choose_length(cases + SHORT_BATCH, LAPTOP).value.steps


def test_images_are_not_flipped_and_the_reason_names_the_column_of_sides() -> None:
    assert choose_flips(["laterality", "view"]).value == "none"
    assert "column 'laterality'" in choose_flips(["laterality"]).note
    assert "nothing in the manifest" in choose_flips(["view"]).note


def test_losses_are_weighted_only_where_most_steps_would_hold_no_case_of_a_side() -> None:
    often, rarely = count(50, 950), count(5, 995, "nodule")
    assert choose_weights([often], 1000, 64).value == "none"
    derived = choose_weights([often, rarely], 1000, 64)
    assert derived.value == "balanced"
    assert "a step of 64 cases holds 0.3 of the rarest side of 'nodule'" in derived.reason
    common = count(995, 5, "nodule")  # the negatives are the rare side
    assert choose_weights([common], 1000, 64).value == "balanced"
    assert choose_weights([], 0, 64).value == "none"


@pytest.mark.parametrize(
    ("tuned", "point"),
    [
        (MIN_POSITIVES, "sens90"),
        (MIN_POSITIVES - 1, "sens80"),
        (FEW_POSITIVES, "sens80"),
        (FEW_POSITIVES - 1, "youden"),
    ],
)
def test_operating_points_are_those_that_the_tuning_split_can_fix(tuned: int, point: str) -> None:
    split = SplitConfig(tune_fraction=0.5, test_fraction=0.2)
    labels = [count(10_000, 10, "common"), count(2 * tuned, 500)]
    derived = choose_points(labels, split)
    assert derived.value == (point,)
    assert f"'edema' has about {tuned} positive cases" in derived.reason


def test_what_is_fixed_says_so() -> None:
    assert choose_seeds().note.startswith("fixed: three")


def test_a_reason_states_the_fact_it_rests_on() -> None:
    smaller = replace(FILM, width=100, height=90)
    assert "100 × 90 px" in choose_sides(smaller, SERVER).reason
    assert choose_sides(smaller, SERVER).value == Sides(160, 128)
