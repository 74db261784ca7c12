"""Features of a rung whose network is not here: read, compared with the manifest, per case."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from medtransfer.data.audit.findings import Finding, finding_for_rows
from medtransfer.data.cases import Cases
from medtransfer.data.embeddings.cases import Coverage, case_embeddings, embedding_rows
from medtransfer.data.embeddings.files import Embeddings, read_embeddings
from medtransfer.errors import WeightsError, plural
from medtransfer.files import file_stamp
from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import find_rung
from medtransfer.models.rungs.start import METADATA_ONLY
from medtransfer.models.weight_files import find_weights, model_digest
from medtransfer.runs.embedded.case_features import CaseFeatures
from medtransfer.tables.manifest import Manifest

CODE = "A022"


def rung_embeddings(model: ModelConfig) -> Embeddings:
    """The features that a rung names.

    Raises:
        WeightsError: It names no file, or one that is not there.
        TableError: The file does not hold features.
    """
    return read_embeddings(_path(model), model.feature_ids)


def embeddings_digest(model: ModelConfig) -> str | None:
    """SHA-256 of a rung's file of features; read once in a process while it does not change.

    Returns:
        None for a rung that has none: clinical data alone.

    Raises:
        WeightsError: It names no file, or one that is not there.
    """
    if model.rung == METADATA_ONLY:
        return None
    path, ids = _path(model), model.feature_ids
    return _digest(model.rung, path, ids, file_stamp(path), ids and file_stamp(ids))


@lru_cache(maxsize=32)
def _digest(rung: str, path: Path, ids: Path | None, *_stamps: object) -> str:
    digest = model_digest(ModelConfig(rung=rung, features=path, feature_ids=ids))
    return digest or ""


def _path(model: ModelConfig) -> Path:
    path = find_weights(model)
    if path is None:
        raise WeightsError(f"Rung '{model.rung}' has no file of features.")
    return path


def read_case_features(model: ModelConfig, cases: Cases) -> CaseFeatures:
    """Features of all cases of a run; of width 0 for clinical data alone."""
    if model.rung == METADATA_ONLY:
        return CaseFeatures(np.sort(cases.case_ids), np.zeros((len(cases), 0), np.float32))
    embeddings, order = rung_embeddings(model), np.argsort(cases.case_ids)
    rows = embedding_rows(embeddings, cases)
    if rows is not None:  # no run needs a copy of the whole file
        return CaseFeatures(cases.case_ids[order], embeddings.values, rows[order])
    values = case_embeddings(embeddings, cases, model.pool)
    return CaseFeatures(cases.case_ids[order], values[order])


def coverage_findings(models: Iterable[ModelConfig], manifest: Manifest) -> Iterator[Finding]:
    """Ids that only the features of a rung or only the manifest has.

    Raises:
        WeightsError: A file is not there.
        TableError: A file does not hold features, or lacks those of whole cases.
    """
    for model in models:
        if find_rung(model.rung).reads_images or model.rung == METADATA_ONLY:
            continue
        coverage = Coverage.of(rung_embeddings(model), manifest)
        coverage.require_cases(model.rung)
        if coverage.extra:
            ids = plural(coverage.extra, "id")
            sentence = f"{ids} in the features of rung '{model.rung}' are not in the manifest"
            yield Finding(CODE, f"{sentence}: not used")
        if len(coverage.missing):
            images = plural(len(coverage.missing), "image")
            sentence = (
                f"{images} without features in the file of rung '{model.rung}': their cases are "
                "pooled over their other images"
            )
            yield finding_for_rows(CODE, sentence, coverage.missing)
