"""MedMNIST's file: arrays by part, labels in a column."""

from pathlib import Path

import numpy as np


def write(folder: Path) -> None:
    """One subset of a few pictures."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 6), ("val", 3), ("test", 4)):
        arrays[f"{part}_images"] = rng.integers(0, 255, (count, 28, 28), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(count) % 2).reshape(-1, 1).astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "pneumoniamnist.npz", **arrays)
