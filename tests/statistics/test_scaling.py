"""Effects of network and data scale, with the replicates carried along."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from statsmodels.api import OLS, add_constant
from statsmodels.stats.outliers_influence import variance_inflation_factor

from medtransfer.statistics.bootstrap import Floats
from medtransfer.statistics.scaling import EXACT, ScaleEffect, Term, scale_effects

SETS = {"1k": 1.28e6, "21k": 14.2e6, "jft": 300e6}
NETWORKS = {"r50x1": 23.5e6, "r101x1": 42.5e6, "r50x3": 211e6, "r152x4": 928e6}
Rung = tuple[str, str]


def effects(values: Floats, rungs: list[Rung]) -> dict[Term, ScaleEffect]:
    networks, sets = zip(*rungs, strict=True)
    parameters = np.array([NETWORKS[name] for name in networks])
    images = np.array([SETS.get(name, 0.0) for name in sets])
    return scale_effects(values, parameters, images, networks, sets)


def crossed(networks: list[str], sets: list[str]) -> list[Rung]:
    return [(network, name) for network in networks for name in sets]


def scales(rungs: list[Rung]) -> tuple[Floats, Floats]:
    return (
        np.log10([NETWORKS[network] for network, _ in rungs]),
        np.log10([SETS[name] for _, name in rungs]),
    )


def noisy(rungs: list[Rung], columns: int = 20) -> Floats:
    return np.random.default_rng(len(rungs)).uniform(0.6, 0.9, size=(len(rungs), columns))


WHOLE = crossed(list(NETWORKS), list(SETS))
SOME = [WHOLE[place] for place in (0, 1, 3, 5, 6, 10, 11)]


@pytest.mark.parametrize("rungs", [WHOLE, SOME])
def test_the_interaction_model_is_that_of_statsmodels_in_every_replicate(rungs: list[Rung]) -> None:
    values = noisy(rungs)
    found = effects(values, rungs)
    n, d = (x - x.mean() for x in scales(rungs))
    design = add_constant(np.stack([n, d, n * d], axis=1))
    expected = np.stack([OLS(column, design).fit().params for column in values.T])
    for place, term in enumerate(("network", "data", "interaction"), start=1):
        assert_allclose(found[term].slopes, expected[:, place], rtol=0, atol=1e-10)
        assert found[term].model == "interaction model"
        assert found[term].rungs == len(rungs)


def test_effects_that_were_put_in_come_out() -> None:
    n, d = scales(WHOLE)
    n, d = n - n.mean(), d - d.mean()
    planted = (0.8 + 0.03 * n + 0.02 * d + 0.01 * n * d)[:, None]
    found = effects(planted, WHOLE)
    slopes = [float(found[term].slopes[0]) for term in ("network", "data", "interaction")]
    assert_allclose(slopes, [0.03, 0.02, 0.01], atol=1e-12)


def test_two_networks_and_two_sets_are_paired_contrasts() -> None:
    rungs = crossed(["r50x1", "r152x4"], ["1k", "21k"])
    values = noisy(rungs)
    found = effects(values, rungs)
    small_1k, small_21k, large_1k, large_21k = values
    span = np.log10(928e6 / 23.5e6)
    by_hand = ((large_1k - small_1k) + (large_21k - small_21k)) / 2 / span
    assert_allclose(found["network"].slopes, by_hand)
    by_hand = ((small_21k - small_1k) + (large_21k - large_1k)) / 2 / np.log10(14.2 / 1.28)
    assert_allclose(found["data"].slopes, by_hand)
    both = ((large_21k - small_21k) - (large_1k - small_1k)) / span / np.log10(14.2 / 1.28)
    assert_allclose(found["interaction"].slopes, both)
    for effect in found.values():
        assert (effect.model, effect.rungs) == ("interaction model", 4)
        assert effect.reason == EXACT


def test_four_rungs_that_are_not_two_by_two_have_no_interaction() -> None:
    rungs = [("r50x1", "1k"), ("r152x4", "1k"), ("r50x1", "21k"), ("r101x1", "21k")]
    found = effects(noisy(rungs), rungs)
    assert found["network"].model == "within pre-training sets"
    lacking = found["interaction"]
    assert np.isnan(lacking.slopes).all()
    assert lacking.slopes.shape == (20,)
    assert (lacking.model, lacking.rungs) == (None, 0)
    assert lacking.reason == "4 of the 5 pre-trained rungs that the model needs"


def test_within_groups_it_is_one_slope_with_an_intercept_for_each() -> None:
    # two small networks on one set, two large ones on another
    rungs = [("r50x1", "1k"), ("r101x1", "1k"), ("r50x3", "21k"), ("r152x4", "21k")]
    values = noisy(rungs)
    found = effects(values, rungs)["network"]
    n, _ = scales(rungs)
    own = np.array([[name == kind for kind in ("1k", "21k")] for _, name in rungs], dtype=float)
    design = np.column_stack([n, own])
    expected = [OLS(column, design).fit().params[0] for column in values.T]
    assert_allclose(found.slopes, expected, rtol=0, atol=1e-10)
    # between the sets both scales differ, so that contrast is not used
    shifted = values + 0.1 * own[:, 1:]
    assert_allclose(effects(shifted, rungs)["network"].slopes, found.slopes)


def test_a_scale_that_does_not_vary_within_a_group_is_undefined() -> None:
    one_set = [(network, "1k") for network in NETWORKS]
    found = effects(noisy(one_set), one_set)
    assert np.isfinite(found["network"].slopes).all()
    assert found["data"].reason == "no architecture has pre-training sets of two sizes"
    assert np.isnan(found["data"].slopes).all()
    one_network = [("r50x1", name) for name in SETS]
    found = effects(noisy(one_network), one_network)
    assert np.isfinite(found["data"].slopes).all()
    assert found["network"].reason == "no pre-training set has networks of two sizes"
    assert found["network"].model is None


def test_enough_rungs_of_one_size_have_no_interaction_either() -> None:
    rungs = [(network, "1k") for network in NETWORKS] + [("r50x1", "1k")]
    found = effects(noisy(rungs), rungs)
    reason = "network and data scale are not told apart by these rungs"
    assert found["interaction"].reason == reason
    assert found["network"].reason == reason
    assert found["network"].model == "within pre-training sets"


def test_scales_that_go_together_are_not_told_apart() -> None:
    # larger networks were trained on more images, but for one pair
    rungs = [
        ("r50x1", "1k"),
        ("r50x1", "21k"),
        ("r101x1", "21k"),
        ("r50x3", "jft"),
        ("r152x4", "jft"),
    ]
    n, d = (x - x.mean() for x in scales(rungs))
    design = add_constant(np.stack([n, d, n * d], axis=1))
    inflation = max(variance_inflation_factor(design, place) for place in (1, 2, 3))
    assert inflation > 10
    found = effects(noisy(rungs), rungs)
    expected = f"network and data scale are hardly told apart (inflation {inflation:.0f})"
    assert found["interaction"].reason == expected
    assert found["network"].model == "within pre-training sets"
    assert found["data"].model == "within architectures"
    # r50x1 and r101x1 on 21k, r50x3 and r152x4 on jft; r50x1 on 1k and 21k
    assert found["network"].rungs == 4
    assert found["data"].rungs == 2


def test_rungs_without_known_scale_or_value_are_left_out() -> None:
    networks = [network for network, _ in WHOLE]
    sets = [name for _, name in WHOLE]
    values = noisy(WHOLE)
    whole = effects(values, WHOLE)
    more = np.concatenate([values, np.zeros((3, 20)), values[:1]])
    more[-1, 0] = np.nan
    found = scale_effects(
        more,
        np.array([*(NETWORKS[n] for n in networks), 23.5e6, 23.5e6, np.nan, 23.5e6]),
        np.array([*(SETS[s] for s in sets), 0, np.nan, 1.28e6, 1.28e6]),
        [*networks, *["r50x1"] * 4],
        [*sets, "none", "a local file", "1k", "1k"],
    )
    for term, effect in whole.items():
        assert_allclose(found[term].slopes, effect.slopes)
        assert found[term].rungs == 12


def test_an_undefined_replicate_is_undefined_and_no_other() -> None:
    for rungs in (WHOLE, crossed(["r50x1", "r152x4"], ["1k", "21k"])):
        values = noisy(rungs)
        whole = effects(values, rungs)
        values[1, 7] = np.nan
        others = np.arange(20) != 7
        for term, effect in effects(values, rungs).items():
            assert np.isnan(effect.slopes[7])
            assert_allclose(effect.slopes[others], whole[term].slopes[others], equal_nan=True)


def test_a_rung_in_no_contrast_does_not_make_one_undefined() -> None:
    rungs = [("r50x1", "1k"), ("r152x4", "1k"), ("r50x3", "jft")]
    values = noisy(rungs)
    values[2, 5] = np.nan
    found = effects(values, rungs)["network"]
    assert np.isfinite(found.slopes).all()
    assert found.rungs == 2


def test_no_pre_trained_rung_at_all() -> None:
    found = effects(np.ones((2, 3)), [("r50x1", "none"), ("r152x4", "none")])
    assert all(np.isnan(effect.slopes).all() for effect in found.values())
    assert found["interaction"].reason == "0 of the 5 pre-trained rungs that the model needs"
