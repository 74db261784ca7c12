"""Which cases, in which order, seen how: functions of seed and step, without any state."""

import gc
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.strategies import FEW
from torch import nn

from medtransfer.data.augment import Augmentation
from medtransfer.data.cases import Cases
from medtransfer.data.config import AugmentConfig, Flip
from medtransfer.data.images.cache import CachedImages, PixelCache
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.data.images.shards import PixelFormat, write_shard
from medtransfer.data.loader import (
    Batch,
    CaseImages,
    Growth,
    TrainingBatches,
    draw_cutmix,
    draw_mixup,
)
from medtransfer.sizes.image_size import ImageSize, height_width, image_size

CPU = torch.device("cpu")
SPEC = InputSpec(12, 8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear")
COUNTS = (1, 3, 2, 1, 4, 1, 2)
"""Images of each case."""


def shelf(folder: Path, names: list[str], pixels: NDArray[np.uint8]) -> PixelCache:
    """A cache of given pixels, in several shards."""
    recipe = PixelRecipe(image_size(*pixels.shape[1:3]), "bilinear", 10**6)
    kind = PixelFormat(recipe.size, pixels.shape[3], 8)
    wanted = pl.DataFrame({"image_id": names, "content": names, "decoder": "none"})
    share = -(-len(names) // 5)
    for start in range(0, len(names), share):
        part = wanted[start : start + share]
        write_shard(folder, kind, recipe.codec, part, pixels[start : start + share])
    formats = wanted.with_columns(channels=pl.lit(kind.channels), bits=pl.lit(kind.bits))
    return PixelCache(CachedImages(folder, recipe, formats))


def case_images(
    folder: Path,
    counts: tuple[int, ...] = COUNTS,
    size: tuple[int, int] = (12, 12),
    spec: InputSpec = SPEC,
) -> CaseImages:
    """Cases over a cache of random grey pixels, whose rows stand against the order of names."""
    total = sum(counts)
    names = [f"image-{i:04d}" for i in range(total)]
    pixels = np.random.default_rng(0).integers(0, 256, (total, *size, 1), dtype=np.uint8)
    cache = shelf(folder, names[::-1], pixels[::-1])
    starts = np.cumsum((0, *counts)).tolist()
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 2, (len(counts), 3)).astype(float)
    targets[rng.random(targets.shape) < 0.2] = np.nan
    ids = np.array([f"case-{i:04d}" for i in range(len(counts))])
    images = tuple(tuple(names[a:b]) for a, b in pairwise(starts))
    cases = Cases(ids, ids, ids, np.full(len(ids), "train"), targets, images)
    return CaseImages(cases, cache, spec)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> CaseImages:
    return case_images(tmp_path_factory.mktemp("loader"))


def stream(images: CaseImages, size: int = 3, micro: int = 4, **more: object) -> TrainingBatches:
    settings = {"seed": 5, "flip": "both", **more}
    augmentation = Augmentation(**settings)  # type: ignore[arg-type]
    return TrainingBatches(images, size, micro_batch=micro, augmentation=augmentation)


def joined(batches: list[Batch]) -> Batch:
    """Micro-batches as one batch."""
    offsets = np.cumsum([0, *(len(batch) for batch in batches)]).tolist()
    owners = [b.case_of_image + o for b, o in zip(batches, offsets, strict=False)]
    return Batch(
        torch.cat([batch.images for batch in batches]),
        torch.cat(owners),
        torch.cat([batch.targets for batch in batches]),
        torch.cat([batch.known for batch in batches]),
    )


def same(one: Batch, two: Batch) -> bool:
    return all(
        a is b is None or torch.equal(a, b)
        for a, b in zip(vars(one).values(), vars(two).values(), strict=True)
    )


sizes = st.integers(1, 20)


@FEW
@given(sizes, st.integers(0, 10**6), st.integers(1, 5))
def test_each_epoch_visits_each_case_exactly_once(
    images: CaseImages, size: int, seed: int, epochs: int
) -> None:
    batches = stream(images, size, seed=seed)
    steps = -(-epochs * len(images) // size)
    rows, times = (np.concatenate(x) for x in zip(*map(batches.at, range(steps)), strict=True))
    for epoch in range(epochs):
        assert sorted(rows[times == epoch].tolist()) == list(range(len(images)))
    assert (np.diff(times) >= 0).all()


@FEW
@given(sizes, st.lists(st.integers(0, 200), min_size=1, max_size=6))
def test_any_step_is_what_counting_up_to_it_gives(
    images: CaseImages, size: int, wanted: list[int]
) -> None:
    counted, asked = stream(images, size), stream(images, size)
    steps = [counted.at(step) for step in range(max(wanted) + 1)]
    for step in wanted:
        for one, two in zip(asked.at(step), steps[step], strict=True):
            assert one.tolist() == two.tolist()


def test_a_step_entered_directly_has_the_same_pixels(images: CaseImages) -> None:
    walked = stream(images)
    for step in range(8):
        last = list(walked.micro_batches(step, CPU))
    direct = list(stream(images).micro_batches(7, CPU))
    assert all(same(a, b) for a, b in zip(last, direct, strict=True))


def test_epochs_and_seeds_have_orders_of_their_own(images: CaseImages) -> None:
    count = len(images)
    orders = [tuple(stream(images, count).at(epoch)[0]) for epoch in range(20)]
    others = [tuple(stream(images, count, seed=seed).at(0)[0]) for seed in range(6, 26)]
    assert len({*orders, *others}) > 35


def test_the_order_of_cases_depends_on_their_ids_and_not_on_their_places(
    images: CaseImages, tmp_path: Path
) -> None:
    batches = stream(images, len(images))
    turned = np.arange(len(images))[::-1]
    assert isinstance(images.cases, Cases)
    cases = images.cases.take(turned)
    plain = case_images(tmp_path)
    pixels = np.zeros((sum(COUNTS), 12, 12, 1), dtype=np.uint8)
    cache = shelf(tmp_path / "again", cases.image_ids, pixels)
    other = stream(CaseImages(cases, cache, SPEC), len(images))
    assert len(plain) == len(images)
    mine = images.cases.case_ids[batches.at(3)[0]]
    assert mine.tolist() == cases.case_ids[other.at(3)[0]].tolist()


@FEW
@given(sizes, st.integers(1, 30), st.integers(0, 30))
def test_micro_batches_make_up_the_whole_batch(
    images: CaseImages, size: int, micro: int, step: int
) -> None:
    parts = list(stream(images, size, micro).micro_batches(step, CPU))
    (whole,) = stream(images, size, 10**6).micro_batches(step, CPU)
    assert same(joined(parts), whole)
    for part in parts:
        assert len(part.images) <= micro or len(part) == 1
        assert part.case_of_image.tolist() == sorted(part.case_of_image.tolist())
        assert part.case_of_image.unique().tolist() == list(range(len(part)))


def test_a_few_cases_are_repeated_inside_a_batch_each_time_seen_anew(images: CaseImages) -> None:
    size = 2 * len(images)
    rows, epochs = stream(images, size).at(0)
    assert np.bincount(rows).tolist() == [2] * len(images)
    assert sorted(epochs.tolist()) == [0] * len(images) + [1] * len(images)
    (batch,) = stream(images, size, 10**6).micro_batches(0, CPU)
    views = [
        batch.images[batch.case_of_image == place] for place in np.flatnonzero(rows == 1).tolist()
    ]
    assert not torch.equal(*views)


def test_one_case_is_enough_to_train_on(tmp_path: Path) -> None:
    (batch,) = stream(case_images(tmp_path, (2,)), 4, 100).micro_batches(3, CPU)
    assert batch.images.shape == (8, 3, 8, 8)
    assert batch.case_of_image.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def raw(images: CaseImages, case: int) -> NDArray[np.float32]:
    """The normalised pixels of a case's images, from how the cache was made. [M, 3, 12, 12]"""
    pixels = np.random.default_rng(0).integers(0, 256, (sum(COUNTS), 12, 12, 1), dtype=np.uint8)
    start = sum(COUNTS[:case])
    own = pixels[start : start + COUNTS[case]].transpose(0, 3, 1, 2) / np.float32(255)
    return np.repeat((own.astype(np.float32) - 0.5) / 0.5, 3, axis=1)


def test_a_test_batch_has_the_images_of_its_cases_whole(images: CaseImages) -> None:
    rows = np.array([4, 0, 2])
    batch = images.test_batch(rows, CPU)
    assert batch.case_of_image.tolist() == [0] * 4 + [1] + [2] * 2
    assert len(batch) == 3
    expected = np.concatenate([raw(images, row) for row in rows.tolist()])
    np.testing.assert_allclose(batch.images.numpy(), expected, rtol=0, atol=1e-6)


def test_a_training_image_is_a_crop_of_its_own_image(images: CaseImages) -> None:
    rows = np.array([1, 6])
    batch = images.training_batch(rows, np.array([0, 3]), Augmentation(5), CPU)
    for view, whole in zip(
        batch.images.numpy(), np.concatenate([raw(images, 1), raw(images, 6)]), strict=True
    ):
        places = [(y, x) for y in range(5) for x in range(5)]
        crops = [whole[:, y : y + 8, x : x + 8] for y, x in places]
        assert sum(np.allclose(view, crop, atol=1e-6) for crop in crops) == 1


def test_targets_and_masks_are_those_of_the_cases(images: CaseImages) -> None:
    rows = np.array([3, 3, 5])
    batch = images.test_batch(rows, CPU)
    expected = images.cases.targets[rows]
    assert batch.known.tolist() == (~np.isnan(expected)).tolist()
    assert batch.targets.tolist() == np.nan_to_num(expected).tolist()


@pytest.mark.parametrize("flip", ["none", "horizontal", "vertical", "both"])
def test_an_image_looks_the_same_in_whatever_batch_it_is_seen(
    images: CaseImages, flip: Flip
) -> None:
    rows, epochs = np.array([0, 1, 4, 6]), np.array([2, 0, 1, 2])
    together = images.training_batch(rows, epochs, Augmentation(5, flip), CPU)
    backwards = images.training_batch(rows[::-1], epochs[::-1], Augmentation(5, flip), CPU)
    for place in range(4):
        alone = images.training_batch(rows[[place]], epochs[[place]], Augmentation(5, flip), CPU)
        own = together.images[together.case_of_image == place]
        assert torch.equal(own, alone.images)
        assert torch.equal(own, backwards.images[backwards.case_of_image == 3 - place])


@FEW
@given(st.lists(st.integers(0, len(COUNTS) - 1), min_size=1, max_size=20), st.integers(1, 12))
def test_cases_are_never_cut_in_two(images: CaseImages, rows: list[int], most: int) -> None:
    parts = images.split(np.array(rows), most)
    assert np.concatenate(parts).tolist() == list(range(len(rows)))
    for part in parts:
        load = sum(COUNTS[rows[place]] for place in part)
        assert load <= most or len(part) == 1


def test_unmasked_entries_of_a_step_are_counted(images: CaseImages) -> None:
    batches = stream(images, 5)
    for step in range(6):
        known = sum(int(batch.known.sum()) for batch in batches.micro_batches(step, CPU))
        assert batches.known(step) == known


def test_a_step_takes_memory_for_its_own_images_alone(tmp_path: Path) -> None:
    images = case_images(tmp_path, (1,) * 3000, size=(32, 32))
    batches = stream(images, 4)
    list(batches.micro_batches(0, CPU))  # whatever is loaded once is loaded now
    gc.collect()
    tracemalloc.start()
    for step in range(1, 20):
        list(batches.micro_batches(step, CPU))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000  # the cache holds 3 MB


def test_no_mixing_without_alpha() -> None:
    assert draw_mixup(0, 0, 8, 0.0) is None


def test_a_mixing_is_drawn_by_seed_and_step() -> None:
    draws = {}
    for seed, step in ((0, 0), (0, 1), (1, 0), (0, 0)):
        mix = draw_mixup(seed, step, 8, 0.1)
        assert mix is not None
        assert 0 <= mix.share <= 1
        assert sorted(mix.partner.tolist()) == list(range(8))
        draws.setdefault((seed, step), set()).add((mix.share, *mix.partner.tolist()))
    assert [len(found) for found in draws.values()] == [1, 1, 1]
    assert len(set.union(*draws.values())) == 3


@pytest.mark.parametrize("micro", [1, 4, 10**6])
def test_mixing_mixes_pixels_and_targets_with_the_same_share(
    images: CaseImages, micro: int
) -> None:
    batches, step = stream(images, 6, micro), 4
    mix = draw_mixup(5, step, 6, 0.9)
    assert mix is not None
    (plain,) = stream(images, 6, 10**6).micro_batches(step, CPU)
    mixed = joined(list(batches.micro_batches(step, CPU, mix)))
    for place in range(6):
        partner = int(mix.partner[place])
        own = plain.images[plain.case_of_image == place]
        other = plain.images[plain.case_of_image == partner]
        again = torch.stack([other[k % len(other)] for k in range(len(own))])
        expected = mix.share * own + (1 - mix.share) * again
        assert torch.allclose(mixed.images[mixed.case_of_image == place], expected, atol=1e-6)
    partners = torch.as_tensor(mix.partner)
    targets = mix.share * plain.targets + (1 - mix.share) * plain.targets[partners]
    assert torch.allclose(mixed.targets, targets)
    assert torch.equal(mixed.known, plain.known & plain.known[partners])


@pytest.mark.parametrize("micro", [1, 4, 10**6])
def test_cutmix_puts_a_square_of_the_partner_into_each_image(
    images: CaseImages, micro: int
) -> None:
    step, changes = 4, AugmentConfig(cutmix=1.0)
    mix = draw_cutmix(5, step, 6, 1.0, or_mixup=False)
    assert mix is not None
    (plain,) = stream(images, 6, 10**6).micro_batches(step, CPU)
    mixed = joined(list(stream(images, 6, micro, changes=changes).micro_batches(step, CPU)))
    side = round(8 * (1 - mix.share) ** 0.5)
    assert 0 < side < 8  # this step shows something
    places: set[tuple[int, int]] = set()
    for case in range(6):
        own = plain.images[plain.case_of_image == case]
        other = plain.images[plain.case_of_image == int(mix.partner[case])]
        for k, found in enumerate(mixed.images[mixed.case_of_image == case]):
            fits = [
                (y, x)
                for y in range(9 - side)
                for x in range(9 - side)
                if torch.equal(found, with_square(own[k], other[k % len(other)], y, x, side))
            ]
            assert fits
            places.update(fits if mix.partner[case] != case else [])
    assert len(places) > 1  # each image has a place of its own
    seen, partner = 1 - (side / 8) ** 2, torch.as_tensor(mix.partner)
    targets = seen * plain.targets + (1 - seen) * plain.targets[partner]
    assert torch.allclose(mixed.targets, targets)
    assert torch.equal(mixed.known, plain.known & plain.known[partner])


def with_square(own: torch.Tensor, other: torch.Tensor, y: int, x: int, side: int) -> torch.Tensor:
    found = own.clone()
    found[:, y : y + side, x : x + side] = other[:, y : y + side, x : x + side]
    return found


def test_cutmix_of_height_and_width_mixes_targets_by_the_area_that_is_seen(tmp_path: Path) -> None:
    spec = InputSpec((12, 9), (10, 6), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear")
    images = case_images(tmp_path, (1,) * 6, (12, 9), spec)
    step, changes = 4, AugmentConfig(cutmix=1.0)
    mix = draw_cutmix(5, step, 6, 1.0, or_mixup=False)
    assert mix is not None
    (plain,) = stream(images, 6, 10**6).micro_batches(step, CPU)
    (mixed,) = stream(images, 6, 10**6, changes=changes).micro_batches(step, CPU)
    assert mixed.images.shape == (6, 3, 10, 6)
    height, width = (round(side * (1 - mix.share) ** 0.5) for side in (10, 6))
    moved = mix.partner != np.arange(6)
    others = (mixed.images != plain.images).any(dim=1).sum(dim=(1, 2))[moved]
    assert 0 < int(others.max()) <= height * width
    assert int(others.min()) > 0.9 * height * width  # some pixels of both are alike by chance
    seen, partner = 1 - height * width / 60, torch.as_tensor(mix.partner)
    targets = seen * plain.targets + (1 - seen) * plain.targets[partner]
    assert torch.allclose(mixed.targets, targets)


def test_a_step_is_mixed_in_one_way_only(images: CaseImages) -> None:
    batches = stream(images, 6, 10**6, changes=AugmentConfig(cutmix=1.0))
    plain = stream(images, 6, 10**6)
    mixed_up = 0
    for step in range(60):
        mix = draw_mixup(5, step, 6, 1.0)
        (found,) = batches.micro_batches(step, CPU, mix)
        (mixup,) = plain.micro_batches(step, CPU, mix)
        mixed_up += same(found, mixup)
    assert 15 < mixed_up < 45


def test_no_squares_without_alpha() -> None:
    assert draw_cutmix(0, 0, 8, 0.0, or_mixup=False) is None


@pytest.mark.parametrize("size", [4, (4, 6)])
def test_images_are_smaller_up_to_a_step_and_are_the_same_images(
    images: CaseImages, size: ImageSize
) -> None:
    whole = stream(images)
    growing = TrainingBatches(
        images,
        3,
        micro_batch=4,
        augmentation=Augmentation(seed=5, flip="both"),
        growth=Growth(size, 2),
    )
    for step in range(4):
        mix = draw_mixup(5, step, 3, 0.3)
        parts = zip(
            whole.micro_batches(step, CPU, mix), growing.micro_batches(step, CPU, mix), strict=True
        )
        for expected, batch in parts:
            assert torch.equal(expected.targets, batch.targets)
            if step >= 2:
                assert torch.equal(expected.images, batch.images)
                continue
            assert batch.images.shape[2:] == height_width(size)
            pooled = nn.functional.adaptive_avg_pool2d(expected.images, height_width(size))
            closeness = torch.corrcoef(torch.stack([pooled.flatten(), batch.images.flatten()]))
            assert closeness[0, 1] > 0.8
