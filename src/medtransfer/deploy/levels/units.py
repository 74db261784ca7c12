"""Decisions on units of several cases, as exams of two breasts, by the rules of a bundle."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from medtransfer.deploy.bundle.facts.targets import LevelFacts
from medtransfer.deploy.bundle.schema import BundleFacts, level_facts
from medtransfer.deploy.inference.decisions import CaseImagesRead, case_decisions
from medtransfer.deploy.inference.sources import CaseSource, FileSource, ManifestSource
from medtransfer.errors import plural
from medtransfer.evaluation.comparison.levels.predictions import level_predictions
from medtransfer.evaluation.comparison.levels.units import level_units, require_whole_units
from medtransfer.tables.predictions import OOD_PREFIX

SIDE = "side"
"""Rule by which files of one study become a case a side: the study is their unit."""


def unit_decisions(
    facts: BundleFacts,
    source: CaseSource,
    scores: pl.DataFrame,
    images: Mapping[str, CaseImagesRead],
) -> tuple[dict[str, pl.DataFrame], list[str]]:
    """Decisions on the units of each level of a bundle.

    Args:
        facts: Of the bundle.
        source: Of the cases.
        scores: Predictions table of the predicted cases, of every member.
        images: Of these cases, by `case_id`.

    Returns:
        By level a table with the columns of `case_decisions` and `unit`, `cases` and
        `cases_missing` in place of `case_id`; and sentences on levels and cases that are left out.

    Raises:
        TableError: A case is of several units, or a unit of several patients or cohorts.
    """
    tables: dict[str, pl.DataFrame] = {}
    notes: list[str] = []
    for level in facts.levels:
        units = source_units(source, level.name, len(facts.levels))
        if units is None:
            notes.append(
                f"Nothing is predicted of units by '{level.name}': the cases come without that "
                "column (of DICOM files, --case side makes units of studies)."
            )
            continue
        if blank := units["unit"].null_count():
            notes.append(f"{plural(blank, 'case')} without '{level.name}': of no unit.")
        with_unit = units.drop_nulls("unit")
        if len(scores) and len(scores.join(with_unit, on="case_id", how="semi")):
            tables[level.name] = _decided(facts, level, with_unit, scores, images)
    return tables, notes


def source_units(source: CaseSource, level: str, levels: int = 1) -> pl.DataFrame | None:
    """`case_id` and `unit` of the cases of a source; None if it does not say.

    Args:
        source: Of the cases.
        level: Column of units.
        levels: Number of levels of the bundle: studies of files stand for the only one.

    Raises:
        TableError: A case is of several units, or a unit of several patients or cohorts.
    """
    if isinstance(source, ManifestSource):
        manifest = source.manifest
        if level not in manifest.frame.columns:
            return None
        require_whole_units(manifest.frame, manifest.path, [level])
        return level_units(manifest.frame, [level])[level]
    if isinstance(source, FileSource) and source.rule == SIDE and levels == 1:
        ids = [case.case_id for case in source.cases]
        return pl.DataFrame({"case_id": ids, "unit": source.studies}, schema_overrides=UNITS)
    return None


UNITS = {"case_id": pl.String, "unit": pl.String}


def _decided(
    facts: BundleFacts,
    level: LevelFacts,
    units: pl.DataFrame,
    scores: pl.DataFrame,
    images: Mapping[str, CaseImagesRead],
) -> pl.DataFrame:
    of_units = level_predictions(scores, units, level.rule)
    names = [f"{OOD_PREFIX}{detector.name}" for detector in facts.detectors]
    # a unit is as foreign as the most foreign of its cases; a score that is no number flags too
    highest = [
        pl.when(pl.col(name).is_nan().any()).then(float("nan")).otherwise(pl.col(name).max())
        for name in names
    ]
    ood = (
        scores.join(units, on="case_id")
        .group_by("member", "unit")
        .agg(e.alias(name) for e, name in zip(highest, names, strict=True))
        .rename({"unit": "case_id"})
    )
    of_units = of_units.join(ood, on=["member", "case_id"], how="left", maintain_order="left")
    members = dict(units.group_by("unit").agg("case_id").rows())
    counts = {unit: _images(cases, images) for unit, cases in members.items()}
    decided = case_decisions(level_facts(facts, level), of_units, counts)
    missing = pl.Series([sum(c not in images for c in members[u]) for u in decided["case_id"]])
    cases = pl.Series([len(members[unit]) for unit in decided["case_id"]])
    decided = decided.rename({"case_id": "unit"}).with_columns(cases=cases, cases_missing=missing)
    first = ["unit", "patient_id", "cohort", "cases", "cases_missing"]
    decided = decided.select(*first, pl.exclude(first))
    if not facts.deferral.missing_images:
        return decided
    reasons = [
        "; ".join([*filter(None, [before]), f"{plural(count, 'case')} without a prediction"])
        if count
        else before
        for before, count in decided.select("deferred_because", "cases_missing").rows()
    ]
    return decided.with_columns(
        deferred=pl.col("deferred") | (pl.col("cases_missing") > 0),
        deferred_because=pl.Series(reasons, dtype=pl.String),
    )


def _images(cases: list[str], images: Mapping[str, CaseImagesRead]) -> CaseImagesRead:
    """Images of the predicted cases of a unit together."""
    counts = [images[case] for case in cases if case in images]
    if not counts:
        return CaseImagesRead(0, 0)
    weights = [count.read for count in counts]
    means = {
        name: float(np.average([getattr(count, name) for count in counts], weights=weights))
        for name in ("brightness", "contrast")
        if all(getattr(count, name) is not None for count in counts)
    }
    total = CaseImagesRead(
        read=sum(weights),
        refused=sum(count.refused for count in counts),
        whole=sum(count.whole for count in counts),
    )
    return replace(total, **means)
