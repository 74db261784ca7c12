"""Recipe of prepared images: all that turns a file into pixels of the network's size."""

from dataclasses import dataclass, field
from pathlib import Path

from medtransfer.data.images.decode import decode
from medtransfer.data.images.pictures import DECODER, Interpolation, Pixels, resize_image
from medtransfer.data.images.region import FramedPixels, Framing
from medtransfer.data.images.shards import Codec
from medtransfer.settings import digest
from medtransfer.sizes.image_size import ImageSize, image_size, size_name

RecipeFacts = dict[str, str | int | list[int]]
"""Everything that turns a decoded image into pixels, as JSON."""
FORMAT = 1
"""Part of every recipe's key; raised when the same recipe gives other pixels."""


@dataclass(frozen=True)
class PixelRecipe:
    """Recipe by which the images of a cache are made.

    Attributes:
        size: That they are resized to.
        interpolation: The rung's.
        pixel_limit: Most pixels an image may claim.
        codec: Encoding of the cached images.
        framing: Region that is cut out before they are resized.
    """

    size: ImageSize
    interpolation: Interpolation
    pixel_limit: int
    codec: Codec = field(default_factory=Codec)
    framing: Framing = field(default_factory=Framing)

    def metadata(self) -> RecipeFacts:
        """Everything that turns a decoded image into pixels; the decoder differs by image."""
        return {
            "format": FORMAT,
            "size": self.size if isinstance(self.size, int) else list(self.size),
            "interpolation": self.interpolation,
            "resized_by": DECODER,
            "coding": self.codec.coding,
            "quality": self.codec.quality,
            **self.framing.metadata(),
        }

    def decode(self, data: bytes, frame: int | None = None) -> Pixels:
        """Pixels of an image at its own size; arguments as for `make`."""
        return decode(data, self.pixel_limit, frame)

    def framed(self, data: bytes, frame: int | None = None) -> FramedPixels:
        """Region of an image at its own size; arguments and errors as for `make`."""
        return self.framing.apply(self.decode(data, frame))

    def make(self, data: bytes, frame: int | None = None) -> Pixels:
        """Decode one image, cut out its region and resize it.

        Args:
            data: The image's file.
            frame: Number of the frame in a file with several, from 1.

        Returns:
            [height, width, channels], uint8 or uint16.

        Raises:
            ImageError: It cannot be read.
        """
        return self.finished(self.framed(data, frame).pixels, data, frame)

    def finished(self, region: Pixels, data: bytes, frame: int | None) -> Pixels:
        """Pixels at the recipe's size, from those of the region; the rest as for `make`."""
        del data, frame  # of recipes whose changes are drawn from the file
        return self.sized(region)

    def sized(self, pixels: Pixels) -> Pixels:
        """Resize a region, [H, W] or [H, W, 3], to [height, width, channels]."""
        resized = resize_image(pixels, self.size, self.interpolation)
        return resized[:, :, None] if resized.ndim == 2 else resized

    def folder(self, parent: Path) -> Path:
        """Folder that holds the images of this recipe."""
        return parent / f"{size_name(self.size)}px-{digest(self.metadata())[:12]}"


def recipe_size(facts: RecipeFacts) -> ImageSize:
    """The size in the facts of a recipe, as they were written."""
    size = facts["size"]
    return image_size(*map(int, size)) if isinstance(size, list) else int(size)
