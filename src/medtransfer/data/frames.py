"""Do the frames of the images give the answer away? Their size and border, not what is inside.

A probe that sees only the size, the shape, the border and the corners of an image should not know
the label. Where it does, two kinds of image were brought together, and a network learns which.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.config import DataConfig
from medtransfer.data.findings import Finding, enumerated
from medtransfer.data.labels import case_labels, targets_of
from medtransfer.data.numbers import numbered
from medtransfer.data.probe import Flags, Floats, area_of_features, folds_of

TELLS = 0.8
"""AUROC from which a frame is said to give a target away; see what-the-audit-found."""
TELLS_COHORT = 0.9
LEAST = 30
"""Images of each class it takes."""
MOST_IMAGES = 50_000
FRAME = ("frame_mean", "frame_dark", "frame_bright", "corner_0", "corner_1", "corner_2", "corner_3",
         "writing")  # fmt: skip


def frame_features(facts: pl.DataFrame, looks: pl.DataFrame) -> Floats:
    """What the probe sees. [N, F]

    Args:
        facts: From `scan_images`.
        looks: From `sketch_images`.
    """
    sizes = facts.select(
        pl.col("width").log(), pl.col("height").log(), pl.col("channels"), pl.col("bits"),
        shape=pl.col("width").log() - pl.col("height").log(),
    )  # fmt: skip
    both = sizes.hstack(looks.select(FRAME)).cast(pl.Float64).to_numpy()
    return both[:, np.ptp(both, axis=0) > 0]


def telling_frames(
    frame: pl.DataFrame, internal: Flags, features: Floats, data: DataConfig
) -> list[Finding]:
    """A012, A013: targets and cohorts that frames predict, cross-fitted by patient.

    Args:
        frame: Rows with their splits. [N rows]
        internal: Rows of the training cohorts. [N]
        features: From `frame_features`. [N, F]
        data: Targets.
    """
    if features.shape[1] == 0:
        return []
    step = -(-len(frame) // MOST_IMAGES)
    some = np.arange(0, len(frame), step)
    fold = folds_of(frame["patient_id"])[some]
    features, internal = features[some], internal[some]
    targets = _image_targets(frame, data)[some]
    found: list[str] = []
    for number, name in enumerate(data.names):
        known = internal & ~np.isnan(targets[:, number])
        reached = _reached(features[known], targets[known, number] > 0.5, fold[known])
        if reached >= TELLS:
            found.append(f"{name} with AUROC {reached:.2f}")
    findings = [Finding("A012", enumerated(found))] if found else []
    cohorts = frame["cohort"].gather(some)
    away: list[str] = []
    for name in cohorts.unique().sort():
        reached = _reached(features, (cohorts == name).to_numpy(), fold)
        if reached >= TELLS_COHORT:
            away.append(f"{name} with AUROC {reached:.2f}")
    return findings + ([Finding("A013", enumerated(away))] if away else [])


def _reached(features: Floats, positive: Flags, fold: NDArray[np.int64]) -> float:
    if min(int(positive.sum()), int((~positive).sum())) < LEAST:
        return 0.5
    return area_of_features(features, positive, fold)


def _image_targets(frame: pl.DataFrame, data: DataConfig) -> Floats:
    """Each image has its case's targets. [N, T]"""
    cases = numbered(frame["case_id"])
    return targets_of(case_labels(frame, data, cases), data)[cases]
