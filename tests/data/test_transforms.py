"""Draws are a function of seed, epoch and image; pixels are what the draws say."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.strategies import FEW

from medtransfer.data.config import Flip
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.transforms import Views, cut_views, draw_views, normalise, whole_images
from medtransfer.seeds import text_keys
from medtransfer.sizes.image_size import ImageSize

FLIPS: tuple[Flip, ...] = ("none", "horizontal", "vertical", "both")
MANY = text_keys([f"image-{i}" for i in range(3000)])


def spec(resize: ImageSize = 12, crop: ImageSize = 8) -> InputSpec:
    return InputSpec(resize, crop, (0.5, 0.4, 0.3), (0.25, 0.5, 1.0), "bilinear")


def drawn(count: int = 3000, epoch: int = 0, flip: Flip = "both", **sizes: int) -> Views:
    return draw_views(0, np.full(count, epoch), MANY[:count], spec(**sizes), flip)


def columns(views: Views) -> list[list[int]]:
    return [np.asarray(column).tolist() for column in vars(views).values()]


sides = st.integers(1, 30).flatmap(lambda crop: st.tuples(st.integers(crop, 40), st.just(crop)))


@FEW
@given(sides, st.integers(0, 2**40), st.integers(0, 10**6), st.sampled_from(FLIPS))
def test_crops_lie_inside_the_image(
    sizes: tuple[int, int], seed: int, epoch: int, flip: Flip
) -> None:
    resize, crop = sizes
    views = draw_views(seed, np.full(50, epoch), MANY[:50], spec(resize, crop), flip)
    for start in (views.top, views.left):
        assert start.min() >= 0
        assert start.max() + crop <= resize


@FEW
@given(st.permutations(range(20)), st.integers(1, 19), st.sampled_from(FLIPS))
def test_a_draw_does_not_depend_on_the_others_of_its_batch(
    order: list[int], cut: int, flip: Flip
) -> None:
    epochs, keys = np.arange(20) % 4, MANY[:20]
    whole = columns(draw_views(5, epochs, keys, spec(), flip))
    parts = [
        columns(draw_views(5, epochs[part], keys[part], spec(), flip))
        for part in (order[:cut], order[cut:])
    ]
    for column, first, second in zip(whole, *parts, strict=True):
        assert first + second == [column[i] for i in order]


def test_every_place_of_a_crop_is_drawn_about_as_often() -> None:
    views = drawn(resize=10, crop=8)
    for start in (views.top, views.left):
        assert np.bincount(start, minlength=3).min() > 900
    together = np.bincount(3 * views.top + views.left, minlength=9)
    assert together.min() > 260


def test_a_crop_of_height_and_width_has_room_of_its_own_in_each_direction() -> None:
    views = draw_views(0, np.zeros(3000, np.int64), MANY, spec((12, 9), (8, 8)), "none")
    assert np.bincount(views.top, minlength=5).min() > 500
    assert np.bincount(views.left, minlength=2).min() > 1400
    assert (views.top.max(), views.left.max()) == (4, 1)


def test_a_crop_of_a_square_is_drawn_as_that_of_its_sides() -> None:
    wide = draw_views(0, np.zeros(50, np.int64), MANY[:50], spec((12, 12), (8, 8)), "both")
    assert columns(wide) == columns(drawn(50))


def test_without_room_there_is_one_crop() -> None:
    assert drawn(resize=8, crop=8).top.max() == 0


@pytest.mark.parametrize("flip", FLIPS)
def test_only_the_flips_that_are_allowed_are_drawn_and_those_half_the_time(flip: Flip) -> None:
    views = drawn(flip=flip)
    for flipped, allowed in (
        (views.mirrored, flip in ("horizontal", "both")),
        (views.upended, flip in ("vertical", "both")),
    ):
        assert abs(flipped.mean() - 0.5 * allowed) < 0.04
        assert allowed or not flipped.any()


def test_flips_and_crops_are_drawn_apart() -> None:
    views = drawn(resize=40, crop=8)
    table = np.corrcoef(np.array(columns(views), dtype=float))
    assert np.abs(table - np.eye(4)).max() < 0.08


def test_an_image_is_seen_anew_in_the_next_epoch_and_with_another_seed() -> None:
    first, later = drawn(), drawn(epoch=1)
    other = draw_views(1, np.zeros(3000, np.int64), MANY, spec(), "both")
    for views in (later, other):
        same = np.mean((views.top == first.top) & (views.left == first.left))
        assert same < 0.08


def test_a_crop_is_the_same_whatever_flips_are_allowed() -> None:
    assert drawn(flip="none").top.tolist() == drawn(flip="both").top.tolist()


@FEW
@given(st.sampled_from([1, 3]), st.sampled_from([np.uint8, np.uint16]), st.integers(0, 10**6))
def test_views_are_cut_then_flipped(
    channels: int, dtype: type[np.uint8] | type[np.uint16], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, np.iinfo(dtype).max, (6, 12, 12, channels), dtype=dtype)
    views = draw_views(seed, np.zeros(6, np.int64), MANY[:6], spec(), "both")
    cut = cut_views(list(pixels), views, 8)
    assert cut.shape == (6, channels, 8, 8)
    assert cut.dtype == (torch.uint8 if dtype == np.uint8 else torch.int32)
    for i in range(6):
        for y in range(8):
            for x in range(8):
                row = views.top[i] + (7 - y if views.upended[i] else y)
                column = views.left[i] + (7 - x if views.mirrored[i] else x)
                assert cut[i, :, y, x].tolist() == pixels[i, row, column].tolist()


def test_a_view_of_height_and_width_is_flipped_within_itself() -> None:
    pixels = np.arange(12 * 9, dtype=np.uint8).reshape(12, 9, 1)
    views = Views(np.array([3]), np.array([1]), np.array([True]), np.array([True]))
    cut = cut_views([pixels], views, (8, 6))
    assert np.array_equal(cut[0, 0], pixels[3:11, 1:7, 0][::-1, ::-1])


def test_a_test_image_is_whole() -> None:
    pixels = np.arange(2 * 3 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 3)
    pixels.flags.writeable = False  # as pixels of a cache are
    whole = whole_images(pixels)
    assert torch.equal(whole, torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2))
    whole += 1
    assert pixels[0, 0, 0, 0] == 0


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_pixels_are_scaled_and_standardised(dtype: type[np.uint8 | np.uint16], top: int) -> None:
    values = np.array([0, top // 5, top]).astype(dtype)
    pixels: NDArray[np.uint8 | np.uint16] = np.repeat(values[:, None], 3, axis=1)[:, None, None]
    result = normalise(whole_images(pixels), spec())
    assert result.dtype == torch.float32
    for channel, (mean, std) in enumerate(zip((0.5, 0.4, 0.3), (0.25, 0.5, 1.0), strict=True)):
        expected = (np.array([0, 0.2, 1]) - mean) / std
        np.testing.assert_allclose(result[:, channel, 0, 0], expected, rtol=1e-6, atol=1e-6)


def test_grey_becomes_three_channels_each_with_its_own_mean() -> None:
    grey = np.full((1, 2, 2, 1), 255, np.uint8)
    colour = np.full((1, 2, 2, 3), 255, np.uint8)
    result = normalise(whole_images(grey), spec())
    assert result.shape == (1, 3, 2, 2)
    assert torch.equal(result, normalise(whole_images(colour), spec()))


def test_an_8_bit_image_and_its_16_bit_twin_are_the_same_input() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    wide = pixels.astype(np.uint16) * np.uint16(257)
    difference = normalise(whole_images(pixels), spec()) - normalise(whole_images(wide), spec())
    assert difference.abs().max() < 1e-6
