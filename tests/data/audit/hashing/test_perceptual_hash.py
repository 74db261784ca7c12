"""All pairs within the radius and no other, and hashes that turn with the image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from medtransfer.data.audit.hashing import perceptual_hash
from medtransfer.data.audit.hashing.perceptual_hash import (
    FREQUENCIES,
    SIDE,
    TURNS,
    close_pairs,
    codes_of,
    frequencies,
    turned,
    turned_frequencies,
)

Codes = NDArray[np.uint64]


def brute_force(queries: Codes, codes: Codes, radius: int) -> set[tuple[int, int, int]]:
    """Every pair looked at, bit by bit."""
    found: set[tuple[int, int, int]] = set()
    for i, query in enumerate(queries.tolist()):
        for j in range(i + 1, len(codes)):
            distance = (query ^ int(codes[j])).bit_count()
            if distance <= radius:
                found.add((i, j, distance))
    return found


def as_list(queries: Codes, codes: Codes, radius: int) -> list[tuple[int, int, int]]:
    parts = np.concatenate(list(close_pairs(queries, codes, radius)), axis=1)
    return [tuple(pair) for pair in parts.T.tolist()]


@st.composite
def clustered(draw: st.DrawFn) -> tuple[Codes, Codes]:
    """Hashes around a few centres, and queries that differ from them by some bits."""
    centres = draw(npst.arrays(np.uint64, st.integers(1, 4)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(2, 60))

    def near(codes: Codes) -> Codes:
        bits = rng.random((len(codes), 64)) < draw(st.sampled_from([0.02, 0.1, 0.2]))
        return codes ^ np.ascontiguousarray(np.packbits(bits, axis=1)).view(np.uint64).ravel()

    codes = near(centres[rng.integers(0, len(centres), count)])
    return (near(codes) if draw(st.booleans()) else codes), codes


@settings(max_examples=60, deadline=None)
@given(clustered(), st.integers(0, 15), st.booleans())
def test_all_pairs_within_the_radius_are_found_once(
    both: tuple[Codes, Codes], radius: int, indexed: bool
) -> None:
    queries, codes = both
    with pytest.MonkeyPatch.context() as patch:
        if indexed:
            patch.setattr(perceptual_hash, "DIRECT", 0)
            patch.setattr(perceptual_hash, "BLOCK", 7)  # several blocks, the last one short
        found = as_list(queries, codes, radius)
    assert len(found) == len(set(found))
    assert set(found) == brute_force(queries, codes, radius)


def test_more_pairs_than_there_is_room_for_are_found_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual_hash, "DIRECT", 0)
    codes = np.zeros(800, dtype=np.uint64)
    assert len(as_list(codes, codes, 0)) == 800 * 799 // 2 > 1 << 18


def test_frequencies_are_the_lowest_of_the_cosine_transform() -> None:
    from scipy.fft import dctn

    thumbs = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE)).astype(np.uint8)
    flat = thumbs.reshape(5, -1).astype(float)
    even = ((flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True)).reshape(5, SIDE, -1)
    theirs = dctn(even, axes=(1, 2)) / 4
    ours = frequencies(thumbs)
    np.testing.assert_allclose(ours, theirs[:, *FREQUENCIES.T], rtol=1e-3, atol=0.05)
    assert {tuple(pair) for pair in FREQUENCIES} == {tuple(pair[::-1]) for pair in FREQUENCIES}


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn.name)
def test_frequencies_turn_with_the_image(turn: perceptual_hash.Turn) -> None:
    thumbs = np.random.default_rng(1).integers(0, 256, (4, SIDE, SIDE)).astype(np.uint8)
    by_rule = turned_frequencies(frequencies(thumbs), turn)
    np.testing.assert_allclose(by_rule, frequencies(turned(thumbs, turn)), atol=0.05)


def test_the_eight_turns_are_all_different_and_lead_back_to_each_other() -> None:
    thumb = np.arange(SIDE * SIDE, dtype=np.int64).reshape(1, SIDE, SIDE)
    seen = {turned(thumb, turn).tobytes() for turn in TURNS}  # type: ignore[arg-type]
    assert len(seen) == 8
    once = {turned(thumb, turn).tobytes() for turn in TURNS}  # type: ignore[arg-type]
    for first in TURNS:
        for second in TURNS:
            both = turned(turned(thumb, first), second)  # type: ignore[arg-type]
            assert both.tobytes() in once


def test_brightness_and_contrast_leave_the_hash_as_it_is() -> None:
    rng = np.random.default_rng(2)
    thumbs = rng.integers(60, 120, (50, SIDE, SIDE)).astype(np.uint8)
    values, brighter = frequencies(thumbs), frequencies(thumbs * 2 + 7)
    limits = np.median(values, axis=0)
    assert (codes_of(values, limits) == codes_of(brighter, limits)).mean() > 0.9
