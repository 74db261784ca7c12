"""Pictograms: a hundred dots, of which some are marked."""

from markupsafe import Markup

SIDE, STEP = 10, 11


def of_hundred(marked: float, words: str) -> Markup:
    """A hundred dots in ten rows, the marked ones filled.

    Args:
        marked: Number of marked dots; it is rounded.
        words: The same in words, for readers of the alternative text.
    """
    count = min(100, max(0, round(marked)))
    dots = Markup().join(
        Markup('<circle cx="{}" cy="{}" r="4"{}/>').format(
            STEP * (place % SIDE) + 6,
            STEP * (place // SIDE) + 6,
            Markup(' class="on"') if place < count else Markup(),
        )
        for place in range(100)
    )
    size = SIDE * STEP + 2
    return Markup(
        '<svg class="hundred" role="img" viewBox="0 0 {s} {s}" width="{s}" height="{s}">'
        "<title>{words}</title>{dots}</svg>"
    ).format(s=size, words=words, dots=dots)
