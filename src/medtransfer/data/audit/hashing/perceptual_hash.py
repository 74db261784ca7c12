"""Perceptual hashes of thumbnails, and all pairs of them within a radius.

A hash is 64 signs of the thumbnail's lowest frequencies (a discrete cosine transform), each against
its median over the data set: half of the images have each bit, so that films of one body part,
which look alike, do not share a hash. Turning or mirroring an image swaps and flips frequencies, so
the hash of a turned image needs no second look at it.

Pairs are found without comparing all: of four 16-bit parts of two hashes that differ in at most
`RADIUS` bits, one differs in at most a quarter of that, and is looked up in an index.
"""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Codes = NDArray[np.uint64]
SIDE = 32
"""Side of a thumbnail in pixels."""
RADIUS = 11
"""Bits in which the hashes of two images may differ. A gamma of 0.7 or 1.4 changes up to 10 bits of
nine in ten images, JPEG at quality 20 up to 4; unrelated images differ in 32."""
DIRECT = 2_000
"""Up to so many hashes are compared all with all: building an index would take longer."""
BLOCK = 16_384
"""Queries between two reports of progress."""
_SUM = 10


class Turn(NamedTuple):
    """One of the eight orientations of a square: transposed first, then flipped."""

    name: str
    transposed: bool
    down: bool
    across: bool


TURNS = (
    Turn("as it is", False, False, False),
    Turn("mirrored", False, False, True),
    Turn("upside down", False, True, False),
    Turn("turned by 180°", False, True, True),
    Turn("transposed", True, False, False),
    Turn("turned by 90°", True, False, True),
    Turn("turned by 270°", True, True, False),
    Turn("transposed the other way", True, True, True),
)


def _frequencies() -> NDArray[np.int64]:
    """The 64 lowest, without the mean; the set is the same with its axes swapped. [64, 2]"""
    pairs = [(u, v) for u in range(_SUM + 1) for v in range(_SUM + 1 - u) if u + v > 0]
    half = _SUM // 2
    return np.array([pair for pair in pairs if pair != (half, half)])


FREQUENCIES = _frequencies()
_SWAPPED = np.array([FREQUENCIES.tolist().index([v, u]) for u, v in FREQUENCIES.tolist()])


def normalised(thumbs: NDArray[np.uint8]) -> Floats:
    """Thumbnails with mean 0 and standard deviation 1; brightness and contrast are gone.

    Args:
        thumbs: [N, SIDE, SIDE]

    Returns:
        [N, SIDE * SIDE]
    """
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(flat.std(axis=1, keepdims=True), np.float32(1e-3))
    return flat


def frequencies(thumbs: NDArray[np.uint8]) -> Floats:
    """The lowest frequencies of thumbnails. [N, SIDE, SIDE] -> [N, 64]"""
    wave = np.cos(np.pi / SIDE * np.outer(np.arange(SIDE) + 0.5, np.arange(SIDE)))
    down, across = wave[:, FREQUENCIES[:, 0]], wave[:, FREQUENCIES[:, 1]]
    basis = (down[:, None, :] * across[None, :, :]).reshape(SIDE * SIDE, -1).astype(np.float32)
    out = np.empty((len(thumbs), basis.shape[1]), dtype=np.float32)
    for start in range(0, len(thumbs), BLOCK):
        block = slice(start, start + BLOCK)
        out[block] = normalised(thumbs[block]) @ basis
    return out


def turned_frequencies(values: Floats, turn: Turn) -> Floats:
    """The frequencies of the turned images. [N, 64]"""
    out = values[:, _SWAPPED] if turn.transposed else values
    signs = (-1.0) ** (turn.down * FREQUENCIES[:, 0] + turn.across * FREQUENCIES[:, 1])
    return out * signs.astype(np.float32)


def turned(thumbs: NDArray[np.uint8], turn: Turn) -> NDArray[np.uint8]:
    """The turned thumbnails. [N, SIDE, SIDE]"""
    out = thumbs.transpose(0, 2, 1) if turn.transposed else thumbs
    return out[:, :: -1 if turn.down else 1, :: -1 if turn.across else 1]


def codes_of(values: Floats, thresholds: Floats) -> Codes:
    """Hashes: one bit per frequency that is over its threshold. [N, 64], [64] -> [N]"""
    packed = np.packbits(values > thresholds, axis=1)
    return np.ascontiguousarray(packed).view(np.uint64).ravel()


def close_pairs(
    queries: Codes,
    codes: Codes,
    radius: int = RADIUS,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[NDArray[np.int32]]:
    """All pairs of a query and a later code that differ in at most `radius` bits, each once.

    Args:
        queries: Hash of each image, turned. [N]
        codes: Hash of each image. [N]
        radius: 0 to 15.
        progress: Called with (done, total) queries.

    Yields:
        Query, code and distance, code > query. [3, P]
    """
    if len(codes) <= DIRECT:
        yield _compared(queries, codes, radius)
        progress(len(codes), len(codes))
        return
    yield from _looked_up(queries, codes, radius, progress)


def _compared(queries: Codes, codes: Codes, radius: int) -> NDArray[np.int32]:
    parts: list[NDArray[np.int32]] = []
    for start in range(0, len(codes), 256):
        distance = np.bitwise_count(queries[start : start + 256, None] ^ codes[None, :])
        near = distance <= radius
        query, code = np.nonzero(near)
        later = code > query + start
        close = (query[later] + start, code[later], distance[near][later])
        parts.append(np.stack([part.astype(np.int32) for part in close]))
    return np.concatenate(parts, axis=1) if parts else np.zeros((3, 0), dtype=np.int32)


def _looked_up(
    queries: Codes, codes: Codes, radius: int, progress: Callable[[int, int], None]
) -> Iterator[NDArray[np.int32]]:
    from medtransfer.data.audit.hashing.hash_kernel import close_in_index

    order, offsets = _index(codes)
    reach = radius // 4
    masks = _masks(reach)
    bits = np.bitwise_count(np.arange(1 << 16, dtype=np.uint32)).astype(np.uint8)
    room = np.empty((3, 1 << 18), dtype=np.int32)
    for start in range(0, len(codes), BLOCK):
        stop = min(start + BLOCK, len(codes))
        while True:
            count = close_in_index(
                queries=queries,
                start=start,
                stop=stop,
                codes=codes,
                order=order,
                offsets=offsets,
                masks=masks,
                bits=bits,
                radius=radius,
                reach=reach,
                pairs=room,
            )
            if count <= room.shape[1]:
                break
            room = np.empty((3, 2 * count), dtype=np.int32)
        yield room[:, :count].copy()
        progress(stop, len(codes))


def _index(codes: Codes) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Codes sorted by each of their four parts, and the offset of each value."""
    order = np.empty((4, len(codes)), dtype=np.int32)
    offsets = np.zeros((4, (1 << 16) + 1), dtype=np.int64)
    for part in range(4):
        value = ((codes >> np.uint64(16 * part)) & np.uint64(0xFFFF)).astype(np.int64)
        order[part] = np.argsort(value, kind="stable")
        offsets[part, 1:] = np.cumsum(np.bincount(value, minlength=1 << 16))
    return order, offsets


def _masks(reach: int) -> Codes:
    """Every 16-bit number of at most `reach` bits."""
    chosen = (bits for size in range(reach + 1) for bits in combinations(range(16), size))
    return np.array([sum(1 << bit for bit in bits) for bits in chosen], dtype=np.uint64)
