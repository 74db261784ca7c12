"""Height and width of images at which networks take them, in pixels."""

ImageSize = int | tuple[int, int]
"""Side of a square, or height and width, in pixels. A square is always the one number: keys and
run ids hold sizes as they are written here."""


def image_size(height: int, width: int) -> ImageSize:
    """The size of a height and a width."""
    return height if height == width else (height, width)


def height_width(size: ImageSize) -> tuple[int, int]:
    """Height and width of a size."""
    return (size, size) if isinstance(size, int) else size


def pixel_count(size: ImageSize) -> int:
    """Pixels of an image of a size."""
    height, width = height_width(size)
    return height * width


def size_words(size: ImageSize) -> str:
    """A size for a reader: ``224 px``, ``1152 × 896 px`` (height first)."""
    return f"{size if isinstance(size, int) else sides_words(size)} px"


def sides_words(size: ImageSize) -> str:
    """Height and width of a size, also of a square: ``224 × 224``."""
    height, width = height_width(size)
    return f"{height} × {width}"


def size_name(size: ImageSize) -> str:
    """A size within a name: ``224``, ``1152x896``."""
    return str(size) if isinstance(size, int) else f"{size[0]}x{size[1]}"
