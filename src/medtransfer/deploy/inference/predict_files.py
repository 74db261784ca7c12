"""Predictions into a file, a part at a time: a stopped pass goes on where it was."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from medtransfer.data.images.scan import Progress, no_progress
from medtransfer.deploy.inference.decisions import BundlePredictions, CaseImagesRead, Scored
from medtransfer.deploy.inference.model import REFUSED_SCHEMA, BundleModel
from medtransfer.deploy.inference.sources import CaseRule, CaseSource
from medtransfer.errors import ConfigError, plural
from medtransfer.files import make_folder, remove, replacing
from medtransfer.settings import digest
from medtransfer.tables.schema import write_frame, write_spreadsheet

PART_CASES = 512
"""Cases of a part: at most so many are predicted again when a pass was stopped."""
ENDINGS_OUT = (".csv", ".parquet", ".jsonl")
SCORES, REFUSED, IMAGES = "scores", "refused", "images"
IMAGES_SCHEMA = {
    "case_id": pl.String,
    "read": pl.Int64,
    "refused": pl.Int64,
    "brightness": pl.Float64,
    "contrast": pl.Float64,
    "whole": pl.Int64,
}


@dataclass(frozen=True)
class PredictionFiles:
    """Files that `predict_files` wrote.

    Attributes:
        predictions: One row per case.
        refused: Images that could not be used; None if there were none.
        outcome: The same as tables.
        levels: One row per unit of several cases, by the level's name.
    """

    predictions: Path
    refused: Path | None
    outcome: BundlePredictions
    levels: Mapping[str, Path] = field(default_factory=dict[str, Path])


def predict_files(
    model: BundleModel,
    inputs: Any,
    out: Path | str,
    *,
    case: CaseRule = "auto",
    on_progress: Progress = no_progress,
) -> PredictionFiles:
    """Predict cases and write one row each.

    Scores are kept in ``OUT.parts`` until all are there, so that the same call goes on after it
    was stopped; a case whose file has changed is predicted again.

    Args:
        model: From `load_bundle`.
        inputs: As for `BundleModel.predict`; arrays are not taken.
        out: ``.csv``, ``.parquet`` or ``.jsonl``.
        case: As for `BundleModel.predict`.
        on_progress: Called with the numbers of images done and to do.

    Returns:
        The files, and what is in them.

    Raises:
        ConfigError: There is nothing to predict, or the file's ending is not known.
        TableError: The table cannot be read.
        BundleError: The bundle's weights cannot be used.
        StudyError: The disk is full.
    """
    out = Path(out)
    if out.suffix.lower() not in ENDINGS_OUT:
        raise ConfigError(
            f"\"{out.name}\" ends in '{out.suffix}' (allowed: {', '.join(ENDINGS_OUT)})."
        )
    source = model.source(inputs, case)
    parts = out.with_name(f"{out.name}.parts")
    make_folder(parts)
    counts = [request.images for request in source.cases]
    total, done = sum(counts), 0
    scored: list[Scored] = []
    for start in range(0, len(counts), PART_CASES):
        cases = range(start, min(start + PART_CASES, len(counts)))
        part = _Part(parts, model, source, cases)
        before = done
        done += sum(counts[start : cases.stop])
        outcome = part.kept()
        if outcome is None:
            outcome = part.make(
                lambda images, _of_part, before=before: on_progress(before + images, total)
            )
        else:
            on_progress(done, total)
        scored.append(outcome)
    outcome = model.decide(source, joined(scored))
    write_predictions_file(outcome.frame, out)
    refused = out.with_name(f"{out.stem}.refused.csv")
    remove(refused)
    if len(outcome.refused):
        write_spreadsheet(outcome.refused, refused)
    levels = {name: level_path(out, name) for name in outcome.levels}
    for name, path in levels.items():
        write_predictions_file(outcome.levels[name], path)
    remove(parts)
    return PredictionFiles(out, refused if len(outcome.refused) else None, outcome, levels)


def level_path(out: Path, level: str) -> Path:
    """File of the units of a level, beside that of the cases."""
    return out.with_name(f"{out.stem}.{re.sub(r'[^A-Za-z0-9_-]', '_', level)}{out.suffix}")


def prediction_summary(files: PredictionFiles) -> str:
    """Counts of an outcome on one line, and what was assumed on others."""
    outcome = files.outcome
    images = int(outcome.frame["images"].sum()) if "images" in outcome.frame.columns else 0
    parts = [f"{plural(images, 'image')} of {plural(len(outcome.frame), 'case')}"]
    if files.refused is not None:
        lost = len(outcome.refused)
        parts.append(f"{plural(lost, 'image')} could not be used ({files.refused.name})")
    if whole := outcome.whole_images:
        parts.append(f"{plural(whole, 'image')} without a clear breast, taken whole")
    if outcome.unpredicted:
        parts.append(f"{plural(outcome.unpredicted, 'case')} without a prediction")
    parts += [
        f"{plural(outcome.out_of_distribution, 'case')} unlike the training data",
        f"{outcome.deferred:,} deferred",
    ]
    units = [
        f"{plural(len(table), 'unit')} by {name}, {int(table['deferred'].sum()):,} deferred: "
        f"{files.levels[name]}"
        for name, table in outcome.levels.items()
    ]
    last = f"Predictions: {files.predictions}"
    return "\n".join([" · ".join(parts), *outcome.notes, *units, last])


def write_predictions_file(frame: pl.DataFrame, path: Path) -> None:
    """Write one row per case as ``.csv``, ``.parquet`` or ``.jsonl``."""
    if path.suffix.lower() != ".jsonl":
        write_spreadsheet(frame, path)
        return
    content = io.BytesIO()
    frame.write_ndjson(content)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())


def joined(scored: Sequence[Scored]) -> Scored:
    """Scores of several parts together."""
    tables = [part.scores for part in scored if len(part.scores)]
    images: dict[str, CaseImagesRead] = {}
    for part in scored:
        images |= part.images
    refused = pl.concat([pl.DataFrame(schema=REFUSED_SCHEMA), *(part.refused for part in scored)])
    return Scored(pl.concat(tables) if tables else pl.DataFrame(), refused, images)


class _Part:
    """Scores of some cases on disk, named by everything that they are made from."""

    def __init__(
        self, folder: Path, model: BundleModel, source: CaseSource, cases: Sequence[int]
    ) -> None:
        self._model, self._source, self._cases = model, source, cases
        made_from = {
            "columns": list(IMAGES_SCHEMA),
            "bundle": model.bundle.digest,
            "any_modality": model.any_modality,
            "runtime": model.runtime,
            "precision": model.used_precision,
            "clinical": None
            if model.clinical is None
            else model.clinical.cells(source, cases).rows(),
            "cases": [[source.cases[case].case_id, source.stamp(case)] for case in cases],
        }
        self._stem = folder / digest(made_from)[:24]

    def kept(self) -> Scored | None:
        """The scores, if an earlier pass finished them."""
        try:
            images = pl.read_parquet(self._path(IMAGES))  # written last
            scores = pl.read_parquet(self._path(SCORES))
            refused = pl.read_parquet(self._path(REFUSED))
        except (OSError, pl.exceptions.PolarsError):
            return None
        counts = {case: CaseImagesRead(*of_case) for case, *of_case in images.iter_rows()}
        return Scored(scores if scores.width > 1 else pl.DataFrame(), refused, counts)

    def make(self, on_progress: Progress) -> Scored:
        """Make the scores and keep them."""
        scored = self._model.score(self._source, self._cases, on_progress)
        scores = scored.scores if len(scored.scores) else pl.DataFrame({"none": [0]})
        rows = [(case, *astuple(counts)) for case, counts in scored.images.items()]
        write_frame(scores, self._path(SCORES))
        write_frame(scored.refused, self._path(REFUSED))
        write_frame(pl.DataFrame(rows, schema=IMAGES_SCHEMA, orient="row"), self._path(IMAGES))
        return scored

    def _path(self, table: str) -> Path:
        return self._stem.with_name(f"{self._stem.name}.{table}.parquet")
