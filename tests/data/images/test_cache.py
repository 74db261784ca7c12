"""Caches: every image decoded and resized once, found by content, whole or made anew."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.audit import corpus
from tests.data.audit.corpus import embedded_manifest
from tests.strategies import FEW

from medtransfer import disk, files
from medtransfer.data.images import cache, pixel_recipe, scan, shards
from medtransfer.data.images.cache import CachedImages, PixelCache, prepare_cache
from medtransfer.data.images.decode import decode
from medtransfer.data.images.pictures import DECODER, resize_image
from medtransfer.data.images.pixel_recipe import PixelRecipe, RecipeFacts, recipe_size
from medtransfer.data.images.scan import scan_images
from medtransfer.data.images.shards import INDEX, PIXELS, Codec, Coding
from medtransfer.errors import ConfigError, ImageError, StudyError
from medtransfer.files import read_json
from medtransfer.tables.manifest import Manifest

LIMIT = 1_000_000
RECIPE = PixelRecipe(8, "bilinear", LIMIT)


def greys(count: int) -> list[bytes]:
    """Pictures that differ in their values and their size."""
    return [corpus.png((corpus.grey(9 + i, 12) // 2 + i), 0) for i in range(count)]


def made(
    folder: Path,
    manifest: Manifest,
    indices: list[int] | None = None,
    recipe: PixelRecipe = RECIPE,
    *,
    verify: bool = False,
) -> CachedImages:
    """The cache of a manifest's pictures."""
    facts = scan_images(manifest, LIMIT, folder / "facts.parquet")
    chosen = list(range(len(manifest))) if indices is None else indices
    return prepare_cache(manifest, chosen, facts, recipe, parent=folder / "caches", verify=verify)


def shard_files(folder: Path) -> dict[str, bytes]:
    """The shards below a folder, what a killed process left apart."""
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.rglob("*x*-*"))
        if path.is_file() and files.TEMPORARY not in path.name
    }


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pictures of the recipe to a shard."""
    monkeypatch.setattr(cache, "SHARD_BYTES", 128)


def expected(data: bytes, recipe: PixelRecipe = RECIPE) -> np.ndarray:
    return resize_image(decode(data, LIMIT), recipe.size, recipe.interpolation)


@pytest.mark.parametrize("chunk", [1, 700, 2**26])
def test_every_image_is_found_under_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    # rows of the file stand against the order of ids, and are fetched in several chunks
    monkeypatch.setattr(scan, "CHUNK_BYTES", chunk)
    pictures = greys(24)
    manifest = embedded_manifest(tmp_path, list(pictures))
    images = PixelCache(made(tmp_path, manifest))
    ids = manifest.frame["image_id"].to_list()
    assert images.positions(ids).tolist() == list(range(24))
    for name, row, place in zip(ids, manifest.frame["row"], images.positions(ids), strict=True):
        assert np.array_equal(images.pixels[place][:, :, 0], expected(pictures[row - 1])), name


@pytest.mark.parametrize("coding", ["raw", "png"])
def test_a_size_may_be_height_and_width(tmp_path: Path, coding: Coding) -> None:
    pictures = greys(5)
    manifest = embedded_manifest(tmp_path, list(pictures))
    recipe = replace(RECIPE, size=(12, 8), codec=Codec(coding))
    cached = made(tmp_path, manifest, recipe=recipe)
    images = PixelCache(cached)
    assert images.pixels.shape == (5, 12, 8, 1)
    for place, row in enumerate(manifest.frame["row"]):
        assert np.array_equal(images.pixels[place][:, :, 0], expected(pictures[row - 1], recipe))
    assert cached.folder.name.startswith("12x8px-")
    facts = read_json(cached.folder / "recipe.json")
    assert recipe_size(cast("RecipeFacts", facts)) == (12, 8)


def test_the_facts_of_a_square_are_those_of_earlier_versions() -> None:
    """Prepared images of finished studies are found again."""
    assert PixelRecipe(224, "bilinear", 1).metadata() == {
        "format": 1,
        "size": 224,
        "interpolation": "bilinear",
        "resized_by": DECODER,
        "coding": "raw",
        "quality": 0,
    }
    assert PixelRecipe(224, "bilinear", 1).folder(Path()).name.startswith("224px-")


def test_some_images_stand_in_the_order_asked_for(tmp_path: Path) -> None:
    pictures = greys(6)
    manifest = embedded_manifest(tmp_path, list(pictures))
    images = PixelCache(made(tmp_path, manifest, [4, 0, 3]))
    assert images.pixels.shape == (3, 8, 8, 1)
    rows = [manifest.frame["row"][i] for i in (4, 0, 3)]
    for place, row in enumerate(rows):
        assert np.array_equal(images.pixels[place][:, :, 0], expected(pictures[row - 1]))


def test_files_and_pictures_inside_give_the_same_shards(tmp_path: Path) -> None:
    pictures = greys(5)
    inside = embedded_manifest(tmp_path, list(pictures))
    for row, data in enumerate(pictures, start=1):
        (tmp_path / f"{row}.png").write_bytes(data)
    paths = inside.frame.with_columns(path=pl.format("{}.png", "row"))
    outside = Manifest(paths, tmp_path / "manifest.csv", tmp_path, embedded=False)
    caches = [made(tmp_path / "in", inside), made(tmp_path / "out", outside)]
    assert shard_files(caches[0].folder) == shard_files(caches[1].folder)
    first, second = (np.asarray(PixelCache(cache).pixels) for cache in caches)
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("kinds", "shape", "dtype"),
    [
        (["grey 8 bit", "grey 1 bit"], (2, 8, 8, 1), np.uint8),
        (["grey 8 bit", "RGB"], (2, 8, 8, 3), np.uint8),
        (["grey 8 bit", "grey 16 bit"], (2, 8, 8, 1), np.uint16),
        (["grey 16 bit", "RGB", "palette"], (3, 8, 8, 3), np.uint16),
    ],
)
def test_a_cache_holds_what_its_widest_image_needs(
    tmp_path: Path, kinds: list[str], shape: tuple[int, ...], dtype: type[np.uint8 | np.uint16]
) -> None:
    good = [corpus.good_images()[kind] for kind in kinds]
    manifest = embedded_manifest(tmp_path, [image.data for image in good])
    images = PixelCache(made(tmp_path, manifest))
    assert images.pixels.shape == shape
    assert images.pixels.dtype == dtype
    for place, image in enumerate(reversed(good)):
        own = resize_image(image.pixels, 8, "bilinear").astype(dtype)
        own = own[:, :, None] if own.ndim == 2 else own
        scale = 257 if dtype == np.uint16 and image.pixels.dtype == np.uint8 else 1
        assert np.array_equal(images.pixels[place], np.broadcast_to(own, shape[1:]) * scale)


def test_an_image_is_read_as_its_cache_says_whatever_else_lies_beside_it(tmp_path: Path) -> None:
    good = corpus.good_images()
    kinds = ["grey 8 bit", "grey 16 bit", "RGB"]
    manifest = embedded_manifest(tmp_path, [good[kind].data for kind in kinds])
    made(tmp_path, manifest)
    grey = PixelCache(made(tmp_path, manifest, [2])).pixels  # rows stand against ids
    assert (grey.shape, grey.dtype) == ((1, 8, 8, 1), np.uint8)
    assert np.array_equal(grey[0][:, :, 0], resize_image(good[kinds[0]].pixels, 8, "bilinear"))


def test_pixels_are_read_like_an_array(tmp_path: Path, small_shards: None) -> None:
    pixels = PixelCache(made(tmp_path, embedded_manifest(tmp_path, list(greys(7))))).pixels
    whole = np.asarray(pixels)
    assert whole.shape == pixels.shape == (7, 8, 8, 1)
    assert len(pixels) == 7
    assert np.array_equal(pixels[-1], whole[-1])
    assert np.array_equal(pixels[1:6:2], whole[1:6:2])
    assert np.array_equal(pixels[np.array([6, 0, 0])], whole[[6, 0, 0]])
    assert pixels[np.array([], dtype=np.int64)].shape == (0, 8, 8, 1)
    with pytest.raises(IndexError):
        pixels[7]


def test_a_reader_keeps_few_shards_open(
    tmp_path: Path, small_shards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "MAX_OPEN_SHARDS", 2)
    pixels = PixelCache(made(tmp_path, embedded_manifest(tmp_path, list(greys(9))))).pixels
    order = np.random.default_rng(0).integers(0, 9, 60)
    expected_pixels = np.asarray(pixels)
    assert all(np.array_equal(pixels[i], expected_pixels[i]) for i in order.tolist())
    assert len(pixels._open) == 2


def test_no_images_are_a_cache_too(tmp_path: Path) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(2)))
    assert PixelCache(made(tmp_path, manifest, [])).pixels.shape == (0, 8, 8, 1)


def test_an_image_is_made_once_whatever_order_or_set_it_is_asked_for_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_of: list[bytes] = []
    monkeypatch.setattr(
        pixel_recipe,
        "decode",
        lambda data, limit, frame: made_of.append(data) or decode(data, limit, frame),
    )
    pictures = greys(6)
    manifest = embedded_manifest(tmp_path, list(pictures))
    for indices in ([1, 2], [2, 1], [0, 1, 2, 5], [5], list(range(6))):
        images = PixelCache(made(tmp_path, manifest, indices))
        for place, index in enumerate(indices):
            own = pictures[manifest.frame["row"][index] - 1]
            assert np.array_equal(images.pixels[place][:, :, 0], expected(own))
    assert sorted(made_of) == sorted(pictures)


def test_a_new_site_adds_its_own_images_alone(tmp_path: Path) -> None:
    pictures = greys(3)
    first = shard_files(made(tmp_path, embedded_manifest(tmp_path, list(pictures))).folder)
    pictures += [corpus.png(255 - corpus.grey(), 0), pictures[1]]  # one of them is known
    folder = made(tmp_path, embedded_manifest(tmp_path, list(pictures))).folder
    both = shard_files(folder)
    assert {name: both[name] for name in first} == first
    added = {name: data for name, data in both.items() if name not in first}
    assert sorted(len(data) for data in added.values())[0] == 64
    assert len(added) == 2  # pictures and index of one image


def test_a_recipe_is_keyed_by_everything_that_makes_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = [
        RECIPE,
        PixelRecipe(9, "bilinear", LIMIT),
        PixelRecipe(8, "bicubic", LIMIT),
        PixelRecipe(8, "bilinear", LIMIT, Codec("png")),
        PixelRecipe(8, "bilinear", LIMIT, Codec("jpeg", 90)),
        PixelRecipe(8, "bilinear", LIMIT, Codec("jpeg", 91)),
    ]
    folders = {recipe.folder(tmp_path) for recipe in recipes}
    for module in (cache, pixel_recipe):  # it resizes, too
        monkeypatch.setattr(module, "DECODER", "Pillow 99.0")
    folders.add(RECIPE.folder(tmp_path))
    assert len(folders) == len(recipes) + 1
    assert RECIPE.folder(tmp_path) == PixelRecipe(8, "bilinear", 9 * LIMIT).folder(tmp_path)


def test_another_version_of_a_decoder_makes_its_images_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(2)))
    folder = made(tmp_path, manifest).folder
    before = shard_files(folder)
    same_folder = property(lambda _: lambda _parent: folder)
    monkeypatch.setattr(PixelRecipe, "folder", same_folder)
    monkeypatch.setattr(cache, "DECODER", "other 1.0")
    made(tmp_path, manifest)
    assert len(shard_files(folder)) == 2 * len(before)


def test_the_same_pictures_under_other_names_are_found(tmp_path: Path) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(3)))
    first = made(tmp_path, manifest)
    before = shard_files(first.folder)
    frame = manifest.frame.with_columns(image_id=pl.format("{}b", "image_id"))
    renamed = Manifest(frame, manifest.path, manifest.root, embedded=True)
    again = made(tmp_path, renamed)
    assert PixelCache(again).positions(frame["image_id"].to_list()).tolist() == [0, 1, 2]
    assert shard_files(again.folder) == before


@pytest.mark.parametrize(
    ("kind", "codec"),
    [
        (kind, codec)
        for kind in ("grey 8 bit", "grey 16 bit", "RGB")
        for codec in ("png", "jpeg")
        if (kind, codec) != ("grey 16 bit", "jpeg")
    ],
)
def test_pictures_may_be_kept_encoded(tmp_path: Path, kind: str, codec: Coding) -> None:
    manifest = embedded_manifest(tmp_path, [corpus.good_images()[kind].data, greys(1)[0]])
    recipe = PixelRecipe(64, "bilinear", LIMIT, Codec(codec, 95 if codec == "jpeg" else 0))
    raw = np.asarray(
        PixelCache(made(tmp_path, manifest, recipe=PixelRecipe(64, "bilinear", LIMIT))).pixels
    )
    kept = PixelCache(made(tmp_path, manifest, recipe=recipe))
    difference = np.abs(np.asarray(kept.pixels).astype(int) - raw)
    assert kept.pixels.shape == raw.shape
    assert difference.max() == 0 if codec == "png" else 0 < difference.mean() < 8


def test_jpeg_is_refused_for_sixteen_bits(tmp_path: Path) -> None:
    manifest = embedded_manifest(tmp_path, [corpus.good_images()["grey 16 bit"].data])
    recipe = PixelRecipe(8, "bilinear", LIMIT, Codec("jpeg", 95))
    with pytest.raises(ConfigError, match=r"1 image have 16 bits, which jpeg does not hold"):
        made(tmp_path, manifest, recipe=recipe)


def only(folder: Path, suffix: str) -> Path:
    (path,) = folder.glob(f"*x*-*{suffix}")
    return path


def cut_pixels(folder: Path) -> None:
    os.truncate(only(folder, PIXELS), 200)


def lose_pixels(folder: Path) -> None:
    only(folder, PIXELS).unlink()


def lose_index(folder: Path) -> None:
    only(folder, INDEX).unlink()


def empty_index(folder: Path) -> None:
    only(folder, INDEX).write_bytes(b"")


def other_index(folder: Path) -> None:
    path = only(folder, INDEX)
    pl.read_parquet(path).reverse().write_parquet(path)


def lose_folder(folder: Path) -> None:
    shutil.rmtree(folder.parent)


@pytest.mark.parametrize(
    "damage", [cut_pixels, lose_pixels, lose_index, empty_index, other_index, lose_folder]
)
def test_a_damaged_cache_is_refused_and_made_anew(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(4)))
    images = made(tmp_path, manifest)
    before = shard_files(images.folder)
    damage(images.folder)
    with pytest.raises(StudyError, match=r"missing or damaged. Run the same command again"):
        PixelCache(images)
    assert shard_files(made(tmp_path, manifest).folder) == before
    PixelCache(images)


@pytest.mark.slow
@settings(FEW, derandomize=True)  # some broken Parquet files abort polars, whatever catches
@given(st.data())
def test_a_flipped_bit_anywhere_is_found_on_request(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tmp_path = tmp_path_factory.mktemp("flip")
    manifest = embedded_manifest(tmp_path, list(greys(3)))
    images = made(tmp_path, manifest)
    before = np.asarray(PixelCache(images).pixels)
    path = only(images.folder, data.draw(st.sampled_from([PIXELS, INDEX])))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    again = PixelCache(made(tmp_path, manifest, verify=True))
    assert np.array_equal(np.asarray(again.pixels), before)


class Killed(BaseException):
    """The process is gone: nothing catches it and nothing is cleaned up."""


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_operation_it_is_made_to_the_same_bytes(
    tmp_path: Path, small_shards: None, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    good = corpus.good_images()
    pictures = [*greys(5), *(good[kind].data for kind in ("RGB", "grey 16 bit", "palette"))]
    manifest = embedded_manifest(tmp_path, pictures)
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")

    def make(parent: Path, stop: int) -> int:
        """Make the cache; be killed before the n-th step that changes the disk."""
        count = 0

        def hook(_name: str) -> None:
            nonlocal count
            count += 1
            if count == stop:
                raise Killed

        monkeypatch.setattr(files, "on_operation", hook)
        prepare_cache(manifest, range(8), facts, RECIPE, parent=parent)
        return count

    steps = make(tmp_path / "whole", 0)
    golden = shard_files(tmp_path / "whole")
    assert len(golden) == 2 * (3 + 2 + 1)  # five grey, two RGB, one of 16 bits
    assert steps > 50
    for step in range(1, steps + 1, every):
        parent = tmp_path / str(step)
        with pytest.raises(Killed):
            make(parent, step)
        half = shard_files(parent)
        assert half.items() <= golden.items()  # every file is whole, or absent
        make(parent, 0)
        assert shard_files(parent) == golden


def test_leftovers_of_a_killed_process_go_when_they_are_old(tmp_path: Path) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(2)))
    folder = made(tmp_path, manifest, [0]).folder
    names = [f"1x8-aa{PIXELS}.tmp-{'1' * 16}", f"1x8-bb{PIXELS}.tmp-{'2' * 16}", f"1x8-cc{PIXELS}"]
    for name in names:
        (folder / name).write_bytes(b"half")
    long_ago = time.time() - 2 * cache.STALE_SECONDS
    for name in (names[0], names[2]):
        os.utime(folder / name, (long_ago, long_ago))
    made(tmp_path, manifest)
    assert [name for name in names if (folder / name).exists()] == [names[1]]


@pytest.mark.slow
def test_two_processes_at_once_do_no_harm(tmp_path: Path) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(12)))
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    facts.write_parquet(tmp_path / "copied.parquet")
    code = (
        "import sys; from pathlib import Path; import numpy as np, polars as pl\n"
        "from medtransfer.data.images import cache\n"
        "from medtransfer.data.images.cache import PixelCache, prepare_cache\n"
        "from medtransfer.data.images.pixel_recipe import PixelRecipe\n"
        "from medtransfer.tables.manifest import read_manifest\n"
        "cache.SHARD_BYTES = 64; folder = Path(sys.argv[1])\n"
        "manifest = read_manifest(folder / 'manifest.parquet')\n"
        "facts = pl.read_parquet(folder / 'copied.parquet')\n"
        "recipe = PixelRecipe(8, 'bilinear', 10**6)\n"
        "sys.stdin.readline()\n"
        "images = prepare_cache(manifest, range(12), facts, recipe, parent=folder / 'caches')\n"
        "print(int(np.asarray(PixelCache(images).pixels).sum()))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        cast("Any", process.stdin).write("go\n")
        cast("Any", process.stdin).flush()
    said = [process.communicate()[0].strip() for process in processes]
    total = sum(int(expected(picture).sum()) for picture in greys(12))
    assert said == [str(total)] * 2
    assert len(shard_files(tmp_path / "caches")) == 24


def test_a_disk_without_room_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(4)))
    monkeypatch.setattr(disk, "free_bytes", lambda _folder: 255)
    with pytest.raises(StudyError) as caught:
        made(tmp_path, manifest)
    assert str(caught.value) == (
        "Preparing 4 images at 8 px needs 256 B of disk and 255 B are free. Nothing was written. "
        "Free some space, or write elsewhere with --out."
    )
    assert not (tmp_path / "caches").exists()
    monkeypatch.setattr(disk, "free_bytes", lambda _folder: 256)
    made(tmp_path, manifest)


def test_a_disk_that_fills_up_is_said_and_what_is_whole_is_kept(
    tmp_path: Path, small_shards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(6)))
    golden = shard_files(made(tmp_path / "golden", manifest).folder)
    count = 0

    def full(_name: str) -> None:
        nonlocal count
        count += 1
        if count == 25:
            raise OSError(errno.ENOSPC, "no")

    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    monkeypatch.setattr(files, "on_operation", full)
    with pytest.raises(StudyError, match=r"The disk is full.*run the same command again"):
        prepare_cache(manifest, range(6), facts, RECIPE, parent=tmp_path / "caches")
    kept = shard_files(tmp_path / "caches")
    assert 0 < len(kept) < len(golden)
    assert not list((tmp_path / "caches").rglob(f"*{files.TEMPORARY}*"))
    monkeypatch.setattr(files, "on_operation", lambda _: None)
    assert shard_files(made(tmp_path, manifest).folder) == golden


def test_an_image_that_changed_after_it_was_scanned_is_refused(tmp_path: Path) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(2)))
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    changed = embedded_manifest(tmp_path, [greys(1)[0], corpus.png(255 - corpus.grey(), 0)])
    with pytest.raises(ImageError, match="row 2: the image has changed since it was scanned"):
        prepare_cache(changed, range(2), facts, RECIPE, parent=tmp_path)


def test_damaged_images_are_listed_at_once_and_leave_no_half_cache(tmp_path: Path) -> None:
    damaged = corpus.bad_pixels()
    pictures = [greys(1)[0], *damaged.values()]
    manifest = embedded_manifest(tmp_path, list(pictures))
    with pytest.raises(ImageError) as caught:
        made(tmp_path, manifest)
    assert str(caught.value).splitlines() == [
        f'{len(damaged)} images of "manifest.parquet" cannot be used:',
        *(f"  - row {i + 2}: the image is truncated or damaged" for i in range(len(damaged))),
        "Repair or replace the files, or remove their rows from the manifest.",
    ]
    assert not list((tmp_path / "caches").rglob(f"*{files.TEMPORARY}*"))


def test_sound_images_of_other_shards_are_kept(tmp_path: Path, small_shards: None) -> None:
    pictures = [*greys(4), next(iter(corpus.bad_pixels().values()))]
    with pytest.raises(ImageError, match="row 5"):
        made(tmp_path, embedded_manifest(tmp_path, list(pictures)))
    kept = shard_files(tmp_path / "caches")
    assert len(kept) >= 2
    pictures[4] = corpus.png(255 - corpus.grey(), 0)
    folder = made(tmp_path, embedded_manifest(tmp_path, list(pictures))).folder
    assert kept.items() <= shard_files(folder).items()


def test_every_row_of_a_damaged_picture_is_named(tmp_path: Path) -> None:
    bad = next(iter(corpus.bad_pixels().values()))
    with pytest.raises(ImageError, match=r"row 1: .*row 3: "):
        made(tmp_path, embedded_manifest(tmp_path, [bad, greys(1)[0], bad]))


def test_pixels_stay_on_the_disk_until_they_are_asked_for(tmp_path: Path) -> None:
    pixels = PixelCache(made(tmp_path, embedded_manifest(tmp_path, list(greys(4))))).pixels
    picture = pixels[0]
    while isinstance(picture.base, np.ndarray) and not isinstance(picture, np.memmap):
        picture = picture.base
    assert isinstance(picture, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        pixels[0][0] = 0


def test_a_cache_says_how_it_was_made(tmp_path: Path) -> None:
    folder = made(tmp_path, embedded_manifest(tmp_path, list(greys(3)))).folder
    assert json.loads((folder / "recipe.json").read_text()) == RECIPE.metadata()
    index = pl.read_parquet(only(folder, INDEX))
    assert index["content"].to_list() == [hashlib.sha256(data).hexdigest() for data in greys(3)]
    assert set(index["decoder"]) == {DECODER}
    raw = np.frombuffer(only(folder, PIXELS).read_bytes(), np.uint8).reshape(3, 8, 8)
    assert np.array_equal(raw[1], expected(greys(2)[1]))


def test_progress_is_told(tmp_path: Path) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(3)))
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    seen: list[tuple[int, int]] = []
    prepare_cache(
        manifest, range(3), facts, RECIPE, parent=tmp_path, progress=lambda *done: seen.append(done)
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_shard_that_another_process_finishes_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(2)))
    made(tmp_path, manifest, [0])
    folder = made(tmp_path, manifest, [0]).folder
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)

    def look(folder: Path, size: int) -> list[shards.Shard]:
        before = shards.find_shards(folder, size)
        shutil.copytree(elsewhere, folder, dirs_exist_ok=True)  # the other process is quicker
        return before

    with monkeypatch.context() as patch:
        patch.setattr(cache, "find_shards", look)
        made(tmp_path, manifest, [1])
    assert len(shards.find_shards(folder, 8)) == 2
