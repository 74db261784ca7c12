"""Randomness by name: ``(seed, purpose)`` gives a generator of its own.

No draw depends on how many draws came before it elsewhere, so order and augmentation are the
same whatever the number of workers, the micro-batch, the resume point or the engine.
"""

import hashlib
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose.

    Args:
        seed: The run's or the study's seed.
        purpose: What the draws are for, e.g. ``("order", 3)``; names and numbers.

    Returns:
        A non-negative integer below 2**63, equal on every machine and Python version.
    """
    text = "\x1f".join([str(seed), *(str(part) for part in purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """An independent numpy generator for ``(seed, purpose)``."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, *purpose)))


def text_keys(texts: Collection[str]) -> NDArray[np.uint64]:
    """A 64-bit key per text, for `uniforms`.

    Args:
        texts: Identifiers, e.g. image ids. [N]

    Returns:
        Keys that depend only on the text. [N]
    """
    digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def uniforms(
    seed: int, purpose: str, epochs: NDArray[np.int64], keys: NDArray[np.uint64]
) -> NDArray[np.float64]:
    """One uniform draw per row from a counter-based generator.

    A pure function of ``(seed, purpose, epoch, key)``: the draw for an image in an epoch is the
    same in whatever batch, order or process it is asked for.

    Args:
        seed: The run's seed.
        purpose: Name of the draw, e.g. ``"flip"``.
        epochs: How often the image was seen before. [N]
        keys: From `text_keys`. [N]

    Returns:
        Draws in [0, 1), 53 random bits each. [N]
    """
    base = np.uint64(derive_seed(seed, purpose))
    mixed = _mix(keys ^ _mix(epochs.astype(np.uint64) + base))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        words = words + np.uint64(0x9E3779B97F4A7C15)
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return words ^ (words >> np.uint64(31))
