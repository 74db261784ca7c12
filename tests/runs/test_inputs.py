"""What a run reads: its images at the size that the study, or BiT-HyperRule, sets."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from medtransfer.models.rungs.architectures import ARCHITECTURES
from medtransfer.runs.config import Transfer
from medtransfer.runs.inputs import cache_requests, input_spec, known_architecture, merge_requests

FRAME = pl.DataFrame({"split": ["train", "test", "train", "tune", "train"]})


def run(**image: object) -> Transfer:
    return Transfer.model_validate(
        {
            "data": {"manifest": Path("m.csv"), "task": "binary", "targets": ["y"], "image": image},
            "model": {"rung": "scratch/r14x1"},
        }
    )


def facts(*sides: int) -> pl.DataFrame:
    return pl.DataFrame({"width": sides, "height": sides})


def test_the_study_sets_the_sizes_and_the_rung_the_rest() -> None:
    spec = input_spec(run(resize=72, crop=64), ARCHITECTURES["effnet-b0"], FRAME, facts(*[999] * 5))
    assert (spec.resize, spec.crop, spec.interpolation) == (72, 64, "bicubic")
    assert spec.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("sides", "expected"),
    [((64, 999, 64, 999, 999), (160, 128)), ((999, 64, 64, 64, 999), (512, 480))],
    ids=["small training images", "large training images"],
)
def test_left_out_the_rule_sets_them_by_the_median_of_the_training_images(
    sides: tuple[int, ...], expected: tuple[int, int]
) -> None:
    spec = input_spec(run(), ARCHITECTURES["r14x1"], FRAME, facts(*sides))
    assert (spec.resize, spec.crop) == expected


def test_training_images_are_kept_at_both_sides_and_all_others_at_the_crop() -> None:
    spec = input_spec(run(resize=72, crop=64), ARCHITECTURES["r14x1"], FRAME, facts(*[99] * 5))
    needs = cache_requests(run(resize=72, crop=64), spec, FRAME)
    found = [(need.indices.tolist(), need.recipe.size) for need in needs]
    assert found == [([0, 2, 4], 72), ([1, 3], 64), ([0, 2, 4], 64)]


def test_needs_of_all_runs_are_one_per_recipe() -> None:
    spec = input_spec(run(resize=72, crop=64), ARCHITECTURES["r14x1"], FRAME, facts(*[99] * 5))
    other = pl.DataFrame({"split": ["test", "train", "test", "test", "test"]})
    needs = [need for frame in (FRAME, other) for need in cache_requests(run(), spec, frame)]
    found = [(need.indices.tolist(), need.recipe.size) for need in merge_requests(needs)]
    assert found == [([0, 1, 2, 3, 4], 64), ([0, 1, 2, 4], 72)]


@pytest.mark.slow
def test_only_open_forms_ask_timm_and_so_torch() -> None:
    code = (
        "import sys\n"
        "from medtransfer.runs.inputs import known_architecture\n"
        "known_architecture('bit-m/r50x1'); print('torch' in sys.modules)\n"
        "known_architecture('scratch/timm:resnet18'); print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_open_forms_have_their_facts_from_timm() -> None:
    assert known_architecture("scratch/timm:resnet18").width == 512
