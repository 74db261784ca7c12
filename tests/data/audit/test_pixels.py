"""What is planted in the images is found, and nothing else; row numbers and no names."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw
from tests.data.images.mammograms import Film, drawn_mammogram
from tests.strategies import question

from medtransfer.data.audit.pixels import unclear_regions
from medtransfer.data.audit.run import (
    CHECKS,
    Finding,
    add_usage,
    audit_images,
    compare_images,
)
from medtransfer.data.audit.thumbnails import CacheSource, image_stats, stats_folder
from medtransfer.data.images.cache import CachedImages, found_regions, prepare_cache
from medtransfer.data.images.pictures import encode_png
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.data.images.region import Framing
from medtransfer.data.images.scan import scan_images
from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.data.splits import assign_splits
from medtransfer.tables.manifest import read_manifest
from medtransfer.tables.schema import write_frame

LIMIT = 1_000_000
RECIPE = PixelRecipe(64, "bilinear", LIMIT)
Change = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class Looked:
    """What an audit of pictures gave."""

    findings: dict[str, Finding]
    pairs: pl.DataFrame

    def rows(self, code: str) -> list[int]:
        return list(self.findings[code].rows)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Grey films of two hospitals; positions are row numbers less 1."""
    phantom = Phantom(
        kind="radiograph", hospitals={"a": Hospital(120), "b": Hospital(40)}, size=64, seed=5
    )
    path = write_phantom(phantom, tmp_path_factory.mktemp("films") / "m.parquet")
    table = pl.read_parquet(path).drop("nodule", "truth_nodule", "truth_opacity")
    split = ["train"] * 60 + ["tune"] * 30 + ["test"] * 70
    return table.with_columns(split=pl.Series(split))


def open_image(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def png(image: Image.Image, level: int = 6) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=level)
    return stream.getvalue()


def jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=60)
    return stream.getvalue()


def changed(table: pl.DataFrame, pictures: dict[int, bytes], **columns: object) -> pl.DataFrame:
    """Other pictures at some places."""
    images = table["image"].to_list()
    for place, picture in pictures.items():
        images[place] = picture
    table = table.with_columns(image=pl.Series(images, dtype=pl.Binary))
    return table.with_columns(pl.Series(name, cells) for name, cells in columns.items())  # type: ignore[arg-type]


def looked(
    table: pl.DataFrame, folder: Path, side: int | None = 64, recipe: PixelRecipe = RECIPE
) -> Looked:
    folder.mkdir(exist_ok=True)
    write_frame(table, folder / "m.parquet")
    manifest = read_manifest(folder / "m.parquet")
    facts = scan_images(manifest, LIMIT, folder / "facts.parquet")
    asked = question("opacity", train_cohorts=["a"])
    placed = add_usage(assign_splits(manifest, asked), facts, asked)
    every = tuple(range(len(table)))
    cached = CacheSource(
        every, lambda: prepare_cache(manifest, every, facts, recipe, parent=folder)
    )
    sketches = image_stats(facts, [cached], recipe, folder)
    memory = stats_folder(facts, recipe, folder)
    pictures = compare_images(manifest, facts, sketches, LIMIT, memory)
    found, pairs = audit_images(pictures, placed, asked, side)
    return Looked({finding.code: finding for finding in found}, pairs)


def test_films_without_a_fault_have_no_findings(films: pl.DataFrame, tmp_path: Path) -> None:
    found = looked(films, tmp_path)
    assert found.findings == {}
    assert found.pairs.is_empty()


def test_a_copy_across_splits_is_a_warning_with_its_pair(
    films: pl.DataFrame, tmp_path: Path
) -> None:
    copy = open_image(films["image"][3]).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    label = films["opacity"].to_list()
    label[100] = label[3]
    found = looked(changed(films, {100: jpeg(copy)}, opacity=label), tmp_path)
    assert set(found.findings) == {"A004"}
    assert found.rows("A004") == [4, 101]
    assert (
        found.findings["A004"].sentence == "1 pair of images that look the same: test and train (1)"
    )
    (pair,) = found.pairs.to_dicts()
    assert (pair["row"], pair["other_row"], pair["turn"]) == (4, 101, "mirrored")
    assert pair["likeness"] >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["compressed otherwise", "grey as colour", "8 bits as 16"])
def test_the_same_pixels_in_another_file_are_an_error(
    films: pl.DataFrame, tmp_path: Path, kind: str
) -> None:
    image = open_image(films["image"][3])
    match kind:
        case "compressed otherwise":
            data = png(image, 0)
        case "grey as colour":
            data = png(image.convert("RGB"))
        case _:
            wide = np.asarray(image).astype(np.uint16) * np.uint16(257)
            data = png(Image.fromarray(wide))
    label = films["opacity"].to_list()
    label[130] = label[3]
    found = looked(changed(films, {130: data}, opacity=label), tmp_path)
    assert [f.code for f in found.findings.values() if f.level != "info"] == ["A008"]
    assert found.rows("A008") == [4, 131]
    assert "the same pixels: b and train (1)" in found.findings["A008"].sentence


def test_one_pixel_of_another_grey_is_no_error_but_a_warning(
    films: pl.DataFrame, tmp_path: Path
) -> None:
    image = open_image(films["image"][3]).resize((640, 640), Image.Resampling.NEAREST)
    other = image.copy()
    other.putpixel((5, 5), (int(np.asarray(image)[5, 5]) + 1) % 256)
    label = films["opacity"].to_list()
    label[100] = label[3]
    table = changed(films, {3: png(image), 100: png(other)}, opacity=label)
    assert "A008" not in looked(table, tmp_path).findings
    assert looked(table, tmp_path).rows("A004") == [4, 101]


def test_copies_of_one_patient_are_no_leak_and_of_two_in_a_split_count_twice(
    films: pl.DataFrame, tmp_path: Path
) -> None:
    copy = jpeg(open_image(films["image"][3]))
    label = films["opacity"].to_list()
    label[9] = label[3]
    owner = films["patient_id"].to_list()
    owner[9] = owner[3]
    (tmp_path / "one").mkdir()
    assert (
        looked(
            changed(films, {9: copy}, opacity=label, patient_id=owner), tmp_path / "one"
        ).findings
        == {}
    )
    found = looked(changed(films, {9: copy}, opacity=label), tmp_path)
    assert set(found.findings) == {"A009"}
    assert found.rows("A009") == [4, 10]
    assert found.findings["A009"].sentence.endswith(": train (1)")


def test_copies_with_other_labels_contradict(films: pl.DataFrame, tmp_path: Path) -> None:
    label = films["opacity"].to_list()
    label[9] = 1 - label[3]
    found = looked(
        changed(films, {9: jpeg(open_image(films["image"][3]))}, opacity=label), tmp_path
    )
    assert set(found.findings) == {"A009", "A010"}
    assert found.rows("A010") == [4, 10]
    assert "contradictory labels in 'opacity'" in found.findings["A010"].sentence
    assert set(found.pairs["code"]) == {"A009", "A010"}


def test_left_and_right_of_a_patient_may_be_mirrored_and_differ(
    films: pl.DataFrame, tmp_path: Path
) -> None:
    copy = open_image(films["image"][3]).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    label, owner = films["opacity"].to_list(), films["patient_id"].to_list()
    label[9], owner[9] = 1 - label[3], owner[3]
    table = changed(films, {9: jpeg(copy)}, opacity=label, patient_id=owner)
    assert looked(table, tmp_path).findings == {}


def test_a_picture_that_is_there_hundreds_of_times_is_said_with_few_pairs(
    films: pl.DataFrame, tmp_path: Path
) -> None:
    image = open_image(films["image"][0])
    same = {place: png(image, place % 9) for place in range(0, 160, 2)}
    found = looked(changed(films, same, opacity=[0] * len(films)), tmp_path)
    assert "A008" in found.findings
    assert len(found.pairs) < 4 * 20 * len(same)


def test_images_that_show_nothing_are_found_and_are_no_copies(
    films: pl.DataFrame, tmp_path: Path
) -> None:
    black, noise = Image.new("L", (64, 64), 0), np.zeros((64, 64), np.uint8)
    noise[::7, ::5] = 2
    table = changed(films, {3: png(black), 9: png(black, 0), 100: png(Image.fromarray(noise))})
    found = looked(table, tmp_path)
    assert set(found.findings) == {"C001"}
    assert found.rows("C001") == [4, 10, 101]
    assert found.findings["C001"].sentence == (
        "3 images with almost no contrast, 2 images of a single value"
    )


def test_inverted_films_are_found_where_the_others_are_not(
    films: pl.DataFrame, tmp_path: Path
) -> None:
    turned = {
        place: png(Image.fromarray(255 - np.asarray(open_image(films["image"][place]))))
        for place in (3, 9, 27, 120)
    }
    found = looked(changed(films, turned), tmp_path)
    assert found.rows("C002") == [4, 10, 28, 121]
    assert set(found.findings) == {"C002"}


def test_strips_and_stamps_are_said(films: pl.DataFrame, tmp_path: Path) -> None:
    image = open_image(films["image"][3])
    table = changed(films, {3: png(image.resize((200, 60))), 9: png(image.resize((20, 30)))})
    found = looked(table, tmp_path, side=64)
    assert found.rows("C003") == [4]
    assert found.rows("C004") == [10]
    assert "under half of 64 px" in found.findings["C004"].sentence
    assert "C004" not in looked(table, tmp_path, side=None).findings


@pytest.mark.slow
def test_writing_in_a_dark_corner_is_said(films: pl.DataFrame, tmp_path: Path) -> None:
    def marked(place: int, text: str) -> bytes:
        image = Image.new("L", (160, 160), 0)
        image.paste(open_image(films["image"][place]), (48, 48))
        if text:
            ImageDraw.Draw(image).text((4, 5), text, fill=255, font_size=14)
        return png(image)

    plain = {place: marked(place, "") for place in range(160)}
    wide = PixelRecipe(160, "bilinear", LIMIT)
    assert "C005" not in looked(changed(films, plain), tmp_path, recipe=wide).findings
    written = plain | {place: marked(place, "R 12.3.") for place in (3, 9)}
    found = looked(changed(films, written), tmp_path, recipe=wide)
    assert found.rows("C005") == [4, 10]
    assert "2 images (1%) with strokes in a corner" in found.findings["C005"].sentence
    ultrasound = looked(changed(films, {}, modality=["US"] * 160), tmp_path)
    assert "160 images of a modality" in ultrasound.findings["C005"].sentence


def test_a_border_that_only_the_sick_have_gives_the_label_away(
    films: pl.DataFrame, tmp_path: Path
) -> None:
    def bordered(place: int) -> bytes:
        image = open_image(films["image"][place])
        ImageDraw.Draw(image).rectangle((0, 0, 63, 63), outline=0, width=3)
        return png(image)

    sick = {place for place, label in enumerate(films["opacity"]) if label == 1}
    found = looked(changed(films, {place: bordered(place) for place in sick}), tmp_path)
    assert set(found.findings) == {"A012"}
    assert "opacity with AUROC 1.00" in found.findings["A012"].sentence
    assert found.findings["A012"].rows == ()


def test_images_of_another_size_give_the_hospital_away(films: pl.DataFrame, tmp_path: Path) -> None:
    larger = {
        place: png(open_image(films["image"][place]).resize((80, 96))) for place in range(120, 160)
    }
    found = looked(changed(films, larger), tmp_path)
    assert set(found.findings) == {"A013"}
    assert "b with AUROC 1.00" in found.findings["A013"].sentence


def wide_png(image: Image.Image, shift: int) -> bytes:
    """8 bits as so many more in a PNG of 16 bits."""
    return encode_png((np.asarray(image, dtype=np.uint16) << shift).astype(np.uint16))


def test_twelve_bits_in_sixteen_are_said_and_brightness_gives_the_hospital_away(
    films: pl.DataFrame, tmp_path: Path
) -> None:
    # 40 images: 20 of 8 bits at one hospital, 20 of 12 bits in 16 at the other
    few = pl.concat([films.filter(cohort=name).head(20) for name in ("a", "b")])
    dim = {place: wide_png(open_image(few["image"][place]), 4) for place in range(20, 40)}
    found = looked(changed(few, dim), tmp_path / "dim")
    assert {"A021", "C007"} <= set(found.findings)
    assert found.rows("C007") == list(range(21, 41))
    largest = max(int(np.asarray(open_image(data)).max()) << 4 for data in few["image"][20:])
    sentence = found.findings["C007"].sentence
    assert sentence.startswith("20 images of b in 12 of 16 bits (largest value of ")
    value = int(sentence.rsplit("decoded files ", 1)[1].split(" of ")[0].replace(",", ""))
    assert 0.5 * largest <= value <= largest
    assert "brightness of b: " in found.findings["A021"].sentence
    assert "(AUROC 1.00)" in found.findings["A021"].sentence

    full = {place: wide_png(open_image(few["image"][place]), 8) for place in range(20, 40)}
    found = looked(changed(few, full), tmp_path / "full")
    assert not {"A021", "C007"} & set(found.findings)


def test_sketches_are_made_once_and_go_on_after_an_interruption(
    films: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medtransfer.data.audit import thumbnails as room

    monkeypatch.setattr(room, "PART", 50)
    write_frame(films, tmp_path / "m.parquet")
    manifest = read_manifest(tmp_path / "m.parquet")
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    halves = [tuple(range(0, 160, 2)), tuple(range(1, 160, 2))]
    made: list[int] = []

    def caches() -> Iterator[CacheSource]:
        for number, half in enumerate(halves):

            def make(number: int = number, half: tuple[int, ...] = half) -> CachedImages:
                made.append(number)
                return prepare_cache(manifest, half, facts, RECIPE, parent=tmp_path)

            yield CacheSource(half, make)

    def stop(done: int, _total: int) -> None:
        if done > 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        image_stats(facts, list(caches()), RECIPE, tmp_path, stop)
    folder = stats_folder(facts, RECIPE, tmp_path)
    first = (folder / "part-00000.parquet").stat().st_mtime_ns
    heard: list[tuple[int, int]] = []
    found = image_stats(facts, list(caches()), RECIPE, tmp_path, lambda *at: heard.append(at))
    assert (folder / "part-00000.parquet").stat().st_mtime_ns == first
    assert heard[0][0] > 50
    assert heard[-1] == (160, 160)
    made.clear()
    again = image_stats(facts, list(caches()), RECIPE, tmp_path)
    assert made == []
    assert again.features.equals(found.features)
    assert (again.thumbnails == found.thumbnails).all()
    whole = CacheSource(
        tuple(range(160)),
        lambda: prepare_cache(manifest, range(160), facts, RECIPE, parent=tmp_path),
    )
    (tmp_path / "other").mkdir()
    assert image_stats(facts, [whole], RECIPE, tmp_path / "other").features.equals(found.features)


def test_thumbnails_are_means_of_the_pixels(films: pl.DataFrame, tmp_path: Path) -> None:
    write_frame(films, tmp_path / "m.parquet")
    manifest = read_manifest(tmp_path / "m.parquet")
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    cached = CacheSource((7,), lambda: prepare_cache(manifest, [7], facts, RECIPE, parent=tmp_path))
    image = open_image(films["image"][7])
    (thumb,) = image_stats(
        facts[[7]], [CacheSource((0,), cached.make)], RECIPE, tmp_path
    ).thumbnails
    assert np.abs(thumb.astype(int) - np.asarray(image.reduce(2))).max() <= 1


def test_images_without_a_breast_and_chest_walls_on_another_side_are_named(tmp_path: Path) -> None:
    """C008 and C009, also from a cache that was made in two passes."""
    sides = ["L", "R"] * 8
    films = [
        drawn_mammogram(Film(72, 60, wall="left" if side == "L" else "right", seed=n))[0]
        for n, side in enumerate(sides)
    ]
    films[5] = np.full((72, 60), 40, np.uint8)
    films[6] = np.ascontiguousarray(films[6][:, ::-1])
    films[9] = np.pad(films[9][20:50, 25:55] // 8 + 200, ((20, 22), (15, 15)))
    ids = [f"{n:02d}" for n in range(16)]
    names = {"image_id": ids, "case_id": ids, "patient_id": ids}
    table = {**names, "image": [encode_png(film) for film in films], "laterality": sides}
    write_frame(pl.DataFrame(table).with_columns(cohort=pl.lit("a")), tmp_path / "m.parquet")
    manifest = read_manifest(tmp_path / "m.parquet")
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    recipe = PixelRecipe((36, 30), "bilinear", LIMIT, framing=Framing("breast", "left"))
    prepare_cache(manifest, range(7), facts, recipe, parent=tmp_path)
    images = prepare_cache(manifest, range(16), facts, recipe, parent=tmp_path)
    found = found_regions(images)
    assert found["found"].to_list()[:7] == ["left", "right"] * 2 + ["left", "whole", "right"]
    first, second = unclear_regions(manifest, found)
    assert (first.code, first.rows) == ("C008", (6, 10))
    assert first.sentence.startswith("1 of 16 images without a clear breast, taken whole; 1 with")
    assert (second.code, second.rows) == ("C009", (7,))
    assert second.sentence.startswith("1 of 14 images with the chest wall on the other side")


def test_every_check_of_pictures_is_tested_here() -> None:
    text = Path(__file__).read_text()
    of_pictures = {"A004", "A008", "A009", "A010", "A012", "A013", "A021"}
    of_pictures |= {code for code in CHECKS if code.startswith("C")}
    of_pictures -= {"C006"}  # test_headers.py
    assert {
        code for code in of_pictures if f'"{code}"' not in text.split("def test_every")[0]
    } == set()
