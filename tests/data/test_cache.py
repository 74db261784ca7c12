"""Caches: decoded and resized once, keyed by everything, whole or made anew."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.data import corpus
from tests.data.corpus import embedded_manifest

from medtransfer import files
from medtransfer.data import scan
from medtransfer.data.cache import NAMES, PIXELS, PixelCache, PixelRecipe, prepare_cache
from medtransfer.data.images import decode_image, resize_image
from medtransfer.data.scan import scan_images
from medtransfer.errors import ImageError, StudyError
from medtransfer.tables.manifest import Manifest

LIMIT = 1_000_000
RECIPE = PixelRecipe(8, "bilinear", LIMIT)


def greys(count: int) -> list[bytes]:
    """Pictures that differ in their values and their size."""
    return [corpus.png((corpus.grey(9 + i, 12) // 2 + i), 0) for i in range(count)]


def made(
    folder: Path, manifest: Manifest, indices: list[int] | None = None, recipe: PixelRecipe = RECIPE
) -> Path:
    """The cache of a manifest's pictures."""
    facts = scan_images(manifest, LIMIT, folder / "facts.parquet")
    chosen = list(range(len(manifest))) if indices is None else indices
    return prepare_cache(manifest, chosen, facts, recipe, parent=folder / "caches")


def expected(data: bytes, recipe: PixelRecipe = RECIPE) -> np.ndarray:
    return resize_image(decode_image(data, LIMIT), recipe.size, recipe.interpolation)


@pytest.mark.parametrize("chunk", [1, 700, 2**26])
def test_every_image_is_found_under_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    # rows of the file stand against the order of ids, and are fetched in several chunks
    monkeypatch.setattr(scan, "CHUNK_BYTES", chunk)
    pictures = greys(24)
    manifest = embedded_manifest(tmp_path, list(pictures))
    cache = PixelCache(made(tmp_path, manifest))
    ids = manifest.frame["image_id"].to_list()
    assert cache.places(ids).tolist() == list(range(24))
    for name, row, place in zip(ids, manifest.frame["row"], cache.places(ids), strict=True):
        assert np.array_equal(cache.pixels[place, :, :, 0], expected(pictures[row - 1])), name


def test_some_images_stand_in_the_order_asked_for(tmp_path: Path) -> None:
    pictures = greys(6)
    manifest = embedded_manifest(tmp_path, list(pictures))
    cache = PixelCache(made(tmp_path, manifest, [4, 0, 3]))
    assert cache.pixels.shape == (3, 8, 8, 1)
    rows = [manifest.frame["row"][i] for i in (4, 0, 3)]
    for place, row in enumerate(rows):
        assert np.array_equal(cache.pixels[place, :, :, 0], expected(pictures[row - 1]))


def test_files_and_pictures_inside_give_the_same_cache(tmp_path: Path) -> None:
    pictures = greys(5)
    inside = embedded_manifest(tmp_path, list(pictures))
    for row, data in enumerate(pictures, start=1):
        (tmp_path / f"{row}.png").write_bytes(data)
    paths = inside.frame.with_columns(path=pl.format("{}.png", "row"))
    outside = Manifest(paths, tmp_path / "manifest.csv", tmp_path, embedded=False)
    folders = [made(tmp_path / "in", inside), made(tmp_path / "out", outside)]
    assert folders[0].name == folders[1].name
    assert np.array_equal(*(PixelCache(folder).pixels for folder in folders))


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
    tmp_path: Path, kinds: list[str], shape: tuple[int, ...], dtype: type[np.generic]
) -> None:
    good = [corpus.good_images()[kind] for kind in kinds]
    manifest = embedded_manifest(tmp_path, [image.data for image in good])
    cache = PixelCache(made(tmp_path, manifest))
    assert cache.pixels.shape == shape
    assert cache.pixels.dtype == dtype
    for place, image in enumerate(reversed(good)):
        own = resize_image(image.pixels, 8, "bilinear").astype(dtype)
        own = own[:, :, None] if own.ndim == 2 else own
        scale = 257 if dtype == np.uint16 and image.pixels.dtype == np.uint8 else 1
        assert np.array_equal(cache.pixels[place], np.broadcast_to(own, shape[1:]) * scale)


def test_a_cache_is_made_once(tmp_path: Path) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(4)))
    folder = made(tmp_path, manifest)
    stamp = (folder / PIXELS).stat().st_mtime_ns
    assert made(tmp_path, manifest) == folder
    assert (folder / PIXELS).stat().st_mtime_ns == stamp


def test_a_cache_is_keyed_by_everything_that_made_it(tmp_path: Path) -> None:
    pictures = greys(4)
    manifest = embedded_manifest(tmp_path, list(pictures))
    folders = [
        made(tmp_path, manifest),
        made(tmp_path, manifest, recipe=PixelRecipe(9, "bilinear", LIMIT)),
        made(tmp_path, manifest, recipe=PixelRecipe(8, "bicubic", LIMIT)),
        made(tmp_path, manifest, [0, 1, 2]),
        made(tmp_path, manifest, [1, 0, 2, 3]),
    ]
    pictures[2] = corpus.png(255 - corpus.grey(), 0)
    changed = embedded_manifest(tmp_path, list(pictures))
    folders.append(made(tmp_path, changed))
    assert len(set(folders)) == len(folders)
    for folder in folders:
        assert files.is_whole(folder)


def test_the_same_pictures_under_other_names_are_another_cache(tmp_path: Path) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(3)))
    first = made(tmp_path, manifest)
    frame = manifest.frame.with_columns(image_id=pl.format("{}b", "image_id"))
    renamed = Manifest(frame, manifest.path, manifest.root, embedded=True)
    cache = PixelCache(made(tmp_path, renamed))
    assert cache.places(frame["image_id"].to_list()).tolist() == [0, 1, 2]
    assert PixelCache(first).places(manifest.frame["image_id"].to_list()).tolist() == [0, 1, 2]


def test_the_limit_of_pixels_is_not_part_of_the_key(tmp_path: Path) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(2)))
    wider = PixelRecipe(8, "bilinear", 2 * LIMIT)
    assert made(tmp_path, manifest) == made(tmp_path, manifest, recipe=wider)


def cut_pixels(folder: Path) -> None:
    os.truncate(folder / PIXELS, 200)


def lose_pixels(folder: Path) -> None:
    (folder / PIXELS).unlink()


def lose_names(folder: Path) -> None:
    (folder / NAMES).unlink()


def lose_seal(folder: Path) -> None:
    (folder / files.SEAL).unlink()


def empty_seal(folder: Path) -> None:
    (folder / files.SEAL).write_bytes(b"")


@pytest.mark.parametrize("damage", [cut_pixels, lose_pixels, lose_names, lose_seal, empty_seal])
def test_a_damaged_cache_is_refused_and_made_anew(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(4)))
    folder = made(tmp_path, manifest)
    before = np.array(PixelCache(folder).pixels)
    damage(folder)
    with pytest.raises(StudyError, match=r"missing or damaged. Run the same command again"):
        PixelCache(folder)
    assert made(tmp_path, manifest) == folder
    assert np.array_equal(PixelCache(folder).pixels, before)


def test_a_cache_that_was_interrupted_anywhere_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(4)))
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")

    def make(parent: Path, stop: int) -> list[str]:
        """Make the cache; be interrupted before the n-th step that changes the disk."""
        seen: list[str] = []

        def hook(name: str) -> None:
            seen.append(name)
            if len(seen) == stop:
                raise KeyboardInterrupt

        monkeypatch.setattr(files, "on_operation", hook)
        prepare_cache(manifest, range(4), facts, RECIPE, parent=parent)
        return seen

    steps = len(make(tmp_path / "whole", 0))
    assert steps > 10
    for step in range(1, steps + 1):
        parent = tmp_path / str(step)
        with pytest.raises(KeyboardInterrupt):
            make(parent, step)
        half = list(parent.iterdir()) if parent.exists() else []
        # only the last step comes after the seal has taken its name
        assert any(files.is_whole(folder) for folder in half) == (step == steps)
        make(parent, 0)
        (folder,) = parent.iterdir()
        assert np.array_equal(PixelCache(folder).pixels[3, :, :, 0], expected(greys(4)[0]))


def test_damaged_images_are_listed_at_once_and_leave_no_half_cache(tmp_path: Path) -> None:
    damaged = corpus.bad_pixels()
    pictures = [greys(1)[0], *damaged.values()]
    manifest = embedded_manifest(tmp_path, list(pictures))
    with pytest.raises(ImageError) as caught:
        made(tmp_path, manifest)
    assert str(caught.value).splitlines() == [
        f'{len(damaged)} images of "manifest.parquet" cannot be used:',
        *(f"  - row {i + 2}: the image is truncated or damaged" for i in range(len(damaged))),
        "Mend or replace the files, or take their rows out of the manifest.",
    ]
    assert list((tmp_path / "caches").iterdir()) == []


def test_pixels_stay_on_the_disk_until_they_are_asked_for(tmp_path: Path) -> None:
    cache = PixelCache(made(tmp_path, embedded_manifest(tmp_path, list(greys(4)))))
    assert isinstance(cache.pixels, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        cache.pixels[0] = 0


def test_the_cache_is_a_plain_numpy_file_with_names_beside_it(tmp_path: Path) -> None:
    folder = made(tmp_path, embedded_manifest(tmp_path, list(greys(3))))
    assert np.load(folder / PIXELS, allow_pickle=False).shape == (3, 8, 8, 1)
    assert pl.read_parquet(folder / NAMES)["image_id"].to_list() == [
        "SECRET001", "SECRET002", "SECRET003",
    ]  # fmt: skip
    assert sorted(path.name for path in folder.iterdir()) == sorted([PIXELS, NAMES, files.SEAL])


def test_progress_is_told(tmp_path: Path) -> None:
    manifest = embedded_manifest(tmp_path, list(greys(3)))
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    seen: list[tuple[int, int]] = []
    prepare_cache(
        manifest, range(3), facts, RECIPE, parent=tmp_path, progress=lambda *done: seen.append(done)
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
