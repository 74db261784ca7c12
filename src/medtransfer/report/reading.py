"""Load a report's data from a study or evaluation folder."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from medtransfer.data.audit.run import CHECKS
from medtransfer.data.config import AugmentConfig, ImageConfig
from medtransfer.errors import StudyError, listed, plural
from medtransfer.evaluation.comparison.choice.common_choice import CommonChoice
from medtransfer.evaluation.comparison.choice.rung_pairs import PAIRS_CONTRACT
from medtransfer.evaluation.comparison.grid_key import IS_ENSEMBLE, of_rungs
from medtransfer.evaluation.comparison.readers.judged import find_readers
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.files import read_json
from medtransfer.integrity.study_seal import unsealed_changes
from medtransfer.models.ladder import LADDER, Rung, find_rung
from medtransfer.models.rungs.start import START_MARK
from medtransfer.report.beside.tables import tables_beside
from medtransfer.report.cards.recipe import recipe_of
from medtransfer.report.content import ReportData, ReportedFinding, RungInfo, SplitCounts
from medtransfer.report.identifiers import Identifiers, identifiers_of, readable_rows
from medtransfer.report.questions.controls import control_cautions
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.repairs import noted_repairs
from medtransfer.runs.tested.files import cohort_predictions
from medtransfer.runs.tested.reads import count_reads
from medtransfer.study.config import RungEntry, Study
from medtransfer.study.status import PlanEntry
from medtransfer.study.yaml_file import read_study
from medtransfer.tables.old_names import with_current_metrics
from medtransfer.tables.results import COMPARISONS_CONTRACT, RESULTS_CONTRACT, read_curve_tables
from medtransfer.tables.schema import Contract, typed
from medtransfer.tables.spreadsheet_guard import unguarded

EVALUATION = "evaluation.json"
FACTS = ("pretraining", "images", "parameters")
"""Facts about a rung that an evaluation may state."""
PAIRS = "rung_pairs.parquet"
TABLES = (
    "results.parquet",
    "comparisons.parquet",
    PAIRS,
    "readers.parquet",
    "runs.csv",
    "data.json",
    "study.yaml",
    "curves/",
)
"""Files, and starts of files, that a report is made of."""
Document = dict[str, Any]  # JSON of a study or evaluation folder


def load_study_data(folder: StudyFolder) -> ReportData:
    """Load a report's data from a study folder.

    Raises:
        StudyError: It holds no finished run.
    """
    require_sealed(folder)
    document: Document = folder.read("data.json")
    if not (folder.path / "results.parquet").is_file():
        raise StudyError(
            f'"{folder.path}" has no finished run yet. `medtransfer status` shows its progress.'
        )
    study = read_study(folder.path / "study.yaml")
    environments: list[Document] = []
    for run_id in folder.run_ids():
        run = folder.run(run_id)
        if run.is_done():
            later = [table.added for table in cohort_predictions(run).values()]
            machines = [*run.environments(), *(dict(a.environment) for a in later if a)]
            environments += [e for e in machines if e not in environments]
    runs = unguarded(pl.read_csv(folder.path / "runs.csv"))
    results = of_rungs(_table(folder.path / "results.parquet", RESULTS_CONTRACT))
    comparisons = _table(folder.path / "comparisons.parquet", COMPARISONS_CONTRACT)
    return ReportData(
        name=study.name,
        kind="transfer study",
        task=study.data.task,
        targets=study.data.names,
        evaluation=study.evaluation,
        reference=study.reference_rung,
        rung_infos=_with_budgets(study, runs),
        results=results,
        comparisons=of_rungs(comparisons),
        ensembles=comparisons.filter(IS_ENSEMBLE),
        curves={k: of_rungs(f) for k, f in read_curve_tables(folder.path / "curves").items()},
        counts=tuple(_counts(row) for row in document["flow"]),
        leave_cohort_out=study.leave_cohort_out,
        runs=runs,
        facts=(*_facts(study, document["digest"], runs, environments), *_test_facts(folder)),
        findings=tuple(
            ReportedFinding(
                code=finding["code"],
                level=finding["level"],
                check=CHECKS[finding["code"]][1],
                sentence=finding["sentence"],
                waived=study.waive.get(finding["code"]),
            )
            for finding in document["findings"]
        ),
        cautions=(*_cautions(study, environments, results), *map(str, noted_repairs(folder))),
        pairs=_pairs(folder.path / PAIRS),
        readers=find_readers(folder.path),
        **tables_beside(folder.path / "curves"),
    )


def study_identifiers(folder: StudyFolder) -> Identifiers:
    """Ids, file names and personal cells of a study, from its tables and its manifest."""
    study = read_study(folder.path / "study.yaml")
    ids = pl.DataFrame(schema=dict.fromkeys(("image_id", "case_id", "patient_id"), pl.String))
    for path in (folder.path / "predictions.parquet", folder.images):
        if path.is_file():
            schema = pl.read_parquet_schema(path)
            table = pl.read_parquet(path, columns=[name for name in ids.columns if name in schema])
            ids = pl.concat([ids, table.unique().cast(pl.String)], how="diagonal")
    return identifiers_of(ids, readable_rows(study.data.manifest), study.evaluation.minimum_group)


def require_sealed(folder: StudyFolder, tables: Sequence[str] = TABLES) -> None:
    """Compare the study's tables with its seal.

    Raises:
        StudyError: They were damaged or edited; the files are named.
    """
    names = unsealed_changes(folder.path, tables)
    if names:
        raise StudyError(
            f'Not as sealed (damaged, edited or deleted): {listed(names)} of "{folder.path}". '
            "`medtransfer run study.yaml` makes it again."
        )


def load_evaluation_data(folder: Path) -> ReportData:
    """Load a report's data from the folder of an evaluation of a predictions table.

    Raises:
        StudyError: It is not an evaluation folder.
    """
    if not (path := folder / EVALUATION).is_file():
        text = f'"{folder}" has no {EVALUATION}: it is not an evaluation folder.'
        raise StudyError(f"{text} `medtransfer evaluate` creates one.")
    document: Document = read_json(path)
    facts = [("Task", f"{document['task']}, {plural(len(document['targets']), 'target')}")]
    facts += [(name, text) for name, text in document.get("facts", ())]
    if versions := document["versions"]:
        facts.append(("Software", ", ".join(f"{name} {v}" for name, v in versions.items())))
    results = _table(folder / "results.parquet", RESULTS_CONTRACT)
    choice = document.get("choice")  # of a comparison of studies
    return ReportData(
        name=document["name"],
        kind=document.get("kind", "evaluation"),
        task=document["task"],
        targets=tuple(document["targets"]),
        evaluation=EvaluationConfig.model_validate(document["config"]),
        reference=document["reference"],
        rung_infos=tuple(_rung_info(rung) for rung in document["rungs"]),
        results=results,
        comparisons=_table(folder / "comparisons.parquet", COMPARISONS_CONTRACT),
        curves=read_curve_tables(folder / "curves"),
        counts=tuple(_counts(row) for row in document["counts"]),
        leave_cohort_out=_leaves_cohorts_out(results),
        facts=tuple(facts),
        notes=tuple(document["said"]),
        pairs=None if choice is None else _pairs(folder / PAIRS),
        common=None if choice is None else _common_choice(choice),
        verdict=tuple(document.get("verdict") or ()),
        readers=find_readers(folder),
    )


def _leaves_cohorts_out(results: pl.DataFrame) -> bool:
    """True if each cohort was left out of training in turn."""
    rows = results.filter(pl.col("retrain_fraction").is_null())
    return rows["held_out"].null_count() < len(rows)


def _table(path: Path, contract: Contract) -> pl.DataFrame:
    """A table with all columns of its contract; those that an older version lacks are null."""
    frame = pl.read_parquet(path)
    missing = [c for c in contract.columns if c.name not in frame.columns]
    frame = typed(frame.with_columns(pl.lit(None).alias(c.name) for c in missing), contract)
    return with_current_metrics(frame)


def _common_choice(document: Document) -> CommonChoice:
    return CommonChoice(
        same_runs=tuple((rung, other) for rung, other in document["same_runs"]),
        trained_once=tuple(document["trained_once"]),
        controls=tuple(document["controls"]),
        trained_apart=document["trained_apart"],
    )


def _pairs(path: Path) -> pl.DataFrame | None:
    """Differences between every two rungs; None where an older version wrote the folder."""
    return typed(pl.read_parquet(path), PAIRS_CONTRACT) if path.is_file() else None


def _with_budgets(study: Study, runs: pl.DataFrame) -> tuple[RungInfo, ...]:
    """Rungs with the training cases that they saw with one seed, over all settings tried."""
    at_most = runs.filter(
        (pl.col("label_fraction") == pl.col("label_fraction").max())
        & pl.col("retrain_fraction").is_null()
    )
    budgets: dict[str, float | None] = {}
    for entry in study.rungs:
        training = study.training_of(entry)
        steps = sum(at_most.filter(pl.col("rung") == entry.rung)["steps"].to_list())
        linear = training.tuning.mode == "linear"
        budgets[entry.rung] = None if linear else steps * training.batch_size / len(study.seeds)
    rungs = _by_scale([_stated_info(entry) for entry in study.rungs])
    return tuple(replace(rung, budget=budgets.get(rung.name)) for rung in rungs)


def _counts(row: Document) -> SplitCounts:
    return SplitCounts(
        cohort=row["cohort"],
        split=row["split"],
        cases=row["cases"],
        patients=row["patients"],
        positive=row["positive"],
        masked=row.get("masked") or {},
        images=row.get("images"),
    )


def _rung_info(rung: str | Document) -> RungInfo:
    """Facts about a rung: those of the ladder, overridden by the evaluation's."""
    entry: Document = {"name": rung} if isinstance(rung, str) else rung
    name = entry["name"]
    info = _ladder_info(LADDER[name]) if name in LADDER else RungInfo(name)
    stated = {fact: entry[fact] for fact in FACTS if entry.get(fact) is not None}
    return replace(info, **stated)


def _ladder_info(rung: Rung) -> RungInfo:
    return RungInfo(rung.name, rung.pretraining, rung.images, rung.architecture.parameters)


def _stated_info(entry: RungEntry) -> RungInfo:
    """Facts about a rung of a study; those that the study states come first."""
    info = _ladder_info(find_rung(entry.rung))
    images = info.images if entry.images is None else round(entry.images)
    return replace(info, images=images, pretraining=entry.pretraining or info.pretraining)


def _by_scale(rungs: list[RungInfo]) -> tuple[RungInfo, ...]:
    """By pre-training images, then parameters; a rung with a change follows the one it is of."""
    named = {rung.name: rung for rung in rungs}

    def place(rung: RungInfo) -> tuple[int, int, str]:
        plain = named.get(rung.name.partition(START_MARK)[0], rung)
        return plain.images or 0, plain.parameters or 0, rung.name

    return tuple(sorted(rungs, key=place))


def _augmentation_text(augment: AugmentConfig) -> str:
    """The random changes that are on."""
    changes = [f"{name} {value:g}" for name, value in augment if value]
    return f"; augmentation: {', '.join(changes)}" if changes else ""


def _images_text(image: ImageConfig) -> str:
    """Sizes, flips and random changes of the images."""
    return f"{image.preparation}, flips: {image.flip}{_augmentation_text(image.augment)}"


def _classes_text(study: Study) -> str:
    """Targets of a single-label task."""
    shares = "; training cases with shares of readers have these as their targets"
    return "one class per case" + shares * bool(study.data.class_shares)


def _sweep_text(study: Study, runs: pl.DataFrame) -> str:
    """Settings, selection and cost of a sweep."""
    sweep = study.sweep
    settings = [
        f"{name} {', '.join(f'{value:g}' for value in values)}"
        for name, values in (
            ("learning rates", sweep.learning_rates),
            ("steps", sweep.steps),
            ("weight decays", sweep.weight_decays),
        )
        if values
    ]
    settings += [f"axes {', '.join(study.axes.names)}"] if study.axes.is_set else []
    hours = float(runs["seconds"].sum()) / 3600
    selected = float(runs.filter(pl.col("taken"))["seconds"].sum()) / 3600
    return (
        f"{'; '.join(settings)}, instead of the recipe's values, for every rung and label budget; "
        "selected: the setting with the best mean AUROC over seeds on the tuning split. The sweep "
        f"took {hours:.1f} hours, the selected settings {selected:.1f}; see sweep.csv"
    )


def _facts(
    study: Study, digest: str, runs: pl.DataFrame, environments: list[Document]
) -> list[tuple[str, str]]:
    """Methods of a study, as pairs of name and text."""
    policies = "; ".join(
        f"{name}: uncertain → {policy.uncertain}, empty → {policy.empty}"
        for name, policy in study.data.targets.items()
    )
    facts = [
        ("Task", f"{study.data.task}, {plural(len(study.data.targets), 'target')}"),
        ("Label policy", policies if study.data.class_column is None else _classes_text(study)),
        ("Split", _split_text(study)),
        ("Images", _images_text(study.data.image)),
    ]
    for entry in study.rungs:
        if (image := study.image_of(entry)) != study.data.image:
            facts.append((f"Images, {entry.rung}", _images_text(image)))
        head = None if find_rung(entry.rung).reads_images else entry.head
        facts.append((f"Recipe, {entry.rung}", recipe_of(study.training_of(entry), head)))
    if study.is_swept:
        facts.append(("Sweep", _sweep_text(study, runs)))
    done = plural(runs.filter(pl.col("state") == "done").height, "run")
    facts += [
        ("Seeds", ", ".join(map(str, study.seeds))),
        ("Use of test cases", f"{done} scored on the test cases; none was used for selection"),
        ("Data digest", digest),
    ]
    for environment in environments:
        packages = ", ".join(f"{name} {v}" for name, v in environment["packages"].items())
        device = f"{environment['device']}, {plural(environment['threads'], 'thread')}"
        facts.append(("Environment", f"{packages}, {environment['decoder']}; {device}"))
    return facts


def _test_facts(folder: StudyFolder) -> list[tuple[str, str]]:
    """Use of the test cases of each cohort: runs, later additions, and evaluations."""
    reads = count_reads(folder)
    entries = [PlanEntry.of(row) for row in folder.read("plan.json")]
    scored, added = Counter[str](), Counter[str]()
    for entry in entries:
        run = folder.run(entry.run_id)
        predicted = cohort_predictions(run) if entry.tested and run.is_done() else {}
        for cohort, images in entry.tested.items():
            if images in predicted:
                scored[cohort] += 1
                added[cohort] += predicted[images].added is not None
    facts: list[tuple[str, str]] = []
    for cohort, number in scored.items():
        text = f"predicted by {plural(number, 'run')}"
        if added[cohort]:
            text += f", {added[cohort]} of them after their training was finished"
        if cohort in reads:
            text += (
                f"; evaluated in {plural(reads[cohort], 'way')} so far (other runs, settings or "
                "labels count as another way)"
            )
        facts.append((f"Test cases of {cohort}", text))
    return facts


def _split_text(study: Study) -> str:
    split = study.data.split
    if study.leave_cohort_out:
        return "by patient; each cohort left out in turn"
    cohorts = "all cohorts" if split.train_cohorts is None else ", ".join(split.train_cohorts)
    return (
        f"by patient, stratified, within {cohorts}, seed {split.seed} (or as given in the "
        "manifest's column split); other cohorts are test data only"
    )


def _cautions(study: Study, environments: list[Document], results: pl.DataFrame) -> list[str]:
    """Limitations that follow from the study's settings, and controls that did not fail."""
    cautions = control_cautions(results)
    custom = [
        entry.rung
        for entry in study.rungs
        if study.training_of(entry).steps is not None or study.sweep.steps
    ]
    if custom:
        cautions.append(
            f"The study sets the training schedule of {', '.join(custom)} instead of BiT-HyperRule."
        )
    if len(environments) > 1:
        cautions.append("Runs used different environments: the last digits may differ.")
    return cautions
