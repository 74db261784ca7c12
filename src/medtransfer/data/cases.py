"""Cases: what gets one prediction, made of one to many images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.config import DataConfig
from medtransfer.data.labels import case_labels, targets_of
from medtransfer.data.splits import patient_labels, training_patients


@dataclass(frozen=True)
class Cases:
    """Cases in the order of their ids.

    Attributes:
        case_ids: [N]
        patient_ids: [N]
        cohorts: [N]
        splits: ``train``, ``tune`` or ``test``. [N]
        targets: 0 to 1, NaN where masked. [N, T]
        images: Image ids of each case, sorted. N lists
    """

    case_ids: NDArray[np.str_]
    patient_ids: NDArray[np.str_]
    cohorts: NDArray[np.str_]
    splits: NDArray[np.str_]
    targets: NDArray[np.float64]
    images: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.case_ids)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Cases":
        """Some of the cases."""
        chosen: NDArray[np.int64] = np.arange(len(self), dtype=np.int64)[rows]
        return Cases(
            self.case_ids[chosen],
            self.patient_ids[chosen],
            self.cohorts[chosen],
            self.splits[chosen],
            self.targets[chosen],
            tuple(self.images[int(row)] for row in chosen),
        )

    @property
    def image_ids(self) -> list[str]:
        """All images, case by case."""
        return [image for images in self.images for image in images]


def build_cases(frame: pl.DataFrame, data: DataConfig) -> Cases:
    """Gather images into cases and apply the label policy.

    Args:
        frame: Manifest rows with splits, from `assign_splits`.
        data: Targets and policies.
    """
    table = (
        frame.sort("case_id", "image_id")
        .group_by("case_id", maintain_order=True)
        .agg(pl.col("patient_id", "cohort", "split").first(), pl.col("image_id"))
    )
    return Cases(
        _text(table["case_id"]),
        _text(table["patient_id"]),
        _text(table["cohort"]),
        _text(table["split"]),
        targets_of(case_labels(frame, data), data),
        tuple(tuple(images) for images in table["image_id"].to_list()),
    )


def training_cases(cases: Cases, frame: pl.DataFrame, data: DataConfig, seed: int) -> Cases:
    """The training cases whose labels are used: the label fraction, at least one label each.

    Args:
        cases: All cases.
        frame: The manifest rows they come from.
        data: The label fraction.
        seed: The run's seed, which draws the fraction.
    """
    labelled = ~np.isnan(cases.targets).all(axis=1)
    rows = (cases.splits == "train") & labelled
    again = data.split.retrain
    abroad = cases.cohorts == (again.cohort if again is not None else "")
    home = _share_of(cases, rows & ~abroad, frame, data, data.split.train_fraction, seed)
    if again is None:
        return cases.take(home)
    return cases.take(home | _share_of(cases, rows & abroad, frame, data, again.fraction, seed))


def predicted_cases(cases: Cases, data: DataConfig) -> Cases:
    """The cases that get a prediction: all that are not trained on.

    After training on a part of a shifted cohort again these are the tuning cases and that
    cohort's own test cases; nothing else is asked of such a run.
    """
    rows = cases.splits != "train"
    if data.split.retrain is not None:
        rows &= (cases.splits == "tune") | (cases.cohorts == data.split.retrain.cohort)
    return cases.take(rows)


def _share_of(
    cases: Cases,
    rows: NDArray[np.bool_],
    frame: pl.DataFrame,
    data: DataConfig,
    fraction: float,
    seed: int,
) -> NDArray[np.bool_]:
    """The cases of a share of the patients among some rows. [N]"""
    if fraction == 1 or not rows.any():
        return rows
    training = frame.filter(pl.col("case_id").is_in(cases.case_ids[rows].tolist()))
    patients, strata = patient_labels(training, data)
    drawn = training_patients(patients, strata, fraction, seed)
    return rows & np.isin(cases.patient_ids, list(drawn))


def case_attributes(frame: pl.DataFrame, attributes: Sequence[str]) -> pl.DataFrame:
    """Attributes per case: the one value its images agree on, null where they do not.

    Returns:
        `case_id` and the attributes as text, one row per case.
    """
    cells = [pl.col(name).cast(pl.String).str.strip_chars().alias(name) for name in attributes]
    values = frame.select("case_id", *cells).group_by("case_id")
    agreed = [
        pl.when(pl.col(name).drop_nulls().n_unique() == 1).then(pl.col(name).drop_nulls().first())
        for name in attributes
    ]
    return values.agg(agreed).sort("case_id")


def _text(column: pl.Series) -> NDArray[np.str_]:
    return np.array(column.to_list(), dtype=np.str_)
