"""Sizes: a square is one number, whatever it is made of."""

from hypothesis import given
from hypothesis import strategies as st

from medtransfer.sizes.image_size import (
    height_width,
    image_size,
    pixel_count,
    sides_words,
    size_name,
    size_words,
)

sides = st.integers(8, 4096)


@given(sides, sides)
def test_height_and_width_are_kept_and_only_squares_are_one_number(height: int, width: int) -> None:
    size = image_size(height, width)
    assert height_width(size) == (height, width)
    assert pixel_count(size) == height * width
    assert isinstance(size, int) == (height == width)


def test_words_say_the_height_first() -> None:
    assert (size_words(224), sides_words(224), size_name(224)) == ("224 px", "224 × 224", "224")
    tall = image_size(1152, 896)
    assert size_words(tall) == "1152 × 896 px"
    assert (sides_words(tall), size_name(tall)) == ("1152 × 896", "1152x896")
