"""Features of cases that are extracted once and kept, for heads that are fitted many times.

Features lie in parts of the cases, each a sealed folder that is named by everything that makes
them. So no part is made twice, a pass that was stopped goes on, and the bits do not depend on
which run asked first. Neither ids nor labels are in a part: its rows are cases in their order.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medtransfer.data.loader import CaseImages
from medtransfer.evaluation.inference.predict import passes
from medtransfer.files import is_whole, make_folder, remove, seal_folder
from medtransfer.models.classifier import Classifier
from medtransfer.models.runtime import world
from medtransfer.models.tensors import read_tensors, write_tensors
from medtransfer.settings import digest

PART = 1024
"""Cases of a part: at most so many are lost when a pass is stopped."""
FILE = "features.safetensors"
NAME = "features"
FORMAT = 1
"""Part of every name; raised when the same network and images give other features."""


def kept_features(
    classifier: Classifier,
    images: CaseImages,
    contents: Sequence[Any],
    about: Mapping[str, object],
    parent: Path,
    heard: Callable[[int], None] = lambda _images: None,
) -> NDArray[np.float32]:
    """Features of cases, from the disk where they are there, else from one pass that is kept.

    Args:
        classifier: On the device it runs on; its head has no part in it.
        images: The cases, as they are tested.
        contents: Of each case what its images are, as JSON, e.g. their digests. N
        about: Everything else that makes the features: network, weights, input, precision.
        parent: Folder of the parts.
        heard: Hears of the images that went through the network, as they do.

    Returns:
        Before the head. [N, D]
    """
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(images), PART):
        rows = np.arange(start, min(start + PART, len(images)))
        digests = [contents[row] for row in rows.tolist()]
        name = digest({"format": FORMAT, **about, "cases": digests})[:24]
        folder = parent / name
        if is_whole(folder):
            parts.append(read_tensors(folder / FILE)[NAME].numpy())
            continue
        parts.append(np.concatenate(list(_extract(classifier, images, rows, heard))))
        if world().is_main:
            _keep(parts[-1], folder)
    return np.concatenate(parts)


def _extract(
    classifier: Classifier,
    images: CaseImages,
    rows: NDArray[np.int64],
    heard: Callable[[int], None],
) -> Iterator[NDArray[np.float32]]:
    before = images.cases.counts[rows]
    done = 0
    for features, _ in passes(classifier, images, rows):
        heard(int(before[done : done + len(features)].sum()))
        done += len(features)
        yield features[:, : classifier.image_width]  # clinical data are no part of it


def _keep(features: NDArray[np.float32], folder: Path) -> None:
    remove(folder)
    make_folder(folder)
    write_tensors({NAME: torch.as_tensor(np.ascontiguousarray(features))}, folder / FILE)
    seal_folder(folder)
