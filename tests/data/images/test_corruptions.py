"""Corruptions do what their names say, the same way each time, and agree with other programs."""

import io
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.io import decode_jpeg, encode_jpeg
from torchvision.transforms import functional

from medtransfer.data.images.corruptions import (
    BLUR_PIXELS,
    JPEG_QUALITY,
    KINDS,
    NOISE_SHARE,
    RESOLUTION_SHARE,
    CorruptedRecipe,
    Corruption,
    Kind,
    coarsened,
    corrupted,
    jpeg_coded,
    named_corruptions,
)
from medtransfer.data.images.pictures import encode_png
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.errors import ConfigError

LIMIT = 10**8
SEVERITIES = st.integers(1, 5)


def image(side: int, channels: int = 3, kind: type = np.uint8, seed: int = 0) -> np.ndarray:
    """Smooth shapes with some grain: JPEG and blur have something to lose."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(9 * x + k) * np.cos(7 * y - k) for k in range(channels)]
    values = 0.5 + 0.35 * np.stack(waves, -1) + draw.normal(0, 0.05, (side, side, channels))
    top = np.iinfo(kind).max
    return np.clip(values * top, 0, top).astype(kind)


def error(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


@pytest.mark.parametrize("severity", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_blur_is_that_of_torchvision_away_from_the_edge(severity: int, channels: int) -> None:
    pixels = image(64, channels)
    sigma = BLUR_PIXELS[severity - 1]
    reach = int(4 * sigma + 0.5)  # beyond it the kernel ends, here as there
    planes = torch.as_tensor(pixels.astype(np.float32)).permute(2, 0, 1)
    expected = functional.gaussian_blur(planes, [2 * reach + 1] * 2, [sigma, sigma])
    inside = slice(reach, -reach)
    ours = corrupted(pixels, Corruption("blur", severity), "x")[inside, inside]
    theirs = expected.permute(1, 2, 0).numpy()[inside, inside]
    assert np.abs(ours - theirs).max() <= 0.51  # rounding to a whole grey level


@pytest.mark.filterwarnings("ignore:The image decoding and encoding:DeprecationWarning")
@pytest.mark.parametrize("severity", [1, 5])
def test_jpeg_is_that_of_torchvision(severity: int) -> None:
    pixels = image(48)
    quality = JPEG_QUALITY[severity - 1]
    planes = torch.as_tensor(pixels).permute(2, 0, 1)
    coded = cast("torch.Tensor", encode_jpeg(planes, quality))
    theirs = cast("torch.Tensor", decode_jpeg(coded)).permute(1, 2, 0).numpy()
    ours = jpeg_coded(pixels, quality)
    # torchvision halves the colour planes, which is no part of quality: brightness is compared
    weights = np.array([0.299, 0.587, 0.114])
    assert error(ours @ weights, theirs @ weights) < 0.25 * error(ours @ weights, pixels @ weights)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling=0)
    assert np.array_equal(ours, np.asarray(Image.open(stream)))


def test_jpeg_of_sixteen_bits_keeps_the_range_in_use() -> None:
    narrow = (image(48, 1, np.uint16)[:, :, 0] // 16).astype(np.uint16)  # 12 bits in use
    coded = jpeg_coded(narrow, 25)
    assert coded.dtype == np.uint16
    assert error(coded, narrow) < 0.06 * (int(narrow.max()) - int(narrow.min()))
    assert int(coded.max()) <= int(narrow.max()) + 1


@given(SEVERITIES, st.sampled_from([np.uint8, np.uint16]))
def test_noise_has_the_spread_it_says_and_is_the_same_each_time(severity: int, kind: type) -> None:
    top = np.iinfo(kind).max
    grey = np.full((64, 64, 1), top // 2, dtype=kind)
    corruption = Corruption("noise", severity)
    noisy = corrupted(grey, corruption, "x")
    assert np.array_equal(noisy, corrupted(grey, corruption, "x"))
    assert not np.array_equal(noisy, corrupted(grey, corruption, "y"))
    inside = (noisy > 0) & (noisy < top)
    share = NOISE_SHARE[severity - 1]
    if share < 0.2:  # above, many draws are cut off at black and white
        assert np.std(noisy[inside] / top) == pytest.approx(share, rel=0.06)


def test_contrast_shrinks_around_the_mean() -> None:
    pixels = image(32, 3)
    flat = corrupted(pixels, Corruption("contrast", 3), "x").astype(float)
    mean = pixels.mean(axis=(0, 1))
    assert np.abs(flat - (mean + 0.2 * (pixels - mean))).max() <= 0.51
    assert np.allclose(flat.mean(axis=(0, 1)), mean, atol=0.6)


def test_resolution_leaves_blocks_of_their_mean() -> None:
    pixels = image(32, 1)
    coarse = coarsened(pixels, RESOLUTION_SHARE[4])  # a quarter of each side
    blocks = pixels.reshape(8, 4, 8, 4).mean(axis=(1, 3))
    # rounded once along each side
    assert np.abs(coarse[:, :, 0] - np.kron(blocks, np.ones((4, 4)))).max() <= 1.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [np.uint8, np.uint16])
def test_more_severe_is_farther_from_the_image(kind: Kind, bits: type) -> None:
    pixels = image(64, 1, bits)
    data = encode_png(pixels[:, :, 0])

    def made(severity: int) -> np.ndarray:
        return CorruptedRecipe(64, "bilinear", LIMIT, corruption=Corruption(kind, severity)).make(
            data
        )

    results = [made(severity) for severity in (1, 3, 5)]
    errors = [error(result, pixels) for result in results]
    assert 0 < errors[0] < errors[1] < errors[2]
    assert all(r.shape == pixels.shape and r.dtype == pixels.dtype for r in results)
    assert np.array_equal(results[0], made(1))


def test_jpeg_acts_at_the_size_of_the_image_and_noise_at_that_of_the_network() -> None:
    large = image(256, 1)
    data = encode_png(large[:, :, 0])
    clean = PixelRecipe(32, "bilinear", LIMIT).make(data)

    def loss(kind: Kind) -> float:
        recipe = CorruptedRecipe(32, "bilinear", LIMIT, corruption=Corruption(kind, 1))
        return error(recipe.make(data), clean)

    small = jpeg_coded(clean[:, :, 0], JPEG_QUALITY[0])[:, :, None]
    assert loss("jpeg") < 0.5 * error(small, clean)  # resizing mends most of it
    assert loss("noise") > 0.5 * NOISE_SHARE[0] * 255  # and none of the noise


def test_caches_are_apart() -> None:
    plain = PixelRecipe(32, "bilinear", LIMIT)
    names = named_corruptions(["blur", "jpeg@2"])
    recipes = [CorruptedRecipe(32, "bilinear", LIMIT, corruption=each) for each in names]
    assert len({recipe.folder(Path()) for recipe in (plain, *recipes)}) == 5
    assert "corruption" not in plain.metadata()
    with pytest.raises(ConfigError, match="corruption 'fog@1' is unknown"):
        named_corruptions(["fog"])
