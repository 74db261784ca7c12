"""Copies are found whatever was done to them; images that only look alike are not pairs."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from medtransfer.data.audit.duplicates import MIN_SIMILARITY, find_pairs
from medtransfer.data.audit.hashing.perceptual_hash import SIDE
from medtransfer.data.phantom import Hospital, Phantom, write_phantom

Change = Callable[[Image.Image], Image.Image]


def jpeg(quality: int) -> Change:
    def change(image: Image.Image) -> Image.Image:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        return Image.open(stream)

    return change


def gamma(power: float) -> Change:
    def level_of(level: int) -> int:
        return round(255 * (level / 255) ** power)

    return lambda image: image.point(level_of)


CHANGES: dict[str, tuple[Change, str]] = {
    "JPEG at quality 50": (jpeg(50), "as it is"),
    "JPEG at quality 30": (jpeg(30), "as it is"),
    "half the size": (lambda i: i.resize((i.width // 2, i.height // 2)), "as it is"),
    "another shape": (lambda i: i.resize((i.width * 2, i.height)), "as it is"),
    "darker": (lambda i: ImageEnhance.Brightness(i).enhance(0.75), "as it is"),
    "brighter": (lambda i: ImageEnhance.Brightness(i).enhance(1.2), "as it is"),
    "more contrast": (lambda i: ImageEnhance.Contrast(i).enhance(1.3), "as it is"),
    "gamma 0.7": (gamma(0.7), "as it is"),
    "gamma 1.4": (gamma(1.4), "as it is"),
    "grey": (lambda i: i.convert("L"), "as it is"),
    "mirrored": (lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "mirrored"),
    "upside down": (lambda i: i.transpose(Image.Transpose.FLIP_TOP_BOTTOM), "upside down"),
    "turned": (lambda i: i.transpose(Image.Transpose.ROTATE_270), "turned by 90°"),
    "mirrored and JPEG": (
        lambda i: jpeg(50)(i.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        "mirrored",
    ),
}


def thumb(image: Image.Image) -> NDArray[np.uint8]:
    grey = image.convert("L").resize((SIDE * 2, SIDE * 2), Image.Resampling.BILINEAR)
    return np.asarray(grey.reduce(2))


def pictures(kind: str, folder: Path, count: int = 200) -> list[Image.Image]:
    phantom = Phantom(kind=kind, hospitals={"a": Hospital(count)}, size=64)  # type: ignore[arg-type]
    table = pl.read_parquet(write_phantom(phantom, folder / f"{kind}.parquet"))
    return [Image.open(io.BytesIO(data)) for data in table["image"]]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Image.Image]]:
    folder = tmp_path_factory.mktemp("originals")
    return {kind: pictures(kind, folder) for kind in ("lesion", "radiograph")}


@pytest.mark.parametrize("kind", ["lesion", "radiograph"])
def test_images_that_only_look_alike_are_no_pairs(
    originals: dict[str, list[Image.Image]], kind: str
) -> None:
    # 200 radiographs of one anatomy, with the same lungs and ribs
    assert find_pairs(np.stack([thumb(image) for image in originals[kind]])).is_empty()


@pytest.mark.parametrize("kind", ["lesion", "radiograph"])
def test_changed_copies_are_found_with_how_they_were_turned(
    originals: dict[str, list[Image.Image]], kind: str
) -> None:
    images = originals[kind]
    each = 8  # another eight originals for every change
    copied = {change: range(n * each, (n + 1) * each) for n, change in enumerate(CHANGES)}
    copies = [CHANGES[change][0](images[p]) for change, places in copied.items() for p in places]
    pairs = find_pairs(np.stack([thumb(image) for image in (*images, *copies)]))
    found = {
        (first, second): turn
        for first, second, turn in pairs.select("first", "second", "turn").iter_rows()
    }
    assert set(found) <= {(place, len(images) + place) for place in range(len(copies))}
    for change, places in copied.items():
        turns = [found.get((place, len(images) + place)) for place in places]
        assert turns.count(CHANGES[change][1]) >= each - 1, change
    assert pairs["likeness"].min() >= MIN_SIMILARITY  # type: ignore[operator]


def test_many_copies_of_one_picture_are_still_copies(
    originals: dict[str, list[Image.Image]],
) -> None:
    # a third of the set is one film: it must not be taken for what all films share
    images = originals["radiograph"][:200]
    rng = np.random.default_rng(0)
    film = thumb(images[0]).astype(float)
    noisy = [
        np.clip(film + rng.normal(0, 3, film.shape), 0, 255).astype(np.uint8) for _ in range(100)
    ]
    pairs = find_pairs(np.stack([*(thumb(image) for image in images), *noisy]))
    members = {0, *range(200, 300)}
    found = set(pairs.select("first", "second").iter_rows())
    assert {place for pair in found for place in pair} == members
    assert len(found) >= 0.95 * (101 * 100 // 2)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 30])
def test_few_images_are_no_trouble(originals: dict[str, list[Image.Image]], count: int) -> None:
    thumbs = [thumb(image) for image in originals["lesion"][:count]]
    shape = (-1, SIDE, SIDE)
    assert find_pairs(np.array(thumbs, dtype=np.uint8).reshape(shape)).is_empty()
    if count:
        twice = np.stack([*thumbs, thumbs[0]])
        assert (0, count) in set(find_pairs(twice).select("first", "second").iter_rows())


def thumbs_of(path: Path) -> NDArray[np.uint8]:
    table = pl.read_parquet(path, columns=["image"])
    return np.stack([thumb(Image.open(io.BytesIO(data))) for data in table["image"]])


@pytest.mark.slow
@pytest.mark.shared
def test_recall_and_false_pairs_on_real_sets(shared: Path) -> None:
    # groups of BUSI were made by another hash and by eye; pairs of other sets were looked at
    def pairs_of(name: str) -> tuple[pl.DataFrame, pl.Series]:
        owner = pl.read_parquet(shared / f"{name}.parquet", columns=["patient_id"])["patient_id"]
        pairs = find_pairs(thumbs_of(shared / f"{name}.parquet"))
        same = owner.gather(pairs["first"]) == owner.gather(pairs["second"])
        return pairs, same

    owner = pl.read_parquet(shared / "us_busi.parquet", columns=["patient_id"])["patient_id"]
    sizes = owner.value_counts()["count"]
    in_groups = int((sizes * (sizes - 1) // 2).sum())
    pairs, same = pairs_of("us_busi")
    assert in_groups == 175
    assert same.sum() >= 0.85 * in_groups
    assert (~same).sum() <= 1
    pairs, same = pairs_of("retina_dr")
    assert pairs.filter(~same).height == 2
    assert (pairs["likeness"] > 0.99).all()
    for name in ("cxr_nih64", "derm_pad_ufes", "cxr_kermany"):
        assert (~pairs_of(name)[1]).sum() == 0, name
