"""Randomness by name: the same everywhere, and as good as random."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, pearsonr

from medtransfer.seeds import derive_seed, generator, text_keys, uniforms
from tests.strategies import FEW, SAME, ids

GOLDEN_SEEDS = (3456079177858693020, 7391995676944021016)
GOLDEN_KEYS = [5272167197256221117, 11917621583605588671]
GOLDEN_DRAWS = [0.8677792065069526, 0.7347949606508097]

numbers = st.integers(-(2**63), 2**63 - 1)
epochs = st.integers(0, 10**6)


def test_seeds_are_the_same_on_every_machine() -> None:
    assert derive_seed(0) == GOLDEN_SEEDS[0]
    assert derive_seed(7, "order", 3) == GOLDEN_SEEDS[1]
    assert text_keys(["007", "Müller"]).tolist() == GOLDEN_KEYS
    draws = uniforms(7, "flip", np.array([0, 3]), text_keys(["007", "Müller"]))
    assert draws.tolist() == GOLDEN_DRAWS


@FEW
@given(numbers, st.lists(st.one_of(st.text(max_size=8), numbers), max_size=4))
def test_a_seed_has_63_bits(seed: int, purpose: list[str | int]) -> None:
    assert 0 <= derive_seed(seed, *purpose) < 2**63


def test_every_seed_and_purpose_has_draws_of_its_own() -> None:
    places = [(seed, *rest) for seed in range(20) for rest in [(), ("a",), ("b",), ("a", 1)]]
    assert len({derive_seed(*place) for place in places}) == len(places)
    assert len({generator(*place).random() for place in places}) == len(places)


def test_the_order_of_a_purpose_matters() -> None:
    assert derive_seed(0, "a", "b") != derive_seed(0, "b", "a")
    assert derive_seed(0, "ab") != derive_seed(0, "a", "b")


def test_a_generator_starts_over_each_time() -> None:
    assert generator(1, "x").random(5).tolist() == generator(1, "x").random(5).tolist()


@FEW
@given(st.lists(ids(), min_size=1, max_size=20))
def test_a_key_depends_on_its_text_alone(texts: list[str]) -> None:
    together = text_keys(texts).tolist()
    assert together == [int(text_keys([text])[0]) for text in texts]
    assert len(set(together)) == len(set(texts))


def test_no_texts_have_no_keys() -> None:
    assert text_keys([]).shape == (0,)


@FEW
@given(numbers, st.text(max_size=5), st.lists(st.tuples(epochs, ids()), min_size=1, max_size=30))
def test_draws_lie_in_the_unit_interval_and_ignore_their_neighbours(
    seed: int, purpose: str, rows: list[tuple[int, str]]
) -> None:
    times = np.array([epoch for epoch, _ in rows])
    keys = text_keys([text for _, text in rows])
    draws = uniforms(seed, purpose, times, keys)
    assert ((draws >= 0) & (draws < 1)).all()
    assert uniforms(seed, purpose, times[::-1], keys[::-1]).tolist() == draws[::-1].tolist()
    assert uniforms(seed, purpose, times[-1:], keys[-1:])[0] == draws[-1]


@SAME
@given(st.integers(0, 1000), st.sampled_from(["flip", "crop top", "order"]))
def test_draws_are_uniform_over_images_and_over_epochs(seed: int, purpose: str) -> None:
    keys = text_keys([f"image-{i}" for i in range(2000)])
    first = uniforms(seed, purpose, np.zeros(2000, np.int64), keys)
    later = uniforms(seed, purpose, np.arange(2000), np.repeat(keys[:1], 2000))
    assert kstest(first, "uniform").pvalue > 1e-4
    assert kstest(later, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("other", [("flip", 1, 0), ("flip", 0, 1), ("crop", 0, 0)])
def test_draws_of_another_epoch_seed_or_purpose_are_unrelated(other: tuple[str, int, int]) -> None:
    keys = text_keys([f"image-{i}" for i in range(5000)])
    purpose, epoch, seed = other
    one = uniforms(0, "flip", np.zeros(5000, np.int64), keys)
    two = uniforms(seed, purpose, np.full(5000, epoch), keys)
    assert abs(pearsonr(one, two).statistic) < 0.06
