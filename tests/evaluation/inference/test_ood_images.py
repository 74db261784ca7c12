"""Real images: a network that knows chest films finds photographs of skin foreign."""

from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score

from medtransfer.data.cases import Cases
from medtransfer.data.images.cache import PixelCache
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.images.pictures import decode_image, resize_image
from medtransfer.data.loader import CaseImages
from medtransfer.evaluation.inference.features import outputs_of, read_ood_reference
from medtransfer.models.classifier import build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.posthoc.ood_detectors import ood_scores

SIDE, KNOWN, OTHERS = 128, 150, 100


class Shelf:
    """Images of a data set, grey as three channels."""

    def __init__(self, table: pl.DataFrame) -> None:
        plain = [
            resize_image(decode_image(data, 10**8), SIDE, "bicubic") for data in table["image"]
        ]
        wide = [np.repeat(p[:, :, None], 3, axis=2) if p.ndim == 2 else p for p in plain]
        self.pixels = np.stack(wide)

    def positions(self, image_ids: list[str]) -> np.ndarray:
        return np.array([int(name) for name in image_ids])


def images_of(table: pl.DataFrame, mean, std) -> CaseImages:
    names = np.array([str(number) for number in range(table.height)])
    targets = (table["label"] == table["label"].sort()[0]).cast(pl.Float64).to_numpy()
    cases = Cases(names, names, names, names, targets[:, None], tuple((n,) for n in names.tolist()))
    spec = InputSpec(SIDE, SIDE, mean, std, "bicubic")
    return CaseImages(cases, cast("PixelCache", Shelf(table)), spec)


@pytest.mark.slow
@pytest.mark.shared
def test_skin_is_foreign_to_a_network_that_knows_chests(shared: Path) -> None:
    built = build_classifier(
        ModelConfig(rung="imagenet/effnet-lite0"), 1, seed=0, device=torch.device("cpu")
    )
    facts = built.rung.architecture
    chests = pl.read_parquet(shared / "cxr_kermany.parquet").unique("patient_id").sort("image_id")
    skin = pl.read_parquet(shared / "derm_ham10000.parquet").head(OTHERS)
    known, others, foreign = (
        images_of(table, facts.mean, facts.std)
        for table in (chests[:KNOWN], chests[KNOWN : KNOWN + OTHERS], skin)
    )
    fitted = read_ood_reference(built.classifier, known, "binary")
    parts = [outputs_of(built.classifier, images) for images in (others, foreign)]
    features = np.concatenate([part.features for part in parts])
    logits = np.concatenate([part.logits for part in parts])
    truth = np.repeat([0, 1], OTHERS)
    areas = {
        name: roc_auc_score(truth, scores)
        for name, scores in ood_scores(fitted, features, logits).items()
    }
    assert areas["mahalanobis"] > 0.95
    assert areas["knn"] > 0.95
    # its head is at zero: from logits alone nothing can be told
    assert areas["energy"] == areas["max_probability"] == 0.5
