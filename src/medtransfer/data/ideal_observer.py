"""Predictions of the ideal observer of a phantom: the best that any reader of its pictures can do.

The sign of every case is known as it is drawn. The probability of a label follows from it by Bayes'
rule, so that nothing about the truth is typed in: metrics of a large sample of these predictions
are what a network with unlimited data would tend to.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import logit
from scipy.stats import norm

from medtransfer.data.phantom import Hospital, Phantom, sign_strength
from medtransfer.seeds import generator

Floats = NDArray[np.float64]
SEXES = ("F", "M")


def ideal_predictions(
    phantom: Phantom, trained: str, *, cases: int, run_id: str = "ideal"
) -> pl.DataFrame:
    """Draw cases of every hospital and give them the probabilities that their sign allows.

    The observer sees the sign of a picture and not the patient's sex; it knows the prevalence, the
    signs and the share of wrong labels of the hospital where it was trained, and carries that
    knowledge to the others.

    Args:
        phantom: Of lesions, with a `spread` above 0.
        trained: Its training hospital; half of that hospital's cases are the tuning split.
        cases: Of every hospital.
        run_id: Of all rows.

    Returns:
        A predictions table with `sex` beside.
    """
    frames = [
        _of_hospital(phantom, name, site, phantom.hospitals[trained], cases).with_columns(
            split=pl.when(pl.int_range(pl.len()) % 2 == 0)
            .then(pl.lit("tune" if name == trained else "test"))
            .otherwise(pl.lit("test"))
        )
        for name, site in phantom.hospitals.items()
    ]
    return pl.concat(frames).with_columns(
        run_id=pl.lit(run_id), member=pl.lit(0, dtype=pl.Int64), patient_id=pl.col("case_id")
    )


def _of_hospital(
    phantom: Phantom, name: str, site: Hospital, home: Hospital, cases: int
) -> pl.DataFrame:
    """Cases of one hospital, drawn as `write_phantom` draws them, without pictures."""
    rng = generator(phantom.seed, "ideal observer", name)
    sex = rng.choice(SEXES, cases)
    truth = rng.random(cases) < site.prevalence
    strength = np.array([sign_strength(phantom, site, name) for name in SEXES])
    sign = truth * strength[(sex == "M").astype(int)] + phantom.spread * rng.normal(size=cases)
    label = truth ^ (rng.random(cases) < phantom.label_noise)
    return pl.DataFrame(
        {
            "case_id": [f"{name}-{number}" for number in range(cases)],
            "cohort": name,
            "sex": sex,
            "target_malignant": label.astype(float),
            "logit_malignant": logit(_probability(phantom, home, sign)),
        }
    )


def _probability(phantom: Phantom, home: Hospital, sign: Floats) -> Floats:
    """Chance of a positive label at the training hospital, given the sign. [N]"""
    means = [sign_strength(phantom, home, sex) for sex in SEXES]
    positive = np.mean([norm.pdf(sign, mean, phantom.spread) for mean in means], axis=0)
    negative = norm.pdf(sign, 0, phantom.spread)
    ill = home.prevalence * positive
    share = ill / (ill + (1 - home.prevalence) * negative)
    return share * (1 - phantom.label_noise) + (1 - share) * phantom.label_noise
