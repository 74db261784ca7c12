"""Each change against another implementation; what is drawn is each image's own."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage
from tests.strategies import FEW

from medtransfer.data import augment as a
from medtransfer.data.config import AugmentConfig
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.transforms import training_images
from medtransfer.seeds import text_keys

CPU = torch.device("cpu")
KEYS = text_keys([f"image-{i}" for i in range(2000)])
EVERY = {
    "rotate": 20,
    "scale": 0.2,
    "translate": 0.1,
    "equalise": 0.5,
    "brightness": 0.3,
    "contrast": 0.3,
    "gamma": 0.4,
    "blur": 1.5,
    "noise": 0.1,
    "erase": 0.2,
}
PARTS: dict[str, object] = {**EVERY, "crop_area": 0.4}


def picture(channels: int = 3, height: int = 33, width: int = 33, seed: int = 0) -> torch.Tensor:
    """Smooth pixels with some noise, 0 to 1. [C, H, W]"""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.random((channels, height, width)), (0, 4, 4))
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    noisy = 0.8 * smooth + 0.2 * rng.random(smooth.shape)
    return torch.as_tensor(noisy.astype(np.float32))


def stored(count: int, channels: int = 3, wide: bool = False) -> list[NDArray[np.uint8]]:
    top, kind = (65536, np.uint16) if wide else (256, np.uint8)
    rng = np.random.default_rng(1)
    return list(rng.integers(0, top, (count, 24, 24, channels), dtype=kind))


def spec(resize: int = 24, crop: int = 20) -> InputSpec:
    return InputSpec(resize, crop, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "bilinear")


def seen(
    pictures: list[NDArray[np.uint8]], names: list[int], epochs: list[int], **asked: object
) -> torch.Tensor:
    augmentation = a.Augmentation(3, "both", AugmentConfig.model_validate(asked))
    chosen = [pictures[i] for i in names]
    return training_images(chosen, np.array(epochs), KEYS[names], augmentation, spec(), CPU)


@pytest.mark.parametrize("wide", [False, True], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("asked", [EVERY, PARTS], ids=["crops", "parts"])
def test_an_image_is_changed_alike_in_whatever_batch_it_is(
    asked: dict[str, object], channels: int, wide: bool
) -> None:
    pictures = stored(8, channels, wide)
    names, epochs = list(range(8)), [i % 3 for i in range(8)]
    whole = seen(pictures, names, epochs, **asked)
    backwards = seen(pictures, names[::-1], epochs[::-1], **asked)
    assert whole.shape == (8, 3, 20, 20)
    assert torch.equal(whole, backwards.flip(0))
    for i in names:
        assert torch.equal(whole[[i]], seen(pictures, [i], [epochs[i]], **asked))


@FEW
@given(
    st.fixed_dictionaries(
        {name: st.floats(0, float(most)) for name, most in EVERY.items()},
        optional={"crop_area": st.floats(0.01, 1)},
    ),
    st.integers(0, 2**40),
)
def test_pixels_stay_between_0_and_1(asked: dict[str, float], seed: int) -> None:
    augmentation = a.Augmentation(seed, "both", AugmentConfig.model_validate(asked))
    epochs = np.arange(6)
    images = training_images(stored(6, 1), epochs, KEYS[:6], augmentation, spec(), CPU)
    assert images.shape == (6, 3, 20, 20)
    assert torch.isfinite(images).all()
    assert images.min() >= 0
    assert images.max() <= 1


def test_no_strength_leaves_every_bit() -> None:
    nothing = AugmentConfig()
    assert not nothing.changes_images
    assert not AugmentConfig(cutmix=1).changes_images
    images = torch.stack([picture(seed=i) for i in range(5)])
    changes = a.draw_changes(0, np.zeros(5, np.int64), KEYS[:5], nothing)
    assert torch.equal(a.change_images(images, changes), images)


@pytest.mark.parametrize("name", EVERY)
def test_each_change_alone_changes_images_and_the_more_the_stronger(name: str) -> None:
    images = torch.stack([picture(seed=i) for i in range(12)])

    def moved(strength: float) -> float:
        asked = AugmentConfig.model_validate({name: strength})
        changes = a.draw_changes(0, np.arange(12), KEYS[:12], asked)
        return float((a.change_images(images, changes) - images).abs().mean())

    strong = float(EVERY[name])
    assert moved(strong) > moved(strong / 4) >= 0
    assert moved(strong) > 0.001


def test_images_of_a_batch_share_no_parameter() -> None:
    asked = AugmentConfig.model_validate(EVERY)
    changes = a.draw_changes(0, np.zeros(2000, np.int64), KEYS, asked)
    later = a.draw_changes(0, np.ones(2000, np.int64), KEYS, asked)
    other = a.draw_changes(1, np.zeros(2000, np.int64), KEYS, asked)
    for name in (
        "angle",
        "scale",
        "brightness",
        "contrast",
        "gamma",
        "blur",
        "noise",
        "noise_seed",
    ):
        own = getattr(changes, name)
        assert len(np.unique(own)) == 2000, name
        for again in (later, other):
            assert abs(np.corrcoef(own, getattr(again, name))[0, 1]) < 0.1, name
    drawn = [
        changes.angle,
        changes.scale,
        *changes.shift.T,
        changes.brightness,
        changes.contrast,
        changes.gamma,
        changes.blur,
        changes.noise,
        changes.noise_seed,
    ]
    between = np.corrcoef(drawn) - np.eye(len(drawn))
    assert np.abs(between).max() < 0.1  # operations do not share draws either


def test_draws_keep_their_ranges() -> None:
    asked = AugmentConfig.model_validate(EVERY)
    changes = a.draw_changes(0, np.zeros(2000, np.int64), KEYS, asked)
    assert 19 < np.abs(changes.angle).max() <= 20
    assert np.ptp(np.log(changes.scale)) == pytest.approx(2 * np.log(1.2), rel=0.02)
    assert 0.09 < np.abs(changes.shift).max() <= 0.1
    assert changes.equalised.mean() == pytest.approx(0.5, abs=0.05)
    assert (changes.brightness.min() >= 0.7) & (changes.brightness.max() <= 1.3)
    areas = changes.erased[:, 2] * changes.erased[:, 3]
    assert (areas > 0).mean() == pytest.approx(0.5, abs=0.05)
    assert areas.max() <= 0.2 + 1e-9
    assert areas[areas > 0].min() >= a.SMALLEST_ERASED - 1e-9
    assert (changes.erased[:, :2] + changes.erased[:, 2:]).max() <= 1 + 1e-9


@pytest.mark.parametrize("least", [0.05, 0.5, 1.0])
def test_parts_lie_inside_and_have_their_area_and_shape(least: float) -> None:
    parts = a.draw_parts(0, np.zeros(2000, np.int64), KEYS, least)
    areas = parts[:, 2] * parts[:, 3]
    assert (parts >= 0).all()
    assert (parts[:, :2] + parts[:, 2:]).max() <= 1 + 1e-9
    # the longest parts do not fit at the widest shape, and are cut at the edge
    assert areas.max() <= 1 + 1e-9
    assert areas.min() >= least * 0.74
    shape = parts[:, 3] / parts[:, 2]
    assert 3 / 4 - 1e-9 <= shape.min() <= shape.max() <= 4 / 3 + 1e-9 or least > 0.5


@pytest.mark.parametrize(
    ("angle", "scale", "shift"),
    [
        (0, 1, (0.1, -0.2)),
        (30, 1, (0, 0)),
        (-75, 1, (0, 0)),
        (0, 1.3, (0, 0)),
        (0, 0.8, (0, 0)),
        (12, 1.1, (0.05, 0.1)),
    ],
)
def test_warping_is_that_of_scipy(angle: float, scale: float, shift: tuple[float, float]) -> None:
    image = picture(1, 41, 41)
    found = a.warp(image, angle, scale, shift)[0].numpy()
    turn = np.deg2rad(angle)  # counter-clockwise, as a reader sees it: rows run down
    inverse = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / scale
    centre = np.array([20.0, 20.0])
    move = np.array([shift[1], shift[0]]) * 41
    expected = ndimage.affine_transform(
        image[0].numpy().astype(float),
        inverse,
        offset=centre - inverse @ (centre + move),
        order=1,
        mode="grid-constant",
    )
    np.testing.assert_allclose(found[2:-2, 2:-2], expected[2:-2, 2:-2], atol=2e-4)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_quarter_turns_are_counter_clockwise(quarter: int) -> None:
    image = picture(3, 32, 32)
    turned = torch.rot90(image, quarter, (1, 2))
    torch.testing.assert_close(a.warp(image, 90 * quarter, 1, (0, 0)), turned, atol=1e-4, rtol=0)


def test_nothing_to_warp_is_no_change() -> None:
    image = picture(3, 30, 21)
    torch.testing.assert_close(a.warp(image, 0, 1, (0, 0)), image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_equalising_is_that_of_pillow(channels: int) -> None:
    image = (picture(channels, 40, 30) * 0.4 + 0.3) ** 2
    levels = (image * 255).round().to(torch.uint8)
    plain = levels.permute(1, 2, 0).numpy()
    pillow = np.asarray(
        ImageOps.equalize(Image.fromarray(plain[:, :, 0] if channels == 1 else plain))
    )
    found = (a.equalise(image) * 255).round().permute(1, 2, 0).numpy()
    assert np.abs(found.reshape(pillow.shape) - pillow).max() <= 1
    assert np.ptp(found) > 1.5 * np.ptp(plain)


@FEW
@given(st.floats(0.2, 2), st.sampled_from([1, 3]))
def test_brightness_contrast_and_gamma_are_their_formulas(factor: float, channels: int) -> None:
    image = picture(channels)
    plain = image.numpy().astype(float)
    np.testing.assert_allclose(a.brighten(image, factor), np.clip(plain * factor, 0, 1), atol=1e-6)
    np.testing.assert_allclose(a.change_gamma(image, factor), plain**factor, atol=1e-5)
    weights = np.array([0.2989, 0.587, 0.114]) if channels == 3 else np.ones(1)
    mean = np.tensordot(weights, plain, 1).mean()
    expected = np.clip(mean + factor * (plain - mean), 0, 1)
    np.testing.assert_allclose(a.change_contrast(image, factor), expected, atol=1e-4)


@pytest.mark.parametrize("deviation", [0.4, 1.0, 2.7])
def test_blurring_is_that_of_scipy(deviation: float) -> None:
    image = picture(2 + 1)
    reach = int(np.ceil(3 * deviation))
    expected = ndimage.gaussian_filter(
        image.numpy().astype(float),
        (0, deviation, deviation),
        mode="mirror",
        truncate=(reach + 0.01) / deviation,
    )
    np.testing.assert_allclose(a.blur(image, deviation), expected, atol=1e-5)


def test_blurring_needs_no_large_image() -> None:
    assert a.blur(picture(1, 4, 4), 5.0).shape == (1, 4, 4)
    dot = torch.full((1, 1, 1), 0.3)
    assert torch.equal(a.blur(dot, 5.0), dot)


def test_noise_is_gaussian_of_its_deviation_and_of_its_seed() -> None:
    grey = torch.full((3, 200, 200), 0.5)
    noise = (a.add_noise(grey, 0.05, 7) - grey).numpy()
    assert noise.std() == pytest.approx(0.05, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.001)
    assert abs((noise**3).mean() / 0.05**3) < 0.05
    assert abs(np.corrcoef(noise.reshape(3, -1)) - np.eye(3)).max() < 0.02
    assert torch.equal(a.add_noise(grey, 0.05, 7), a.add_noise(grey, 0.05, 7))
    assert not torch.equal(a.add_noise(grey, 0.05, 7), a.add_noise(grey, 0.05, 8))


@FEW
@given(st.tuples(*[st.floats(0, 0.5)] * 4))
def test_what_is_erased_is_black_and_the_rest_is_left(part: tuple[float, ...]) -> None:
    image = picture(3, 30, 20) * 0.9 + 0.05
    before = image.clone()
    found = a.erase(image, part).numpy()
    rows = [round(part[0] * 30), round((part[0] + part[2]) * 30)]
    columns = [round(part[1] * 20), round((part[1] + part[3]) * 20)]
    expected = before.numpy().copy()
    expected[:, rows[0] : rows[1], columns[0] : columns[1]] = 0
    assert np.array_equal(found, expected)
    assert torch.equal(image, before)


def test_a_part_is_resized_as_pillow_does() -> None:
    image = picture(1, 64, 64)
    found = a.cut_part(image, (0.25, 0.125, 0.5, 0.75), 20)[0].numpy()
    cut = Image.fromarray(image[0, 16:48, 8:56].numpy())
    expected = np.asarray(cut.resize((20, 20), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_parts_are_flipped_as_often_as_crops() -> None:
    ramp = np.tile(np.arange(24, dtype=np.uint8), (24, 1))[:, :, None]
    names = list(range(400))
    asked = a.Augmentation(0, "horizontal", AugmentConfig(crop_area=0.9))
    images = training_images([ramp] * 400, np.zeros(400, np.int64), KEYS[names], asked, spec(), CPU)
    mirrored = images[:, 0, 0, 0] > images[:, 0, 0, -1]
    assert mirrored.float().mean() == pytest.approx(0.5, abs=0.1)
