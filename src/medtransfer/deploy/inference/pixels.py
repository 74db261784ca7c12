"""From a file's bytes to pixels at a network's size, by the rules of a bundle."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from medtransfer.data.images.decode import inspect, is_dicom
from medtransfer.data.images.pictures import Pixels
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.data.images.region import FramedPixels
from medtransfer.data.images.shards import Codec, PixelFormat
from medtransfer.deploy.bundle.schema import InputFacts
from medtransfer.deploy.inference.sources import ImageRequest
from medtransfer.errors import ImageError, listed

RADIOGRAPHY = frozenset({"CR", "DX", "RG"})
"""Modalities of a plain film; a network that was trained on one takes the others."""
THREADS = 4
WAITING_IMAGES = 64
"""Images that are decoded ahead: what bounds the memory."""


@dataclass(frozen=True)
class InputRules:
    """Rules by which a bundle reads images.

    Attributes:
        recipe: Decoding and resizing, as in the study.
        modalities: Modalities that a DICOM header may name; empty for any.
    """

    recipe: PixelRecipe
    modalities: frozenset[str]

    @classmethod
    def of(cls, facts: InputFacts, *, any_modality: bool = False) -> "InputRules":
        """Rules of a bundle's facts.

        Args:
            facts: Of the bundle.
            any_modality: True if files of other modalities are not refused.
        """
        codec = Codec(facts.coding, facts.quality)
        recipe = PixelRecipe(
            facts.crop, facts.interpolation, facts.pixel_limit, codec, facts.framing
        )
        named = frozenset(facts.modalities)
        allowed = named | RADIOGRAPHY if named & RADIOGRAPHY else named
        return cls(recipe, frozenset() if any_modality else allowed)

    def pixels(self, source: bytes | Pixels, frame: int | None) -> Pixels:
        """Pixels of an image as `read` gives them; arguments and errors are its own."""
        return self.read(source, frame).pixels

    def read(self, source: bytes | Pixels, frame: int | None) -> FramedPixels:
        """Pixels of an image at the network's size, as the study's cache held them.

        Args:
            source: A file's content, or pixels.
            frame: Number of the frame in a file with several.

        Returns:
            [height, width, 1 or 3], uint8 or uint16.

        Raises:
            ImageError: It cannot be read, or is of another modality. The message is a reason.
        """
        if isinstance(source, np.ndarray):
            region = self.recipe.framing.apply(source)
        else:
            self._check_modality(source, frame)
            region = self.recipe.framed(source, frame)
        pixels = self.recipe.sized(region.pixels)
        if self.recipe.codec.coding != "jpeg":
            return FramedPixels(pixels, region.found)
        if pixels.dtype == np.uint16:
            raise ImageError("has 16 bits, and the bundle's study kept its images as JPEG")
        kind = PixelFormat(self.recipe.size, pixels.shape[2], 8)
        decoded = self.recipe.codec.decode(self.recipe.codec.encode(pixels), kind)
        return FramedPixels(decoded, region.found)

    def _check_modality(self, data: bytes, frame: int | None) -> None:
        if not self.modalities or not is_dicom(data):
            return
        modality = inspect(data, self.recipe.pixel_limit, frame).modality
        if modality and modality not in self.modalities:
            raise ImageError(
                f"is of modality {modality} (the bundle was trained on "
                f"{listed(sorted(self.modalities))})"
            )


def decode_images(
    requests: Iterator[ImageRequest], rules: InputRules
) -> Iterator[tuple[ImageRequest, FramedPixels | ImageError]]:
    """Pixels of images, or the reason why there are none, in order, several at a time."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[tuple[ImageRequest, Future[FramedPixels | ImageError]]] = deque()
        for request in requests:
            waiting.append((request, pool.submit(_attempt, request, rules)))
            if len(waiting) > WAITING_IMAGES:
                first, future = waiting.popleft()
                yield first, future.result()
        for request, future in waiting:
            yield request, future.result()


def _attempt(request: ImageRequest, rules: InputRules) -> FramedPixels | ImageError:
    try:
        return rules.read(request.read(), request.frame)
    except ImageError as error:
        return error
