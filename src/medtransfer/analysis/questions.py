"""Questions about why a rung wins. No torch."""

from typing import Literal, get_args

Understanding = Literal[
    "convergence",
    "similarity",
    "reset",
    "weight_distance",
    "layer_probe",
    "attribute_probe",
    "covariate_importance",
    "trajectory",
    "rung_similarity",
]
QUESTIONS: tuple[Understanding, ...] = get_args(Understanding)
MAX_CASES = 2_000
"""Tuning cases that are looked at; of more, as many patients as hold them are drawn."""
MAX_LOOKED = 1_000
"""Test cases of a cohort that a run predicts at each validation, drawn likewise."""
FEATURES = "features"
"""Name of the last stage: what the head sees."""
