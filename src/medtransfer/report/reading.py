"""Where a report's content is read from: a study's folder, or that of an evaluation."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from medtransfer.data.audit.run import CHECKS
from medtransfer.data.config import AugmentConfig
from medtransfer.errors import StudyError, plural
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.files import read_json
from medtransfer.models.ladder import LADDER, Rung, find_rung
from medtransfer.report.content import ReportData, ReportedFinding, RungInfo, SplitCounts
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.yaml_file import read_study
from medtransfer.tables.results import COMPARISONS_CONTRACT, RESULTS_CONTRACT, read_curve_tables
from medtransfer.tables.schema import Contract, typed
from medtransfer.training.config import TrainingConfig

EVALUATION = "evaluation.json"
FACTS = ("pretraining", "images", "parameters")
"""Of a rung, where an evaluation was told."""


def read_content(folder: StudyFolder) -> ReportData:
    """Read a study's folder back.

    Raises:
        StudyError: It holds no finished run.
    """
    data = folder.read("data.json")
    if not (folder.path / "results.parquet").is_file():
        raise StudyError(
            f'"{folder.path}" has no finished run yet: `medtransfer status` says how far it is.'
        )
    study = read_study(folder.path / "study.yaml")
    environments: list[dict[str, Any]] = []
    for run_id in folder.run_ids():
        own = folder.run(run_id)
        if own.is_done():
            environments += [e for e in own.environments() if e not in environments]
    runs = pl.read_csv(folder.path / "runs.csv")
    return ReportData(
        study.name,
        "transfer study",
        study.data.task,
        study.data.names,
        study.evaluation,
        study.reference_rung,
        _by_scale([find_rung(entry.rung) for entry in study.rungs]),
        _table(folder.path / "results.parquet", RESULTS_CONTRACT),
        _table(folder.path / "comparisons.parquet", COMPARISONS_CONTRACT),
        read_curve_tables(folder.path / "curves"),
        tuple(_count(row) for row in data["flow"]),
        study.leave_cohort_out,
        runs,
        tuple(_facts(study, data, runs, environments)),
        findings=tuple(
            ReportedFinding(
                f["code"],
                f["level"],
                CHECKS[f["code"]][1],
                f["sentence"],
                study.waive.get(f["code"]),
            )
            for f in data["findings"]
        ),
        cautions=tuple(_cautions(study, environments)),
    )


def read_evaluation(folder: Path) -> ReportData:
    """Read the folder back that an evaluation of a predictions table wrote.

    Raises:
        StudyError: It is no such folder.
    """
    path = folder / EVALUATION
    if not path.is_file():
        raise StudyError(
            f'"{folder}" has no {EVALUATION}: it is not the folder of an evaluation. '
            "`medtransfer evaluate` makes one."
        )
    about = read_json(path)
    versions = [(name, str(version)) for name, version in about["versions"].items()]
    facts = [("Task", f"{about['task']}, {plural(len(about['targets']), 'target')}")]
    if versions:
        facts.append(("Made with", ", ".join(f"{name} {version}" for name, version in versions)))
    results = _table(folder / "results.parquet", RESULTS_CONTRACT)
    return ReportData(
        about["name"],
        "evaluation",
        about["task"],
        tuple(about["targets"]),
        EvaluationConfig.model_validate(about["config"]),
        about["reference"],
        tuple(_known(rung) for rung in about["rungs"]),
        results,
        _table(folder / "comparisons.parquet", COMPARISONS_CONTRACT),
        read_curve_tables(folder / "curves"),
        tuple(_count(row) for row in about["counts"]),
        leave_cohort_out=_left_out(results),
        facts=tuple(facts),
        said=tuple(about["said"]),
    )


def _left_out(results: pl.DataFrame) -> bool:
    """Whether cohorts were left out of training in turn."""
    rows = results.filter(pl.col("retrain_fraction").is_null())
    return rows["held_out"].null_count() < len(rows)


def _table(path: Path, contract: Contract) -> pl.DataFrame:
    """A table in its contract's columns; one of an earlier version lacks some."""
    frame = pl.read_parquet(path)
    missing = [c for c in contract.columns if c.name not in frame.columns]
    return typed(frame.with_columns(pl.lit(None).alias(c.name) for c in missing), contract)


def _count(row: dict[str, Any]) -> SplitCounts:
    return SplitCounts(
        row["cohort"],
        row["split"],
        row["cases"],
        row["patients"],
        row["positive"],
        row.get("masked") or {},
        row.get("images"),
    )


def _known(rung: str | dict[str, Any]) -> RungInfo:
    """A rung as the evaluation names it; of one of the ladder's the facts are known."""
    about = {"name": rung} if isinstance(rung, str) else rung
    name = about["name"]
    known = _of_ladder(LADDER[name]) if name in LADDER else RungInfo(name)
    given = {part: about[part] for part in FACTS if about.get(part) is not None}
    return replace(known, **given)


def _of_ladder(rung: Rung) -> RungInfo:
    return RungInfo(rung.name, rung.pretraining, rung.images, rung.architecture.parameters)


def _by_scale(rungs: list[Rung]) -> tuple[RungInfo, ...]:
    """By pre-training images, then parameters."""
    rungs = sorted(rungs, key=lambda r: (r.images or 0, r.architecture.parameters or 0, r.name))
    return tuple(_of_ladder(rung) for rung in rungs)


def _changes(augment: AugmentConfig) -> str:
    """The random changes that are on."""
    said = [f"{name} {value:g}" for name, value in augment if value]
    return f"; changed at random: {', '.join(said)}" if said else ""


def recipe_of(config: TrainingConfig) -> str:
    """How a rung was trained, every departure from the rule named."""
    weights = config.loss.weights
    named = "by target" if isinstance(weights, dict) else weights
    weighed = [] if weights == "none" else [f"class weights {named}"]
    tuning = config.tuning
    if tuning.mode == "linear":
        least, most = min(tuning.penalties), max(tuning.penalties)
        count = plural(len(tuning.penalties), "L2 penalty")
        tried = f"the best of {count}, {least:g} to {most:g}, by tuning AUROC"
        return ", ".join(
            [f"Linear probe: logistic regression on fixed features; {tried}", *weighed]
        )
    steps = "by the rule" if config.steps is None else f"{config.steps} (the study's own)"
    said = [
        f"batch {config.batch_size}, learning rate {config.learning_rate:g}",
        f"steps {steps}",
        *(["cosine schedule"] if config.schedule == "cosine" else []),
        *(["AdamW"] if config.optimiser == "adamw" else []),
        f"weight decay {config.weight_decay:g}",
        *([f"layer decay {config.layer_decay:g}"] if config.layer_decay < 1 else []),
        *([f"gradients clipped to {config.clip_norm:g}"] if config.clip_norm is not None else []),
        *([f"weights averaged with decay {config.ema:g}"] if config.ema else []),
        *([f"{config.loss.kind} loss"] if config.loss.kind != "cross-entropy" else []),
        *weighed,
        *([f"labels smoothed by {config.loss.smoothing:g}"] if config.loss.smoothing else []),
        *(
            [f"lowest {plural(tuning.frozen_stages, 'stage')} frozen"]
            if tuning.mode == "partial"
            else []
        ),
        *([f"low-rank products of rank {tuning.rank}"] if tuning.mode == "low-rank" else []),
        f"selection: {config.selection} of {config.checks} checks by tuning AUROC",
    ]
    return f"BiT-HyperRule; {', '.join(said)}"


def _sweep_text(study: Study, runs: pl.DataFrame) -> str:
    """What was tried, how it was chosen, and what the search cost."""
    sweep = study.sweep
    tried = [
        f"{name} {', '.join(f'{value:g}' for value in values)}"
        for name, values in (
            ("learning rates", sweep.learning_rates),
            ("steps", sweep.steps),
            ("weight decays", sweep.weight_decays),
        )
        if values
    ]
    hours = float(runs["seconds"].sum()) / 3600
    taken = float(runs.filter(pl.col("taken"))["seconds"].sum()) / 3600
    return (
        f"{'; '.join(tried)}, in place of the recipe's, for every rung and label budget; taken was "
        "the setting with the best mean AUROC on the tuning split over the seeds. All of it took "
        f"{hours:.1f} hours, the settings that were taken {taken:.1f}: see sweep.csv"
    )


def _facts(
    study: Study, data: dict[str, Any], runs: pl.DataFrame, environments: list[dict[str, Any]]
) -> list[tuple[str, str]]:
    """What was done, as names with what is to be said of them."""
    policies = "; ".join(
        f"{name}: uncertain → {policy.uncertain}, empty → {policy.empty}"
        for name, policy in study.data.targets.items()
    )
    image = study.data.image
    size = "by BiT-HyperRule" if image.crop is None else f"{image.resize} → {image.crop} px"
    facts = [
        ("Task", f"{study.data.task}, {plural(len(study.data.targets), 'target')}"),
        ("Label policy", policies if study.data.class_column is None else "a class per case"),
        ("Split", _split_text(study)),
        ("Images", f"{size}, flips: {image.flip}{_changes(image.augment)}"),
    ]
    for entry in study.rungs:
        facts.append((f"Recipe, {entry.rung}", recipe_of(study.training_of(entry))))
    if study.sweep.is_set:
        facts.append(("Sweep", _sweep_text(study, runs)))
    done = plural(runs.filter(pl.col("state") == "done").height, "run")
    facts += [
        ("Seeds", ", ".join(map(str, study.seeds))),
        ("Test readings", f"{done} scored on the test cases; none was used for selection"),
        ("Data digest", data["digest"]),
    ]
    for environment in environments:
        packages = ", ".join(f"{k} {v}" for k, v in environment["packages"].items())
        where = f"{environment['device']}, {plural(environment['threads'], 'thread')}"
        facts.append(("Ran with", f"{packages}, {environment['decoder']}; {where}"))
    return facts


def _split_text(study: Study) -> str:
    split = study.data.split
    if study.leave_cohort_out:
        return "by patient; each cohort left out in turn"
    who = "all cohorts" if split.train_cohorts is None else ", ".join(split.train_cohorts)
    return (
        f"by patient, stratified, within {who}, seed {split.seed} (or as the manifest's split "
        "column says); other cohorts are test data only"
    )


def _cautions(study: Study, environments: list[dict[str, Any]]) -> list[str]:
    """What the study's own settings forbid to conclude."""
    notes: list[str] = []
    own = [
        entry.rung
        for entry in study.rungs
        if study.training_of(entry).steps is not None or study.sweep.steps
    ]
    if own:
        notes.append(f"A schedule of the study's own, not the rule's, for {', '.join(own)}.")
    if len(environments) > 1:
        notes.append("Runs were made in different environments: last digits may differ.")
    return notes
