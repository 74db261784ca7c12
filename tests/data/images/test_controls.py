"""Images of negative controls keep what they should and lose the rest."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from medtransfer.data.images.controls import ControlRecipe, border_alone, shuffled_patches
from medtransfer.data.images.pixel_recipe import PixelRecipe


def image(height: int, channels: int = 1, seed: int = 0, width: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return draw.integers(0, 255, (height, width or height, channels)).astype(np.uint8)


@given(st.integers(10, 70), st.sampled_from([1, 3]))
def test_only_the_outer_tenth_is_left(side: int, channels: int) -> None:
    pixels = image(side, channels)
    width = max(1, round(side / 10))
    changed = border_alone(pixels)
    inside = changed[width : side - width, width : side - width]
    assert np.array_equal(changed[:width], pixels[:width])
    assert np.array_equal(changed[:, -width:], pixels[:, -width:])
    assert (inside == inside[0, 0]).all()
    other = pixels.copy()
    other[width : side - width, width : side - width] = 7
    assert np.array_equal(border_alone(other), changed)


@given(st.integers(8, 70), st.text(max_size=5))
def test_patches_are_moved_whole_and_none_is_lost(side: int, name: str) -> None:
    pixels = image(side, 3)
    changed = shuffled_patches(pixels, name)
    assert np.array_equal(np.sort(changed, axis=None), np.sort(pixels, axis=None))
    patch = side // 8

    def squares(array: np.ndarray) -> set[bytes]:
        steps = range(0, 8 * patch, patch)
        return {array[a : a + patch, b : b + patch].tobytes() for a in steps for b in steps}

    assert squares(changed) == squares(pixels)
    assert np.array_equal(changed, shuffled_patches(pixels, name))


def test_a_tall_image_keeps_a_tenth_of_each_side_and_every_part_of_its_grid() -> None:
    pixels = image(60, width=40)
    left = border_alone(pixels) == pixels
    assert left[:6].all()
    assert left[:, -4:].all()
    assert not left[6:-6, 4:-4].all()
    changed = shuffled_patches(pixels, "a")
    parts = [
        {array[y : y + 7, x : x + 5].tobytes() for y in range(0, 56, 7) for x in range(0, 40, 5)}
        for array in (pixels, changed)
    ]
    assert parts[0] == parts[1]
    assert not np.array_equal(pixels, changed)


def test_the_order_depends_on_the_image() -> None:
    assert not np.array_equal(shuffled_patches(image(32), "a"), shuffled_patches(image(32), "b"))


def test_its_cache_is_apart_and_others_keep_their_place() -> None:
    from pathlib import Path

    plain = PixelRecipe(32, "bilinear", 1_000_000)
    controls = [
        ControlRecipe(32, "bilinear", 1_000_000, control=name)
        for name in ("border-only", "patch-shuffled")
    ]
    folders = {recipe.folder(Path()) for recipe in (plain, *controls)}
    assert len(folders) == 3
    assert "control" not in plain.metadata()
