"""Corruptions: test images made worse on purpose, at five severities.

Kinds and severities are those of ImageNet-C (Hendrycks and Dietterich 2019). JPEG is coded at the
image's own size, since that is where an archive compresses. The other four act on the image at the
network's size and in its pixels, as in ImageNet-C: so a severity means the same for a photograph of
300 pixels and a film of 3,000, which resizing would otherwise mend.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, cast, get_args

import numpy as np
from pydantic import AfterValidator
from scipy.ndimage import gaussian_filter

from medtransfer.data.images.decode import decode
from medtransfer.data.images.pictures import Pixels, decode_image, encode_jpeg, resample_image
from medtransfer.data.images.pixel_recipe import PixelRecipe, RecipeFacts
from medtransfer.errors import ConfigError, suggestion
from medtransfer.seeds import generator

Kind = Literal["jpeg", "blur", "noise", "contrast", "resolution"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NAME = re.compile(rf"(?P<kind>{'|'.join(KINDS)})(@(?P<severity>[1-5]))?")


def _known(name: str) -> str:
    if NAME.fullmatch(name) is None:
        near = suggestion(name.partition("@")[0], KINDS)
        raise ValueError(
            f"no corruption is called '{name}' (allowed: {', '.join(KINDS)}, each also at one "
            f"severity from 1 to 5, as blur@3). {near}".rstrip()
        )
    return name


CorruptionName = Annotated[str, AfterValidator(_known)]
"""A kind, or a kind at one severity: ``blur``, ``blur@3``."""
SEVERITIES = (1, 3, 5)
"""Severities that a kind alone stands for."""
JPEG_QUALITY = (25, 18, 15, 10, 7)
BLUR_PIXELS = (1.0, 2.0, 3.0, 4.0, 6.0)
"""Standard deviation of the Gaussian, in pixels of the network's input."""
NOISE_SHARE = (0.08, 0.12, 0.18, 0.26, 0.38)
"""Standard deviation, as a share of the range from black to white."""
CONTRAST_SHARE = (0.4, 0.3, 0.2, 0.1, 0.05)
"""Share of the contrast that is left."""
RESOLUTION_SHARE = (0.6, 0.5, 0.4, 0.3, 0.25)
"""Share of the pixels of a side that is left."""
FORMAT = 1
"""Part of every digest; raised when the same corruption gives other pixels."""


@dataclass(frozen=True, order=True)
class Corruption:
    """A kind of corruption at one severity.

    Attributes:
        kind: What is done to the image.
        severity: 1 (least) to 5.
    """

    kind: Kind
    severity: int

    @property
    def name(self) -> str:
        """Kind and severity, as ``blur@3``."""
        return f"{self.kind}@{self.severity}"

    @staticmethod
    def of(name: str) -> "Corruption":
        """The corruption of a name with a severity.

        Raises:
            ConfigError: It is no such name.
        """
        match = NAME.fullmatch(name)
        if match is None or match["severity"] is None:
            raise ConfigError(
                f"corruption '{name}' is unknown (allowed: {', '.join(KINDS)}, each with @1 to @5)"
            )
        return Corruption(cast("Kind", match["kind"]), int(match["severity"]))


def named_corruptions(names: Iterable[str]) -> tuple[Corruption, ...]:
    """Corruptions that a study names, each once; a kind alone stands for `SEVERITIES`.

    Raises:
        ConfigError: A name is unknown.
    """
    corruptions: dict[Corruption, None] = {}
    for name in names:
        plain = "@" not in name
        for severity in SEVERITIES if plain else (0,):
            corruptions[Corruption.of(f"{name}@{severity}" if plain else name)] = None
    return tuple(corruptions)


@dataclass(frozen=True)
class CorruptedRecipe(PixelRecipe):
    """Recipe of corrupted images.

    Attributes:
        corruption: Which; None leaves them as they are.
    """

    corruption: Corruption | None = None

    def metadata(self) -> RecipeFacts:
        """Everything that turns a decoded image into pixels."""
        name = "" if self.corruption is None else f"{self.corruption.name}, {FORMAT}"
        return {**super().metadata(), "corruption": name}

    def decode(self, data: bytes, frame: int | None = None) -> Pixels:
        """Decode an image, and code it as JPEG where that is the corruption."""
        pixels = decode(data, self.pixel_limit, frame)
        if self.corruption is None or self.corruption.kind != "jpeg":
            return pixels
        return jpeg_coded(pixels, JPEG_QUALITY[self.corruption.severity - 1])

    def finished(self, region: Pixels, data: bytes, frame: int | None) -> Pixels:
        """Resize and corrupt one image; its noise is drawn from its file and frame."""
        pixels = super().finished(region, data, frame)
        if self.corruption is None or self.corruption.kind == "jpeg":
            return pixels
        return corrupted(pixels, self.corruption, f"{hashlib.sha256(data).hexdigest()} {frame}")


def corrupted(pixels: Pixels, corruption: Corruption, name: str) -> Pixels:
    """An image of the network's size with a corruption other than JPEG.

    Args:
        pixels: uint8 or uint16. [H, W, C]
        corruption: Kind and severity.
        name: Of the image; gives the noise.
    """
    level = corruption.severity - 1
    values = pixels.astype(np.float32)
    highest = float(np.iinfo(pixels.dtype).max)
    match corruption.kind:
        case "blur":
            sigma = BLUR_PIXELS[level]
            values = gaussian_filter(values, (sigma, sigma, 0), mode="nearest")
        case "noise":
            draws = generator(0, "corruption", corruption.name, name)
            noise = draws.standard_normal(values.shape, dtype=np.float32)
            values = values + noise * np.float32(NOISE_SHARE[level] * highest)
        case "contrast":
            mean = values.mean(axis=(0, 1), keepdims=True)
            values = (values - mean) * np.float32(CONTRAST_SHARE[level]) + mean
        case "resolution":
            return coarsened(pixels, RESOLUTION_SHARE[level])
        case "jpeg":
            return pixels
    return np.clip(np.rint(values), 0, highest).astype(pixels.dtype)


def coarsened(pixels: Pixels, share: float) -> Pixels:
    """The image at a share of its pixels a side, enlarged again. [H, W, C]"""
    height, width = pixels.shape[:2]
    small = max(1, int(height * share)), max(1, int(width * share))
    planes = [
        resample_image(resample_image(plane, small, "box"), (height, width), "box")
        for plane in np.moveaxis(pixels, -1, 0)
    ]
    return np.stack(planes, axis=-1)


def jpeg_coded(pixels: Pixels, quality: int) -> Pixels:
    """The image after JPEG of some quality; 16 bits are coded as 8, over the range in use.

    Args:
        pixels: uint8 or uint16. [H, W] or [H, W, 3]
        quality: Of Pillow, 1 to 95.
    """
    if pixels.dtype == np.uint8:
        return decode_image(encode_jpeg(pixels, quality), pixels.size)
    low, high = float(pixels.min()), float(pixels.max())
    span = max(high - low, 1.0)
    coarse = np.rint((pixels - low) * (255 / span)).astype(np.uint8)
    decoded = decode_image(encode_jpeg(coarse, quality), pixels.size)
    return np.rint(decoded * (span / 255) + low).astype(np.uint16)
