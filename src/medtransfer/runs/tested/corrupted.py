"""Names and images of corrupted internal test cases. No torch."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from medtransfer.data.images.corruptions import CorruptedRecipe, Corruption
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.runs.inputs import CacheRequest

HOME = "internal"
"""Name of several training cohorts taken together, as in the results."""


def internal_tests(frame: pl.DataFrame) -> pl.Series:
    """Mask of the test rows of the training cohorts: those with a tuning split. [R]"""
    return (frame["split"] == "test") & frame["cohort"].is_in(_trained(frame))


def home_name(frame: pl.DataFrame) -> str:
    """Name of the training cohorts as a test set: the only one's, or ``internal``."""
    trained = _trained(frame)
    return trained[0] if len(trained) == 1 else HOME


def corrupted_name(home: str, corruption: Corruption) -> str:
    """Name of the corrupted internal test cases, as ``a+blur@3``."""
    return f"{home}+{corruption.name}"


def _trained(frame: pl.DataFrame) -> list[str]:
    return frame.filter(pl.col("split") == "tune")["cohort"].unique().sort().to_list()


def corrupted_request(
    plain: PixelRecipe, frame: pl.DataFrame, corruption: Corruption
) -> CacheRequest:
    """Internal test images with a corruption.

    Args:
        plain: Recipe of the test images.
        frame: Manifest rows with splits.
        corruption: Kind and severity.
    """
    recipe = CorruptedRecipe(
        plain.size,
        plain.interpolation,
        plain.pixel_limit,
        plain.codec,
        plain.framing,
        corruption=corruption,
    )
    return CacheRequest(np.flatnonzero(internal_tests(frame).to_numpy()), recipe)


def named_in(frame: pl.DataFrame, cohorts: Sequence[str]) -> dict[str, Corruption]:
    """The corruptions among the names of cohorts, by name."""
    start = corrupted_name(home_name(frame), Corruption("blur", 1)).removesuffix("blur@1")
    plain = set(frame["cohort"])
    return {name: Corruption.of(name.removeprefix(start)) for name in cohorts if name not in plain}
