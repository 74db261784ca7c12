"""Read speed of prepared images, against JPEG files and against no reading at all.

    python benchmarks/cache.py [--quick]

(a) 512 px, one channel of 8 bits, read one by one in random order through `PixelCache`, from the
    page cache, on one core. Goal: 5,000 images/s, and 5 times the fastest of three libraries that
    decode JPEG files of the same images (Pillow, simplejpeg, OpenCV; quality 90; from bytes in
    memory, so reading the files costs them nothing).
(b) the same in batches of 32, cropped, flipped and normalised, by `TrainingBatches` (no goal).
(c) a training loop of a small network on `TrainingBatches` against the same loop on random tensors
    in memory, alternating. Goal: 0.95 times its speed.

The images are phantom radiographs, whose JPEG files have a typical size. Decoders run
single-threaded, like a worker of a loader.
"""

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from medtransfer.data.augment import Augmentation
from medtransfer.data.cases import Cases
from medtransfer.data.images.cache import CachedImages, PixelCache
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.data.images.shards import PixelFormat, write_shard
from medtransfer.data.loader import CaseImages, TrainingBatches

SIZE, CROP, PER_SECOND, TIMES, SHARE = 512, 480, 5000.0, 5.0, 0.95
CPU = torch.device("cpu")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few images, under a minute")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as place:
        originals = drawn(64)
        names = [f"i{n}" for n in range(500 if quick else 4000)]
        cache = filled(Path(place), originals, names)
        met = [against_jpeg(cache, originals, 2 if quick else 5)]
        batches(cache, names)
        met.append(against_random(Path(place) / "train", 4 if quick else 20))
    missed = [part for part, good in zip("ac", met, strict=True) if not good]
    print(f"goals missed: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


def drawn(count: int) -> NDArray[np.uint8]:
    """Smooth images with noise, like radiographs. [count, SIZE, SIZE]"""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 24, 24), dtype=np.uint8)
    smooth = [Image.fromarray(c).resize((SIZE, SIZE), Image.Resampling.BICUBIC) for c in coarse]
    noise = rng.normal(0, 4, (count, SIZE, SIZE))
    return np.clip(np.stack([np.asarray(s) for s in smooth]) + noise, 0, 255).astype(np.uint8)


def filled(folder: Path, originals: NDArray[np.uint8], names: list[str]) -> PixelCache:
    """Cache of the repeated images, in shards of 250."""
    size = originals.shape[1]
    recipe, kind = PixelRecipe(size, "bilinear", 10**8), PixelFormat(size, 1, 8)
    wanted = pl.DataFrame({"image_id": names, "content": names, "decoder": "drawn"})
    for start in range(0, len(names), 250):
        part = wanted[start : start + 250]
        own = (originals[n % len(originals)][:, :, None] for n in range(start, start + len(part)))
        write_shard(folder, kind, recipe.codec, part, own)
    formats = wanted.with_columns(channels=pl.lit(kind.channels), bits=pl.lit(kind.bits))
    return PixelCache(CachedImages(folder, recipe, formats))


def rate(work: Callable[[], int], repeats: int) -> float:
    """Images per second: median of several repetitions after a warm-up."""
    work()
    found: list[float] = []
    for _ in range(repeats):
        begun = time.perf_counter()
        count = work()
        found.append(count / (time.perf_counter() - begun))
    return statistics.median(found)


def against_jpeg(cache: PixelCache, originals: NDArray[np.uint8], repeats: int) -> bool:
    order = np.random.default_rng(1).permutation(len(cache.pixels)).tolist()
    own = np.empty((SIZE, SIZE, 1), np.uint8)

    def read() -> int:
        for place in order:
            own[:] = cache.pixels[place]  # copy into memory: a mapped page is not read yet
        return len(order)

    ours = rate(read, repeats)
    files = [encoded(original) for original in originals]
    kib = statistics.mean(len(data) for data in files) / 1024
    print(f"(a) {len(order):,} images of {SIZE} px, one channel, {kib:.0f} KiB as JPEG")
    print(f"    cache       {ours:9,.0f} images/s")
    fastest = 0.0
    for name, decode in DECODERS.items():

        def unpack(decode: Callable[[bytes], NDArray[np.uint8]] = decode) -> int:
            for data in files:
                assert decode(data).size == SIZE * SIZE
            return len(files)

        theirs = rate(unpack, repeats)
        fastest = max(fastest, theirs)
        print(f"    {name:<11} {theirs:9,.0f} images/s")
    met = goal(f"{ours:,.0f} images/s", ours >= PER_SECOND, f"{PER_SECOND:,.0f}")
    return met & goal(f"{ours / fastest:.1f} times JPEG", ours >= TIMES * fastest, f"{TIMES:.0f}")


def encoded(original: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(original).save(stream, "JPEG", quality=90)
    return stream.getvalue()


DECODERS: dict[str, Callable[[bytes], NDArray[np.uint8]]] = {
    "Pillow": lambda data: np.asarray(Image.open(io.BytesIO(data))),
    "simplejpeg": lambda data: simplejpeg.decode_jpeg(data, "GRAY"),
    "OpenCV": lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE),
}


HALF = (0.5, 0.5, 0.5)


def cases_of(cache: PixelCache, names: list[str], size: int, crop: int) -> CaseImages:
    spec = InputSpec(size, crop, HALF, HALF, "bilinear")
    ids = np.array(names)
    targets = (np.arange(len(names)) % 2).astype(float)[:, None]
    kinds = np.full(len(names), "train")
    return CaseImages(
        Cases(ids, ids, kinds, kinds, targets, tuple((n,) for n in names)), cache, spec
    )


def batches(cache: PixelCache, names: list[str]) -> None:
    images = cases_of(cache, names, SIZE, CROP)
    stream = TrainingBatches(images, 32, micro_batch=32, augmentation=Augmentation(0, "horizontal"))

    def load() -> int:
        return sum(len(batch) for step in range(8) for batch in stream.micro_batches(step, CPU))

    print(f"(b) training batches of 32 at {CROP} px, three channels: {rate(load, 3):,.0f} images/s")


def against_random(folder: Path, repeats: int) -> bool:
    size, crop, count, steps = 160, 128, 32, 6
    small = np.ascontiguousarray(drawn(64)[:, :size, :size])
    names = [f"t{n}" for n in range(512)]
    images = cases_of(filled(folder, small, names), names, size, crop)
    stream = TrainingBatches(
        images, count, micro_batch=count, augmentation=Augmentation(0, "horizontal")
    )
    network = small_network()
    optimiser = torch.optim.SGD(network.parameters(), 0.01)
    random = [(torch.randn(count, 3, crop, crop), torch.zeros(count, 1)) for _ in range(steps)]

    def learn(images: torch.Tensor, targets: torch.Tensor) -> None:
        loss = nn.functional.binary_cross_entropy_with_logits(network(images), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def on_cache() -> float:
        begun = time.perf_counter()
        for step in range(steps):
            for batch in stream.micro_batches(step, CPU):
                learn(batch.images, batch.targets)
        return time.perf_counter() - begun

    def on_random() -> float:
        begun = time.perf_counter()
        for one, target in random:
            learn(one, target)
        return time.perf_counter() - begun

    on_cache()
    on_random()
    pairs = [(on_random(), on_cache()) for _ in range(repeats)]  # alternate: speed drifts
    share = statistics.median(theirs / ours for theirs, ours in pairs)
    speed = count * steps / statistics.median(ours for _, ours in pairs)
    weights = sum(weight.numel() for weight in network.parameters())
    print(f"(c) {weights:,} weights at {crop} px: {speed:,.0f} images/s on the cache")
    return goal(f"{share:.3f} times the speed on random tensors", share >= SHARE, f"{SHARE}")


def small_network() -> nn.Module:
    """Four convolutions: far less work per image than any rung of the ladder."""
    widths = (3, 16, 32, 64, 128)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 1))


def goal(text: str, met: bool, wanted: str) -> bool:
    print(f"    {text}; goal {wanted}: {'met' if met else 'MISSED'}")
    return met


if __name__ == "__main__":
    sys.exit(main())
