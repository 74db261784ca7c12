"""The documented steps from a file to a network's input, by a program that shares no code."""

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.data.images.dicom.files import dicom, picture
from tests.data.images.mammograms import Film, drawn_mammogram
from tests.deploy import handmade
from tests.deploy.exchange import by_hand

from medtransfer.data.images.region import Framing
from medtransfer.deploy.bundle.reader import facts_text
from medtransfer.deploy.bundle.schema import InputFacts
from medtransfer.deploy.inference.onnx_network import network_input
from medtransfer.deploy.inference.pixels import InputRules

ROWS, COLUMNS = 41, 67


def waves(channels: int, top: int = 255) -> Any:
    """Smooth shades with noise: what is sharp shows an offset, what is smooth a wrong filter."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    rng = np.random.default_rng(0)
    shades = np.sin(x / 7)[:, :, None] * np.cos(y / 5)[:, :, None] + rng.normal(0, 0.3, (1, 1, 4))
    shades = shades + rng.normal(0, 0.2, (ROWS, COLUMNS, 4))
    pixels = np.clip((shades + 2) / 4, 0, 1) * top
    return np.rint(pixels[:, :, 0] if channels == 1 else pixels[:, :, :channels])


def encoded(pixels: Any, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, kind, **options)
    return file.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(waves(3).astype(np.uint8), "JPEG", exif=exif)


def film(photometric: str) -> bytes:
    stored = waves(1, top=4095).astype(np.uint16)
    window = {"WindowCenter": "900", "WindowWidth": "1500"}
    scale = {"RescaleSlope": "0.5", "RescaleIntercept": "-100"}
    return dicom(picture(stored, 12, PhotometricInterpretation=photometric, **window, **scale))


FILES = {
    "grey": lambda: encoded(waves(1).astype(np.uint8), "PNG"),
    "16 bits": lambda: encoded(waves(1, top=65535).astype(np.uint16), "PNG"),
    "colour": lambda: encoded(waves(3).astype(np.uint8), "PNG"),
    "transparent": lambda: encoded(waves(4).astype(np.uint8), "PNG"),
    "palette": lambda: encoded(Image.fromarray(waves(3).astype(np.uint8)).quantize(40), "PNG"),
    "turned JPEG": turned,
    "MONOCHROME1": lambda: film("MONOCHROME1"),
    "MONOCHROME2": lambda: film("MONOCHROME2"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("crop", [32, 50, (50, 32)])
def test_the_documented_steps_give_the_same_input(name: str, interpolation: Any, crop: Any) -> None:
    """50 is between the sides of the images: one is made smaller, one larger."""
    agree(FILES[name](), replace(handmade.facts().input, crop=crop, interpolation=interpolation))


@pytest.mark.parametrize(
    ("kind", "wall"),
    [
        ("grey", "either"),
        ("grey", "left"),
        ("grey", "right"),
        ("16 bits", "left"),
        ("colour", "left"),
    ],
)
def test_the_documented_region_is_the_one_that_is_cut_out(kind: str, wall: Any) -> None:
    film, _ = drawn_mammogram(Film(height=147, width=118, wall="right", seed=3))
    wide = np.rint(film.astype(float) * 257).astype(np.uint16)
    content = {
        "grey": lambda: encoded(film, "PNG"),
        "16 bits": lambda: encoded(wide, "PNG"),
        "colour": lambda: encoded(np.stack([film, film // 2, film], axis=2), "PNG"),
    }[kind]()
    framing = Framing("breast", wall)
    agree(content, replace(handmade.facts().input, crop=(60, 40), framing=framing))


def test_blocks_of_a_large_image_are_as_documented() -> None:
    film, _ = drawn_mammogram(Film(height=530, width=391, wall="left", seed=1))  # 2 px a block
    framing = Framing("breast", "right")
    agree(encoded(film, "PNG"), replace(handmade.facts().input, crop=32, framing=framing))


def test_an_image_without_a_breast_is_whole_for_both() -> None:
    framing = Framing("breast", "left")
    flat = encoded(np.full((40, 30), 7, np.uint8), "PNG")
    agree(flat, replace(handmade.facts().input, crop=32, framing=framing))


def test_a_study_that_kept_its_images_as_jpeg_is_repeated() -> None:
    given = replace(handmade.facts().input, crop=32, coding="jpeg", quality=90)
    agree(FILES["colour"](), given, grey_values=4)
    agree(FILES["grey"](), given, grey_values=4)


def agree(content: bytes, facts: InputFacts, grey_values: int = 1) -> None:
    """A pixel that is rounded another way can move a JPEG's block by some grey values."""
    facts = replace(facts, mean=(0.48, 0.45, 0.4), std=(0.2, 0.22, 0.25))
    whole = json.loads(facts_text(replace(handmade.facts(), input=facts)))
    ours = network_input(InputRules.of(facts).pixels(content, None), facts)
    theirs = by_hand.network_input(content, whole["input"])
    assert ours.shape == theirs.shape
    difference = (ours - theirs) * np.array(facts.std)[:, None, None]
    assert np.abs(difference).max() < grey_values / 255 + 1e-6
    assert abs(difference.mean()) < 0.05 / 255
