"""The breast is found on drawn and on real films, whatever lies beside it."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.images.mammograms import Film, drawn_mammogram
from tests.strategies import FEW

from medtransfer.data.images.decode import decode
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.data.images.region import Framing, find_breast, otsu_level

LIMIT = 10**8
LEFT = Framing("breast", "left")


films = st.builds(
    Film,
    height=st.integers(150, 220),
    width=st.integers(130, 180),
    wall=st.sampled_from(["left", "right"]),
    reach=st.floats(0.35, 0.7),
    text=st.booleans(),
    edge=st.booleans(),
    seed=st.integers(0, 1000),
)


@FEW
@given(films)
def test_the_box_is_that_of_the_breast_and_not_of_text_or_edges_beside_it(film: Film) -> None:
    """The skin fades to 30 of 255 at its rim, of which a 25th of the side may be lost."""
    pixels, (top, bottom, left, right) = drawn_mammogram(film)
    found = find_breast(pixels)
    assert found is not None
    assert found.chest_wall == film.wall
    allowed = max(film.height, film.width) // 25
    for ours, true in (
        (found.top, top),
        (found.bottom, bottom),
        (found.left, left),
        (found.right, right),
    ):
        assert abs(ours - true) <= allowed


@FEW
@given(films)
def test_a_mirrored_film_has_the_mirrored_box(film: Film) -> None:
    pixels, _ = drawn_mammogram(film)
    found, mirrored = find_breast(pixels), find_breast(pixels[:, ::-1])
    assert found is not None
    assert mirrored is not None
    assert (found.top, found.bottom) == (mirrored.top, mirrored.bottom)
    assert (found.left, found.right) == (film.width - mirrored.right, film.width - mirrored.left)
    assert {found.chest_wall, mirrored.chest_wall} == {"left", "right"}


def test_bits_and_colours_change_nothing() -> None:
    pixels, _ = drawn_mammogram(Film())
    found = find_breast(pixels)
    assert find_breast(pixels.astype(np.uint16) * np.uint16(257)) == found
    assert find_breast(np.stack([pixels] * 3, axis=2)) == found


def test_a_large_film_has_the_box_of_the_same_film_made_small() -> None:
    pixels, _ = drawn_mammogram(Film())
    large = np.kron(pixels, np.ones((8, 8), dtype=np.uint8))  # 1920 × 1520 px, 4 px a block
    small, found = find_breast(pixels), find_breast(large)
    assert small is not None
    assert found is not None
    ends = np.array([small.top, small.bottom, small.left, small.right]) * 8
    assert np.abs(ends - [found.top, found.bottom, found.left, found.right]).max() <= 4 * 8
    assert found.chest_wall == small.chest_wall


@pytest.mark.parametrize(
    ("pixels", "why"),
    [
        (np.full((60, 40), 90, np.uint8), "one value"),
        (np.pad(np.full((6, 6), 200, np.uint8), 40), "too small"),
        (np.pad(np.full((80, 60), 200, np.uint8), ((0, 1), (0, 0))), "too large"),
        (np.eye(64, dtype=np.uint8) * np.uint8(255), "thin lines"),
        (np.zeros((1, 3000), np.uint8), "a strip"),
    ],
)
def test_an_image_without_a_clear_breast_is_left_whole(pixels: np.ndarray, why: str) -> None:
    assert find_breast(pixels) is None, why
    framed = LEFT.apply(pixels)
    assert framed.found == "whole"
    assert np.array_equal(framed.pixels, pixels)


def test_a_breast_without_a_side_is_cut_out_and_not_mirrored() -> None:
    pixels = np.zeros((100, 100), np.uint8)
    pixels[30:80, 20:70] = np.arange(100, 150, dtype=np.uint8)
    framed = Framing("breast", "right").apply(pixels)
    assert framed.found == "unclear"
    assert np.array_equal(framed.pixels, pixels[28:82, 18:72])


@pytest.mark.parametrize("stored", ["left", "right"])
@pytest.mark.parametrize("wanted", ["either", "left", "right"])
def test_chest_walls_are_brought_to_one_side(
    stored: Literal["left", "right"], wanted: Literal["either", "left", "right"]
) -> None:
    pixels, _ = drawn_mammogram(Film(wall=stored))
    framed = Framing("breast", wanted).apply(pixels)
    assert framed.found == stored  # what the file shows, for the audit
    again = find_breast(np.pad(framed.pixels, ((0, 30), (30, 30))))
    assert again is not None
    assert again.chest_wall == (stored if wanted == "either" else wanted)


def test_a_whole_image_is_left_as_it_is_and_its_key_too() -> None:
    pixels, _ = drawn_mammogram(Film())
    assert Framing().apply(pixels).pixels is pixels
    plain = PixelRecipe(32, "bilinear", LIMIT)
    assert "region" not in plain.metadata()
    keys = {
        PixelRecipe(32, "bilinear", LIMIT, framing=framing).folder(Path())
        for framing in (Framing(), Framing("breast"), LEFT, Framing("breast", "right"))
    }
    assert len(keys) == 4


@FEW
@given(st.lists(st.integers(0, 60), min_size=8, max_size=8).filter(lambda c: sum(map(bool, c)) > 1))
def test_otsus_level_parts_values_with_the_least_variance_within(counts: list[int]) -> None:
    """By the definition, from the values themselves."""
    values = np.repeat(np.arange(8), counts)

    def within(level: int) -> float:
        sides = values[values <= level], values[values > level]
        return sum(len(side) * float(np.var(side)) for side in sides if len(side))

    level = otsu_level(np.array(counts))
    allowed = [n for n in range(7) if 0 < (values <= n).sum() < len(values)]
    assert level in allowed
    assert within(level) == pytest.approx(min(map(within, allowed)), abs=1e-9)


@pytest.mark.slow
@pytest.mark.shared
def test_the_films_of_mias_keep_their_lesions_and_their_side(shared: Path) -> None:
    """258 films of 256 px, with labels, tape and bright edges; 90 lesions have a place."""
    table = pl.read_parquet(shared / "mammo_mias.parquet")
    walls = {"L": "left", "R": "right"}
    lesions = inside = whole = 0
    for data, laterality, places in table.select("image", "laterality", "lesions_json").iter_rows():
        found = find_breast(decode(data, LIMIT))
        assert found is not None
        assert found.chest_wall == walls[laterality]
        for lesion in json.loads(places):
            if lesion.get("x") is None:
                continue
            x, y = lesion["x"] / 4, 256 - lesion["y_from_bottom"] / 4
            lesions += 1
            inside += found.left <= x < found.right and found.top <= y < found.bottom
            r = lesion["radius"] / 4
            across = found.left <= x - r and x + r <= found.right
            whole += across and found.top <= y - r and y + r <= found.bottom
    assert (lesions, inside, whole) == (90, 90, 89)


@pytest.mark.slow
def test_the_boxes_of_three_hundred_drawn_films_differ_by_their_margin() -> None:
    """The margin is 2 % of the longer side; what docs/how-to/mammograms.md says of them."""
    draw = np.random.default_rng(0)
    errors: list[float] = []
    for number in range(300):
        film = Film(
            height=int(draw.integers(150, 221)),
            width=int(draw.integers(130, 181)),
            wall="right" if number % 2 else "left",
            reach=float(draw.uniform(0.35, 0.7)),
            text=number % 3 > 0,
            edge=number % 4 == 0,
            seed=number,
        )
        pixels, box = drawn_mammogram(film)
        found = find_breast(pixels)
        assert found is not None
        assert found.chest_wall == film.wall
        ends = np.array([found.top, found.bottom, found.left, found.right])
        errors.append(float(np.abs(ends - box).max()) / max(film.height, film.width))
    assert np.median(errors) < 0.018
    assert max(errors) < 0.024


@pytest.mark.slow
@pytest.mark.shared
def test_a_digitised_film_with_a_bright_edge_and_a_black_patch_is_cut(shared: Path) -> None:
    pixels = decode((shared / "dicom/mg_mammo_12bit_j2k_lossy.dcm").read_bytes(), LIMIT)
    found = find_breast(pixels)
    assert found is not None
    assert found.chest_wall == "left"
    assert (found.top, found.bottom, found.left) == (0, 4664, 0)
    assert 2050 < found.right < 2200  # the nipple lies at 2060 of 3064, the label at 2340
