"""The study's recommendation, from the tables of its folder."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from medtransfer.errors import StudyError, listed
from medtransfer.evaluation.comparison.choice.condition import ShiftedAuroc
from medtransfer.evaluation.comparison.choice.rule import (
    Candidate,
    Evidence,
    Recommendation,
    recommended,
)
from medtransfer.evaluation.comparison.choice.rung_pairs import pairs_of
from medtransfer.evaluation.comparison.grid_key import ensemble_parts
from medtransfer.evaluation.comparison.seed_means import DROP_SUFFIX, HEADLINE
from medtransfer.language.translation import translate
from medtransfer.models.rungs.start import control_of
from medtransfer.report.content import ReportData, Row, RungInfo
from medtransfer.report.reading import load_study_data
from medtransfer.report.text import interval_text
from medtransfer.runs.folders import StudyFolder


def recommend(study: StudyFolder | Path) -> Recommendation:
    """Recommend a rung of a finished study, by the rule of docs/explanation/recommendation.md.

    Args:
        study: The study's folder, as `run_study` returns it, or its path.

    Returns:
        The rung, or None if none can be recommended over another, with the reason, the condition
        and the numbers behind it.

    Raises:
        StudyError: The folder holds no finished run, was changed by hand, or was written before
            there was a recommendation.
    """
    folder = study if isinstance(study, StudyFolder) else StudyFolder(study)
    data = load_study_data(folder)
    if data.pairs is None:
        raise StudyError(
            f'"{folder.path}" has no rung_pairs.parquet: an older version wrote its tables. '
            "`medtransfer run study.yaml` makes them again; no run is repeated."
        )
    return recommendation_of(data)


def recommendation_of(data: ReportData) -> Recommendation:
    """The recommendation of a study whose data has been read."""
    left_out = {**dict(_unfinished(data)), **dict(_controls(data)), **dict(_unequal_studies(data))}
    candidates = [
        Candidate(info.name, info.parameters, info.budget)
        for info in data.rung_infos
        if info.name not in left_out
    ]
    evidence = Evidence(
        label_fraction=_most_labels(data),
        seeds=data.seeds,
        candidates=tuple(sorted(candidate.rung for candidate in candidates)),
        left_out=tuple(sorted(left_out.items())),
        margin=data.evaluation.margin,
    )
    pairs = [] if data.pairs is None else pairs_of(data.pairs)
    shifted = {info.name: tuple(_shifted_aurocs(data, info)) for info in data.rung_infos}
    advice = _with_training(recommended(candidates, pairs, evidence, shifted), data)
    return with_ensemble(advice, data)


def _unequal_studies(data: ReportData) -> Iterator[tuple[str, str]]:
    """Rungs of several studies that are no candidates, with the reason in words."""
    if data.common is None:
        return
    for rung, other in data.common.same_runs:
        yield rung, translate("has the same runs as {rung}", rung=other)
    for rung in data.common.trained_once:
        yield rung, translate("was trained only once, others several times")
    for rung in data.common.controls:
        yield rung, translate("is a negative control")


def _with_training(advice: Recommendation, data: ReportData) -> Recommendation:
    """The recommendation with a warning where studies were trained on different patients."""
    if data.common is None or not data.common.trained_apart:
        return advice
    apart = translate(
        "The networks are not known to have been trained on the same patients: a difference "
        "between them may come from the training data."
    )
    return replace(advice, reason=f"{advice.reason} {apart}")


def with_ensemble(advice: Recommendation, data: ReportData) -> Recommendation:
    """The recommendation with the ensemble of its rung's seeds, if the study has it."""
    row = None if advice.rung is None else _ensemble_row(data, advice.rung)
    if row is None:
        return advice
    _, members = ensemble_parts(row["rung"])
    values = {"members": members, "amount": interval_text(row, 3), "cohort": row["cohort"]}
    if row["low"] is not None and row["low"] > 0:
        better = translate(
            "Its {members} seeds together are better than one of them, by {amount} on {cohort}, "
            "over patients alone: take the ensemble if {members} times the computing time is no "
            "obstacle.",
            **values,
        )
        return replace(advice, reason=f"{advice.reason} {better}", ensemble=row["rung"])
    unclear = translate(
        "Its {members} seeds together are not shown better than one of them ({amount} on "
        "{cohort}, over patients alone).",
        **values,
    )
    return replace(advice, reason=f"{advice.reason} {unclear}")


def _ensemble_row(data: ReportData, rung: str) -> Row | None:
    """Difference in AUROC of a rung's ensemble from the rung; None if the study has none."""
    if data.ensembles is None:
        return None
    metric = data.headline(data.main_cohort)
    rows = data.ensembles.filter(
        (pl.col("reference") == rung)
        & (pl.col("label_fraction") == _most_labels(data))
        & (pl.col("cohort") == data.main_cohort)
        & (pl.col("metric") == metric)
        & (pl.col("target") == data.target_of(metric))
        & pl.col("retrain_fraction").is_null()
    ).to_dicts()
    return rows[0] if rows else None


def _most_labels(data: ReportData) -> float:
    """The largest label fraction that was planned, finished or not."""
    if data.runs is None:
        return data.full_fraction
    most = data.runs["label_fraction"].max()
    return float(most) if isinstance(most, (int, float)) else data.full_fraction


def _unfinished(data: ReportData) -> Iterator[tuple[str, str]]:
    """Rungs that lack a run at the largest label fraction, with the reason in words."""
    if data.runs is None:
        return
    at_most = data.runs.filter(
        (pl.col("label_fraction") == _most_labels(data)) & pl.col("retrain_fraction").is_null()
    )
    for info in data.rung_infos:
        runs = at_most.filter(pl.col("rung") == info.name)
        if "taken" in runs.columns and runs["taken"].any():  # of a sweep, the settings it took
            runs = runs.filter(pl.col("taken"))
        missing = runs.filter(pl.col("state") != "done")
        if len(missing) or runs.is_empty():
            states = listed(sorted(missing["state"].unique().to_list()))
            yield (
                info.name,
                translate(
                    "lacks {missing} of {runs} runs ({states})",
                    missing=len(missing),
                    runs=len(runs),
                    states=states or translate("not planned"),
                ),
            )


def _controls(data: ReportData) -> Iterator[tuple[str, str]]:
    """Rungs that are negative controls, with the reason in words."""
    for info in data.rung_infos:
        if control_of(info.full_name or info.name) is not None:
            yield info.name, translate("is a negative control")


def _shifted_aurocs(data: ReportData, info: RungInfo) -> Iterator[ShiftedAuroc]:
    """A rung's AUROC at every shifted cohort, with its drop."""
    for cohort in data.shifted:
        row = data.result_row(info.name, cohort, HEADLINE)
        if row is None or row["value"] is None:
            continue
        text = translate("its AUROC is {amount}", amount=interval_text(row))
        drop = data.result_row(info.name, cohort, HEADLINE + DROP_SUFFIX)
        if drop is not None and drop["value"] is not None and not data.leave_cohort_out:
            text = translate(
                "its AUROC is {amount}, a drop of {drop}",
                amount=interval_text(row),
                drop=interval_text(drop),
            )
        yield ShiftedAuroc(cohort, text)


def recommendation_line(data: ReportData) -> str:
    """The recommendation as text; empty for one rung, evaluations and folders of older versions."""
    if data.pairs is None or len(data.rung_infos) < 2:
        return ""
    return recommendation_of(data).sentence
