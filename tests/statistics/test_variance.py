"""Variance between seeds and between patients, told apart."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from numpy.testing import assert_allclose
from scipy.stats import t

from medtransfer.metrics.weighted import mean_of
from medtransfer.statistics.bootstrap import Floats, draw_replicates, percentile_interval
from medtransfer.statistics.variance import (
    NO_INTERVAL,
    NO_REPLICATES,
    ONE_SEED,
    variance_parts,
)


def drawn_values(
    rng: np.random.Generator, seeds: int, spread: tuple[float, float, float], replicates: int = 400
) -> Floats:
    """Values about 0 whose parts are normal: of seeds, patients, and their interaction."""
    a, b, c = spread
    sample = a * rng.normal(size=(seeds, 1)) + b * rng.normal() + c * rng.normal(size=(seeds, 1))
    again = b * rng.normal(size=replicates) + c * rng.normal(size=(seeds, replicates))
    return np.concatenate([sample, sample + again], axis=1)


def test_by_hand() -> None:
    # seeds 0.1 below and above; two replicates: the mean moves by ±0.02, the seeds by ∓0.01 more
    values = np.array([[0.7, 0.71, 0.69], [0.9, 0.93, 0.87]])
    found = variance_parts(values)
    assert found.value == pytest.approx(0.8)
    assert found.between_patients == pytest.approx(np.std([0.82, 0.78], ddof=1))
    # (v_sr - v_.r) - (v_s0 - v_.0) is ∓0.01: four squares of 1e-4 over (2 - 1) · 2
    assert found.interaction**2 == pytest.approx(2e-4)
    # variance of 0.7 and 0.9 is 0.02
    assert found.between_seeds**2 == pytest.approx(0.02 - 2e-4)


def test_seeds_that_agree_on_endless_patients_have_no_variance_between_them() -> None:
    found = variance_parts(np.tile(np.random.default_rng(0).normal(size=(1, 50)), (4, 1)))
    assert found.between_seeds == found.interaction == 0
    # these patients alone make such seeds differ by 3, and they differ by less
    noise = 3 * np.random.default_rng(1).normal(size=(3, 4000))
    noisy = variance_parts(np.concatenate([[[0.1], [-0.2], [0.1]], noise], axis=1))
    assert noisy.between_seeds == 0
    assert noisy.interaction == pytest.approx(3, rel=0.05)


def test_patients_that_do_not_matter_leave_the_plain_variance_of_the_seeds() -> None:
    seeds = np.array([0.7, 0.74, 0.81])
    found = variance_parts(np.tile(seeds[:, None], (1, 2001)))
    assert found.between_seeds == pytest.approx(seeds.std(ddof=1))
    assert found.between_patients == pytest.approx(0, abs=1e-12)
    assert found.interval is not None
    error = seeds.std(ddof=1) / np.sqrt(3)
    expected = np.array(t.interval(0.95, 2, seeds.mean(), error))
    assert_allclose(found.interval, expected)


@pytest.mark.parametrize("seed", range(3))
def test_parts_are_those_of_a_mixed_model_of_the_patients(seed: int) -> None:
    rng = np.random.default_rng(seed)
    seeds, patients = 5, 40
    cells = (
        0.4 * rng.normal(size=(seeds, 1))
        + 0.8 * rng.normal(size=patients)
        + 0.6 * rng.normal(size=(seeds, patients))
    )
    rows = pd.DataFrame(
        {
            "value": cells.ravel(),
            "seed": np.repeat(np.arange(seeds), patients),
            "patient": np.tile(np.arange(patients), seeds),
            "all": 1,
        }
    )
    crossed = {"seed": "0 + C(seed)", "patient": "0 + C(patient)"}
    fitted = smf.mixedlm("value ~ 1", rows, groups="all", re_formula="0", vc_formula=crossed).fit(
        reml=True
    )
    parts = dict(zip(fitted.model.exog_vc.names, fitted.vcomp, strict=True))
    draws = draw_replicates([f"p{p:03d}" for p in range(patients)], 8000, seed, "a")
    everyone = np.ones(patients, dtype=bool)
    found = variance_parts(np.stack([draws.values(mean_of(row), everyone) for row in cells]))
    # a bootstrap of P patients has (P - 1) / P of their variance
    lost = (patients - 1) / patients
    noise = fitted.scale / patients
    assert found.interaction**2 == pytest.approx(lost * noise, rel=0.05)
    assert found.between_seeds**2 == pytest.approx(parts["seed"] + (1 - lost) * noise, rel=0.03)
    mean = (parts["patient"] + fitted.scale / seeds) / patients
    assert found.between_patients**2 == pytest.approx(lost * mean, rel=0.05)


def test_the_variance_between_seeds_is_unbiased() -> None:
    rng = np.random.default_rng(0)
    found = [variance_parts(drawn_values(rng, 4, (1, 2, 0.5))) for _ in range(1500)]
    # 1 / √1500 · √(2/3) · 1.25 is a standard error of 0.026
    assert np.mean([part.between_seeds**2 for part in found]) == pytest.approx(1, abs=0.08)
    naive = np.mean([part.between_seeds**2 + part.interaction**2 for part in found])
    assert naive == pytest.approx(1.25, abs=0.08)
    mean = np.sqrt(2**2 + 0.5**2 / 4)
    assert np.mean([part.between_patients for part in found]) == pytest.approx(mean, rel=0.01)


def test_one_seed_says_nothing_of_seeds() -> None:
    values = np.random.default_rng(0).normal(size=(1, 200))
    found = variance_parts(values)
    assert np.isnan([found.between_seeds, found.interaction]).all()
    assert found.between_patients == pytest.approx(values[0, 1:].std(ddof=1))
    assert found.interval == percentile_interval(values[0])
    assert found.reason == ONE_SEED


def test_what_is_undefined_has_a_reason() -> None:
    values = np.random.default_rng(0).normal(size=(3, 101))
    whole = variance_parts(values)
    assert whole.reason is None
    some, many, sample = values.copy(), values.copy(), values.copy()
    some[1, 5] = np.nan
    assert variance_parts(some).reason is None
    assert variance_parts(some).between_patients != whole.between_patients
    many[1, 5:60] = np.nan
    assert variance_parts(many).reason == NO_INTERVAL
    assert variance_parts(many).interval is None
    assert np.isfinite(variance_parts(many).between_seeds)
    sample[1, 0] = np.nan
    for undefined, reason in (
        (sample, "undefined in the sample"),
        (values[:, :2], NO_REPLICATES),
        (values[:, :1], NO_REPLICATES),
    ):
        found = variance_parts(undefined)
        parts = [found.between_seeds, found.between_patients, found.interaction]
        assert np.isnan(parts).all()
        assert found.interval is None
        assert found.reason == reason


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "spread", "low", "high"),
    [
        # conservative by design where patients matter as much as seeds
        (2, (1.0, 1.0, 0.5), 0.94, 0.995),
        (3, (1.0, 1.0, 0.5), 0.94, 0.995),
        (3, (0.5, 1.0, 0.5), 0.94, 0.995),
        (5, (1.0, 1.0, 0.5), 0.94, 0.985),
        (3, (1.0, 0.3, 0.3), 0.935, 0.98),
        (3, (1.0, 0.05, 0.05), 0.93, 0.97),
    ],
)
def test_how_often_the_interval_of_seeds_and_patients_holds_the_truth(
    seeds: int, spread: tuple[float, float, float], low: float, high: float
) -> None:
    rng = np.random.default_rng(0)
    holding = {"seeds and patients": 0, "patients": 0}
    trials = 1000
    for _ in range(trials):
        values = drawn_values(rng, seeds, spread)
        for name, ends in (
            ("seeds and patients", variance_parts(values).interval),
            ("patients", percentile_interval(values.mean(axis=0))),
        ):
            assert ends is not None
            holding[name] += ends[0] <= 0 <= ends[1]
    print(f"{seeds} seeds {spread}: {holding}")
    assert low <= holding["seeds and patients"] / trials <= high
    assert holding["patients"] < holding["seeds and patients"]
