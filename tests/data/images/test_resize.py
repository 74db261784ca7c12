"""Resizing keeps kind and range, and is Pillow's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from tests.strategies import FEW, pixels

from medtransfer.data.images.pictures import Interpolation, resize_image

ways = st.sampled_from(["bilinear", "bicubic"])
sizes = st.integers(1, 40)
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
both = st.one_of(pixels(np.uint8), pixels(np.uint16, colour=False))


@FEW
@given(both, sizes, ways)
def test_type_channels_and_range_are_kept(
    image: NDArray[np.uint8 | np.uint16], size: int, way: Interpolation
) -> None:
    result = resize_image(image, size, way)
    assert result.dtype == image.dtype
    assert result.shape == (size, size, *image.shape[2:])
    if way == "bilinear":
        assert result.min() >= image.min()
        assert result.max() <= image.max()


@FEW
@given(pixels(np.uint8), sizes, ways)
def test_8_bit_images_are_resized_as_pillow_does(
    image: NDArray[np.uint8], size: int, way: Interpolation
) -> None:
    expected = np.asarray(Image.fromarray(image).resize((size, size), RESAMPLING[way]))
    assert np.array_equal(resize_image(image, size, way), expected)


@FEW
@given(pixels(np.uint8, colour=False), sizes, ways)
def test_16_bit_images_are_resized_like_the_same_picture_in_8_bit(
    image: NDArray[np.uint8], size: int, way: Interpolation
) -> None:
    middle = (64 + image // 2).astype(np.uint8)  # where bicubic overshoot is not cut off
    wide = resize_image(middle.astype(np.uint16) * 257, size, way)
    assert np.abs(wide / 257 - resize_image(middle, size, way)).max() <= 1.5


@FEW
@given(both, ways)
def test_a_square_of_the_right_size_is_left_alone(
    image: NDArray[np.uint8 | np.uint16], way: Interpolation
) -> None:
    square = resize_image(image, 9, way)
    assert np.array_equal(resize_image(square, 9, way), square)


@FEW
@given(st.integers(0, 255), sizes, ways)
def test_an_even_image_stays_even(value: int, size: int, way: Interpolation) -> None:
    image = np.full((7, 13), value, np.uint8)
    assert (resize_image(image, size, way) == value).all()
    wide = np.full((7, 13), value * 257, np.uint16)
    assert (resize_image(wide, size, way) == value * 257).all()


def test_overshoot_at_an_edge_stays_in_range() -> None:
    edge = np.zeros((6, 6), np.uint16)
    edge[:, 3:] = 65535
    result = resize_image(edge, 29, "bicubic")
    assert (result.min(), result.max()) == (0, 65535)
    assert np.all(np.diff(result[0, 10:19].astype(int)) >= 0)


def test_shrinking_takes_the_mean_and_not_every_nth_pixel() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 200
    for image, scale in ((stripes, 1), (stripes.astype(np.uint16) * 257, 257)):
        small = resize_image(image, 8, "bilinear") / scale
        assert np.abs(small - 100).max() <= 5
