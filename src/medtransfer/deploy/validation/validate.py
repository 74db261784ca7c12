"""From a bundle and a hospital's labelled cases to a verdict, tables and a page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from medtransfer.data.images.scan import Progress, no_progress
from medtransfer.deploy.bundle.fits import carried_fit
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.deploy.inference.model import BundleModel, load_bundle
from medtransfer.deploy.validation.config import ValidationConfig
from medtransfer.deploy.validation.from_predictions import LocalValidation, validate_predictions
from medtransfer.deploy.validation.labelled_cases import LabelledScores, score_labelled
from medtransfer.deploy.validation.words import verdict_lines, verdict_sentence, verdict_table
from medtransfer.errors import ConfigError, StudyError, fault_list, listed
from medtransfer.evaluation.comparison.adaptation.adapted_run import SELECTED
from medtransfer.evaluation.comparison.evaluate_table import evaluate_table, write_evaluation
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.files import read_json, remove, write_json
from medtransfer.language.translation import ENGLISH, Language, in_language, require_language
from medtransfer.posthoc.adaptation.arms import ARMS
from medtransfer.report.identifiers import identifiers_of, readable_rows
from medtransfer.report.page import write_evaluation_report
from medtransfer.tables.predictions import write_predictions
from medtransfer.tables.schema import write_spreadsheet
from medtransfer.tables.values.rare_values import merge_rare_groups, rest_name
from medtransfer.tables.values.value_map import ValueMap


@dataclass(frozen=True)
class Validation:
    """Verdict of a bundle at a hospital, with its folder.

    Attributes:
        folder: Folder with tables and page.
        report: The page.
        local: The verdict and the numbers behind it.
        sentence: The verdict in one sentence, in the language that was asked for.
        lines: The numbers behind it, a line each, in that language.
        notes: What was found, left out and assumed, in sentences.
    """

    folder: Path
    report: Path
    local: LocalValidation
    sentence: str
    lines: tuple[str, ...]
    notes: tuple[str, ...]


def validate_bundle(
    bundle: BundleModel | Path | str,
    manifest: Path | str,
    out: Path | str,
    *,
    cohort: str | None = None,
    attributes: Sequence[str] | None = None,
    image_root: Path | None = None,
    values: ValueMap | None = None,
    config: ValidationConfig | None = None,
    evaluation: EvaluationConfig | None = None,
    on_progress: Progress = no_progress,
    language: Language = ENGLISH,
) -> Validation:
    """Tell a hospital whether to trust a bundle, from its own labelled cases.

    Training patients are looked for first and left out. Nothing is trained.

    Args:
        bundle: From `load_bundle`, or its path.
        manifest: Manifest of the hospital's images, with the bundle's targets.
        out: Folder for tables and page; files of an earlier validation are replaced.
        cohort: Hospital to take, if the manifest has several.
        attributes: Columns to report by; those that `init` proposes by default.
        image_root: Folder that `path` cells are relative to; the manifest's own by default.
        values: Values to read in place of others, by column: ``{"sex": {"w": "F", "m": "M"}}``.
        config: Margin (the bundle's by default), judged metrics, recalibration.
        evaluation: Replicates, groups, seed; operating points are the bundle's.
        on_progress: Called with the numbers of images done and to do.
        language: Of the verdict's sentences, the first page and the clinic's pages: `en`, `de`,
            `fr`, `es` or `pt`. Notes, tables and ``evaluation.json`` stay English.

    Returns:
        The verdict with its numbers, and where tables and page lie.

    Raises:
        BundleError: The bundle is damaged or has expired.
        TableError: The manifest cannot be used, or has no label.
        StudyError: `out` is a file.
        ConfigError: The language is unknown.
    """
    require_language(language)
    out, manifest = Path(out), Path(manifest)
    if out.is_file():
        raise StudyError(f'"{out}" is a file. Name a folder with --out.')
    model = bundle if isinstance(bundle, BundleModel) else load_bundle(bundle)
    config = config or ValidationConfig(margin=model.facts.margin)
    evaluation = bundle_evaluation(model.bundle, evaluation)
    labelled = score_labelled(
        model,
        manifest,
        cohort=cohort,
        attributes=attributes,
        image_root=image_root,
        values=values,
        on_progress=on_progress,
    )
    local = validate_predictions(
        home_predictions(model.bundle),
        labelled.scores,
        model.facts.task,
        evaluation=evaluation,
        config=config,
        fit=carried_fit(model.facts),
    )
    groups, merged = merge_rare_groups(
        labelled.attributes, labelled.scores, evaluation.minimum_group
    )
    labelled = replace(labelled, attributes=groups)
    notes = list(labelled.notes)
    rest = rest_name(evaluation.minimum_group)
    notes += [f"{sentence}: not named, in group {rest}." for sentence in merged]
    if local.network.left_out:
        notes.append(f"OOD detectors without scores: {', '.join(local.network.left_out)}.")
    if model.facts.changes:
        notes.append(
            "The page's tables set thresholds and calibrators on the bundle's tuning cases anew; "
            "the verdict is of the bundle as it was adapted."
        )
    with in_language(language):
        sentence, *lines = _verdict(local)
        spoken = () if language == ENGLISH else (sentence, *lines)
    _write(out, manifest, local, labelled, notes=notes)
    rows, least = readable_rows(manifest), local.network.evaluation.minimum_group
    identifiers = identifiers_of(labelled.scores, rows, least)
    report = write_evaluation_report(out, identifiers, language=language, spoken=spoken)
    return Validation(
        folder=out,
        report=report,
        local=local,
        sentence=sentence,
        lines=tuple(lines),
        notes=tuple(notes),
    )


def validation_config(
    facts: BundleFacts, *, margin: float | None = None, arm: str = SELECTED
) -> ValidationConfig:
    """Settings as they are typed on a command line, checked.

    Args:
        facts: Of the bundle, whose margin is the default.
        margin: Largest loss that still counts as holding.
        arm: Recalibration to judge.

    Raises:
        ConfigError: The margin is out of range, or there is no such arm.
    """
    faults: list[str] = []
    if margin is not None and not 0 < margin < 1:
        faults.append(f"margin is {margin:g} (allowed: over 0 and under 1)")
    if arm not in (*ARMS, SELECTED):
        faults.append(f"arm is '{arm}' (allowed: {listed([*ARMS, SELECTED], 20)})")
    if faults:
        raise ConfigError(fault_list("The bundle cannot be validated so", faults))
    given = {"margin": facts.margin if margin is None else margin, "arm": arm}
    return ValidationConfig.model_validate(given)


def validation_text(validation: Validation, bundle: Path, manifest: Path) -> str:
    """Text for the hospital: notes, verdict, numbers, and the next command."""
    lines = [*validation.notes, validation.sentence, *(f"  {line}" for line in validation.lines)]
    lines.append(f"Report: {validation.report}   (open it in a browser)")
    recalibration = validation.local.recalibration
    if validation.local.verdict.answer == "holds after recalibration" and recalibration is not None:
        name = bundle.with_name(f"{bundle.stem}-{validation.local.network.hospital}.medt").name
        lines.append(
            f"Next: medtransfer adapt {bundle} {manifest} --arm {recalibration.arm} -o {name}"
        )
    return "\n".join(lines)


def bundle_evaluation(bundle: Bundle, evaluation: EvaluationConfig | None) -> EvaluationConfig:
    """Scoring settings with the operating points of a bundle."""
    points = tuple(dict.fromkeys(p for target in bundle.facts.targets for p in target.thresholds))
    return (evaluation or EvaluationConfig()).model_copy(update={"operating_points": points})


def home_predictions(bundle: Bundle) -> pl.DataFrame:
    """Promised cases of the training cohorts: tuning and internal test cases."""
    frame = bundle.predictions()
    return frame.filter(pl.col("cohort") == bundle.facts.training.test_cohorts[0])


def _verdict(local: LocalValidation) -> list[str]:
    """The answer and the numbers behind it, in the language in use."""
    return [verdict_sentence(local), *verdict_lines(local)]


def _write(
    out: Path,
    manifest: Path,
    local: LocalValidation,
    labelled: LabelledScores,
    *,
    notes: Sequence[str],
) -> None:
    """Write the tables, all of them in English."""
    network, verdict = local.network, _verdict(local)
    tables = evaluate_table(
        network.frame, labelled.attributes, network.run.task, network.evaluation
    )
    write_evaluation(
        out,
        tables,
        network.frame,
        source=manifest,
        task=network.run.task,
        config=network.evaluation,
        reference=tables.means[0].key.rung,
        attributes=labelled.attributes.columns[1:],
        said=[*verdict, *notes, *tables.notes],
    )
    document = read_json(out / "evaluation.json")
    write_json(out / "evaluation.json", {**document, "verdict": verdict})
    write_spreadsheet(verdict_table(local), out / "verdict.csv")
    write_predictions(labelled.scores, out / "predictions.parquet")
    refused = out / "refused.csv"
    remove(refused)
    if len(labelled.refused):
        write_spreadsheet(labelled.refused, refused)
