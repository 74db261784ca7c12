"""Features of a rung's network for the images of a manifest, written to a file."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.cases import Cases
from medtransfer.data.images.cache import PixelCache, prepare_cache
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.data.images.scan import no_progress, scan_images
from medtransfer.data.loader import CaseImages
from medtransfer.errors import ConfigError
from medtransfer.evaluation.inference.predict import passes
from medtransfer.files import make_folder, sha256
from medtransfer.models.classifier import build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import find_rung
from medtransfer.runs.inputs import known_architecture
from medtransfer.runs.transfer import pick_device
from medtransfer.tables.manifest import Manifest, read_manifest
from medtransfer.tables.schema import write_frame
from medtransfer.training.bit_hyperrule import resolution
from medtransfer.training.config import TrainingConfig

IMAGES_AT_ONCE = 2048
"""Images that are decoded and kept on disk until they went through the network."""
PIXEL_LIMIT = 100_000_000


@dataclass(frozen=True)
class FeatureFile:
    """A file of features that was written.

    Attributes:
        path: Parquet with `image_id` and `features`.
        images: Number of rows.
        width: Length of a feature vector.
        size: Side of the images in pixels.
        weights: SHA-256 of the network's weights; None for random ones.
        sha256: Of the file.
        seconds: Time that it took.
    """

    path: Path
    images: int
    width: int
    size: int
    weights: str | None
    sha256: str
    seconds: float


def write_features(
    rung: str,
    manifest: Path,
    out: Path,
    *,
    weights: Path | None = None,
    image_root: Path | None = None,
    size: int | None = None,
    training: TrainingConfig | None = None,
    progress: Callable[[int, int], None] = no_progress,
) -> FeatureFile:
    """Write the features of every image of a manifest, before the head, as a probe sees them.

    Args:
        rung: A rung with a network.
        manifest: One row per image; no labels are read.
        out: ``.parquet`` to write.
        weights: Weights file of a `file/…` rung, or another place.
        image_root: Folder that `path` cells are relative to; the manifest's own by default.
        size: Side in pixels that images are resized to; by default the rule of studies, from their
            median area.
        training: Device and precision.
        progress: Called with images done and their number.

    Returns:
        Facts of the file. `rung: embeddings/NAME` with `features:` takes it into a study.

    Raises:
        ConfigError: There is no such rung, it has no network, or `out` does not end in .parquet.
        MedTransferError: Weights or images are missing or damaged.
    """
    start = time.monotonic()
    if not find_rung(rung).reads_images:
        raise ConfigError(f"Rung '{rung}' is a file of features: there is no network to run.")
    if out.suffix.lower() != ".parquet":
        raise ConfigError(f'"{out.name}" is no name for a table of features (allowed: .parquet).')
    table = read_manifest(manifest, image_root=image_root)
    config = training or TrainingConfig()
    make_folder(out.parent)
    with tempfile.TemporaryDirectory(prefix=".features-", dir=out.parent) as scratch:
        facts = scan_images(table, PIXEL_LIMIT, Path(scratch) / "facts.parquet")
        area = float(np.median((facts["width"] * facts["height"]).to_numpy()))
        side = resolution(area)[1] if size is None else size
        architecture = known_architecture(rung)
        spec = InputSpec(
            side, side, architecture.mean, architecture.std, architecture.interpolation
        )
        device = pick_device(config)
        # a file of features has no folder in which a measured precision could be kept: of two
        # machines, or of one at two times, the numbers would differ
        precision = "float32" if config.precision == "auto" else config.precision
        built = build_classifier(
            ModelConfig(rung=rung, weights=weights),
            targets=1,
            seed=0,
            device=device,
            precision=precision,
            input_size=side,
        )
        classifier = built.classifier.to(device).eval()
        recipe = PixelRecipe(side, spec.interpolation, PIXEL_LIMIT)
        parts: list[NDArray[np.float32]] = []
        for first in range(0, len(table), IMAGES_AT_ONCE):
            rows = np.arange(first, min(first + IMAGES_AT_ONCE, len(table)))
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                cached = prepare_cache(table, rows, facts, recipe, parent=Path(folder))
                images = CaseImages(_single_images(table, rows), PixelCache(cached), spec)
                parts += [features for features, _ in passes(classifier, images)]
            progress(int(rows[-1]) + 1, len(table))
    values = np.concatenate(parts)
    vectors = pl.Series("features", values).cast(pl.List(pl.Float32))
    write_frame(pl.DataFrame([table.frame["image_id"], vectors]), out)
    return FeatureFile(
        path=out,
        images=len(values),
        width=values.shape[1],
        size=side,
        weights=built.weights,
        sha256=sha256(out),
        seconds=round(time.monotonic() - start, 1),
    )


def _single_images(manifest: Manifest, rows: NDArray[np.int64]) -> Cases:
    """Each image as a case of its own, without labels."""
    frame = manifest.frame[rows]
    ids = frame["image_id"].to_list()
    return Cases(
        case_ids=np.array(ids, dtype=np.str_),
        patient_ids=np.array(frame["patient_id"].to_list(), dtype=np.str_),
        cohorts=np.array(frame["cohort"].to_list(), dtype=np.str_),
        splits=np.full(len(ids), "test"),
        targets=np.full((len(ids), 1), np.nan),
        images=[(name,) for name in ids],
    )
