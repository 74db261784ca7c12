"""Recipe of prepared images: all that turns a file into pixels of the network's size."""

from dataclasses import dataclass, field
from pathlib import Path

from medtransfer.data.images.decode import decode
from medtransfer.data.images.pictures import DECODER, Interpolation, Pixels, resize_image
from medtransfer.data.images.shards import Codec
from medtransfer.settings import digest

FORMAT = 1
"""Part of every recipe's key; raised when the same recipe gives other pixels."""


@dataclass(frozen=True)
class PixelRecipe:
    """Recipe by which the images of a cache are made.

    Attributes:
        size: Side of the square they are resized to.
        interpolation: The rung's.
        pixel_limit: Most pixels an image may claim.
        codec: Encoding of the cached images.
    """

    size: int
    interpolation: Interpolation
    pixel_limit: int
    codec: Codec = field(default_factory=Codec)

    def metadata(self) -> dict[str, str | int]:
        """Everything that turns a decoded image into pixels; the decoder differs by image."""
        return {
            "format": FORMAT,
            "size": self.size,
            "interpolation": self.interpolation,
            "resized_by": DECODER,
            "coding": self.codec.coding,
            "quality": self.codec.quality,
        }

    def decode(self, data: bytes, frame: int | None = None) -> Pixels:
        """Pixels of an image at its own size; arguments as for `make`."""
        return decode(data, self.pixel_limit, frame)

    def make(self, data: bytes, frame: int | None = None) -> Pixels:
        """Decode and resize one image.

        Args:
            data: The image's file.
            frame: Number of the frame in a file with several, from 1.

        Returns:
            [size, size, channels], uint8 or uint16.

        Raises:
            ImageError: It cannot be read.
        """
        pixels = resize_image(self.decode(data, frame), self.size, self.interpolation)
        return pixels[:, :, None] if pixels.ndim == 2 else pixels

    def folder(self, parent: Path) -> Path:
        """Folder that holds the images of this recipe."""
        return parent / f"{self.size}px-{digest(self.metadata())[:12]}"
