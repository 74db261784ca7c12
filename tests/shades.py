"""Pictures whose class is how bright they are: a few steps of pre-training learn something."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from medtransfer.data.images.pictures import encode_png


def write_shades(path: Path) -> None:
    """A table of 60 pictures of three shades, 48 of them to train on."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for number in range(60):
        label = number % 3
        pixels = rng.normal(40 + 85 * label, 12, (24, 24, 3)).clip(0, 255).astype(np.uint8)
        split = "val" if number % 5 == 4 else "train"
        rows.append({"image": encode_png(pixels), "label": f"shade{label}", "split": split})
    pl.DataFrame(rows).write_parquet(path)
