"""Labelled cases of a hospital, scored by a bundle."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.data.cases import build_cases, reported_groups
from medtransfer.data.config import DataConfig, LabelPolicy
from medtransfer.data.images.scan import Progress, no_progress
from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.deploy.inference.model import BundleModel
from medtransfer.deploy.inference.sources import CaseSource
from medtransfer.deploy.validation.overlap import training_overlap, without_cases
from medtransfer.errors import TableError, listed, plural, suggestion
from medtransfer.evaluation.comparison.attributes.attribute_table import proposed_names
from medtransfer.posthoc.adaptation.home_features import HomeFeatures
from medtransfer.tables.manifest import MANIFEST_CONTRACT, Manifest, read_manifest
from medtransfer.tables.schema import raise_faults
from medtransfer.tables.values.ages import with_age_groups
from medtransfer.tables.values.personal_columns import personal_faults
from medtransfer.tables.values.reading import ReadCells, Roles, read_cells
from medtransfer.tables.values.sex import names_sex
from medtransfer.tables.values.value_map import ValueMap


@dataclass(frozen=True)
class LabelledPatients:
    """Labelled patients of a hospital, counted before an image is read.

    Attributes:
        hospital: Its name.
        number: Of the patients.
        positive: Patients with a positive case, by target; in a single-label task by class.
        negative: Patients with a negative case, likewise.
    """

    hospital: str
    number: int
    positive: Mapping[str, int]
    negative: Mapping[str, int]


PatientCheck = Callable[[LabelledPatients], None]
"""Called with the labelled patients of a hospital; it may refuse them."""


def accept_any(_patients: LabelledPatients) -> None:
    """Take any patients."""


@dataclass(frozen=True)
class LabelledScores:
    """Scores of a hospital's labelled cases.

    Attributes:
        scores: Predictions table with targets, a row per case and member.
        attributes: `case_id` and the attributes to report by.
        refused: `case_id`, `image` and `reason` of every image that could not be used.
        notes: What was found, left out and assumed, in sentences.
        source: The cases with their images, also those that were left out.
        features: Seen by the head of each network, in order; none if they were not asked for.
    """

    scores: pl.DataFrame
    attributes: pl.DataFrame
    refused: pl.DataFrame
    notes: tuple[str, ...]
    source: CaseSource
    features: tuple[HomeFeatures, ...] = ()


def score_labelled(
    model: BundleModel,
    manifest: Path,
    *,
    cohort: str | None = None,
    attributes: Sequence[str] | None = None,
    image_root: Path | None = None,
    values: ValueMap | None = None,
    on_progress: Progress = no_progress,
    with_features: bool = False,
    check: PatientCheck = accept_any,
) -> LabelledScores:
    """Predict a hospital's labelled cases; what was trained on is looked for first.

    Args:
        model: From `load_bundle`.
        manifest: Manifest with the bundle's targets.
        cohort: Hospital to take, if the manifest has several.
        attributes: Columns to report by; those that `init` proposes by default.
        image_root: Folder that `path` cells are relative to; the manifest's own by default.
        values: Values to read in place of others, by column: ``{"sex": {"w": "F", "m": "M"}}``.
        on_progress: Called with the numbers of images done and to do.
        with_features: True to keep what the head of each network sees of each case.
        check: Called before any image is read, and again without patients that were trained on.

    Raises:
        TableError: The manifest cannot be used, there is no such cohort, no label, or no case that
            was not trained on.
    """
    data = data_config(model.facts, manifest)
    table = read_manifest(
        manifest,
        targets=data.names,
        class_column=data.class_column,
        attributes=attributes or (),
        image_root=image_root,
        values=values,
    )
    raise_faults(MANIFEST_CONTRACT, manifest, personal_faults(table.frame, attributes or ()))
    frame = _of_cohort(table.frame, cohort)
    table = replace(table, frame=frame)
    source = model.source(table)
    labels = label_table(table, data)
    _check_patients(frame, labels, check)
    overlap = training_overlap(source, model.facts, model.bundle.training_digests)
    kept = np.flatnonzero(~overlap.cases).tolist()
    labels = without_cases(labels, source, overlap.cases)
    blank = labels.filter(pl.all_horizontal(pl.exclude("case_id").is_null()))
    if len(blank) == len(labels):
        columns = [data.class_column] if data.class_column else list(data.names)
        raise TableError(f"No case has a label ({listed(columns)}): nothing can be validated.")
    _check_patients(frame, labels, check)
    scored = model.score(source, kept, on_progress, with_features=with_features)
    if scored.scores.is_empty():
        raise TableError("No image of the manifest could be used, so nothing can be validated.")
    blank_targets = [f"target_{name}" for name in data.names]
    scores = scored.scores.drop(blank_targets).join(labels, on="case_id", how="left")
    notes = [*overlap.notes, *table.notes]
    notes += [] if model.clinical is None else model.clinical.notes(source)
    if len(blank):
        notes.append(f"{plural(len(blank), 'case')} without a label count for the OOD share alone.")
    if len(scored.refused):
        notes.append(f"{plural(len(scored.refused), 'image')} could not be used (refused.csv).")
    names = attributes
    if names is None:
        names, attribute_cells = _proposed(frame, data, values or {})
        frame, notes = attribute_cells.frame, [*notes, *attribute_cells.notes]
    notes += with_age_groups(frame, names)[1]
    return LabelledScores(
        scores=scores,
        attributes=reported_groups(frame, names),
        refused=scored.refused,
        notes=tuple(notes),
        source=source,
        features=scored.features,
    )


def data_config(facts: BundleFacts, manifest: Path) -> DataConfig:
    """Targets and label policies of a bundle, for a hospital's manifest."""
    return DataConfig(
        manifest=manifest,
        task=facts.task,
        targets={
            target.name: LabelPolicy(uncertain=target.uncertain, empty=target.empty)
            for target in facts.targets
        },
        class_column=facts.class_column,
    )


def label_table(table: Manifest, data: DataConfig) -> pl.DataFrame:
    """`case_id` and `target_<name>` of every case, null where there is no label."""
    cases = build_cases(table.frame.with_columns(split=pl.lit("test")), data)
    return pl.DataFrame(
        {
            "case_id": cases.case_ids.tolist(),
            **{
                f"target_{name}": pl.Series(cases.targets[:, column]).fill_nan(None)
                for column, name in enumerate(data.names)
            },
        }
    )


def _check_patients(frame: pl.DataFrame, labels: pl.DataFrame, check: PatientCheck) -> None:
    """Let the labelled patients be checked; that there are none is said elsewhere."""
    labelled = labels.filter(pl.any_horizontal(pl.exclude("case_id").is_not_null()))
    patients = frame.select("case_id", "patient_id", "cohort").unique("case_id")
    rows = labelled.join(patients, on="case_id")
    if rows.is_empty():
        return
    names = [name for name in labelled.columns if name != "case_id"]

    def count(value: float) -> dict[str, int]:
        of_value = {name: rows.filter(pl.col(name) == value) for name in names}
        prefix = "target_"
        return {n.removeprefix(prefix): r["patient_id"].n_unique() for n, r in of_value.items()}

    check(
        LabelledPatients(
            hospital=str(rows["cohort"][0]),
            number=rows["patient_id"].n_unique(),
            positive=count(1.0),
            negative=count(0.0),
        )
    )


def _of_cohort(frame: pl.DataFrame, cohort: str | None) -> pl.DataFrame:
    cohorts = frame["cohort"].unique().sort().to_list()
    if cohort is None:
        if len(cohorts) > 1:
            raise TableError(
                f"The manifest has {len(cohorts)} cohorts: {listed(cohorts)}. Name one hospital "
                "with --cohort."
            )
        return frame
    if cohort not in cohorts:
        hint = suggestion(cohort, cohorts) or f"Cohorts: {listed(cohorts)}."
        raise TableError(f"The manifest has no cohort '{cohort}'. {hint}")
    return frame.filter(pl.col("cohort") == cohort)


def _proposed(
    frame: pl.DataFrame, data: DataConfig, values: ValueMap
) -> tuple[Sequence[str], ReadCells]:
    """Attributes that nobody named, and the table with their cells read as those of attributes."""
    answers = [*data.names, *([data.class_column] if data.class_column else [])]
    names, notes = proposed_names(frame, answers, values)
    plain = [name for name in names if not names_sex(name)]  # sexes are read already
    cells = read_cells(frame, plain, Roles(attributes=plain), values)
    return names, replace(cells, notes=(*notes, *cells.notes))
