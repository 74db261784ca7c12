"""The sections that say what was done and what it cannot show."""

from typing import Any

import polars as pl

from medtransfer.data.audit import CHECKS
from medtransfer.errors import plural
from medtransfer.report.content import Content
from medtransfer.report.parts import Facts, Note, Part, Section, Table


def runs(content: Content) -> Section:
    """Every run with its state and costs; failures with their cause."""
    head = ["Run", "Rung", "Labels", "Seed", "State", "Steps", "Chosen step", "Cases",
            "Minutes", "Images/s", "Precision", "Memory MiB"]  # fmt: skip
    rows = [
        [
            str(row["run_id"]),
            row["rung"],
            f"{row['label_fraction']:.0%}",
            str(row["seed"]),
            row["state"],
            *(_cell(row[name]) for name in ("steps", "selected_step", "training_cases")),
            "–" if row["seconds"] is None else f"{float(row['seconds']) / 60:.1f}",
            *(_cell(row[name]) for name in ("images_per_second", "precision", "peak_memory_mib")),
        ]
        for row in content.runs.iter_rows(named=True)
    ]
    parts: list[Part] = [Table(head, rows, "", frozenset({2, 3, 5, 6, 7, 8, 9, 11}))]
    lost = content.runs.filter(pl.col("state") != "done")
    for row in lost.iter_rows(named=True):
        if row["message"]:
            parts.append(Note(f"{row['run_id']}: {row['state']}: {row['message']}"))
    lead = "Every run of the study."
    if len(lost):
        lead = f"{plural(len(lost), 'run')} of {len(content.runs)} without results."
    return Section("runs", "Runs and costs", lead, parts)


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def method(content: Content) -> Section:
    """Flow of cases, settings, versions, findings of the audit."""
    study = content.study
    targets = list(study.data.targets)
    head = ["Cohort", "Split", "Images", "Cases", "Patients", *(f"{t} +" for t in targets)]
    rows = [
        [row["cohort"], row["split"], *(f"{row[n]:,}" for n in ("images", "cases", "patients")),
         *(f"{row['positive'][t]:,}" for t in targets)]
        for row in content.data["flow"]
    ]  # fmt: skip
    flow = Table(head, rows, "Who was used for what.", frozenset(range(2, len(head))))
    findings = [
        [f["code"], f["level"], CHECKS[f["code"]][1], f["sentence"],
         study.waive.get(f["code"], "–")]
        for f in content.data["findings"]
    ]  # fmt: skip
    head = ["Code", "Level", "Check", "Found", "Waived because"]
    parts: list[Part] = [flow, Facts(_facts(content))]
    parts.append(
        Table(head, findings, "What the audit found.")
        if findings
        else Note("The audit found nothing.")
    )
    return Section("method", "What was done", "", parts)


def _facts(content: Content) -> list[tuple[str, str]]:
    study = content.study
    policies = "; ".join(
        f"{name}: uncertain {policy.uncertain}, empty {policy.empty}"
        for name, policy in study.data.targets.items()
    )
    image = study.data.image
    size = "by BiT-HyperRule" if image.crop is None else f"{image.resize} → {image.crop} px"
    facts = [
        ("Task", f"{study.data.task}, {plural(len(study.data.targets), 'target')}"),
        ("Label policy", policies if study.data.class_column is None else "a class per case"),
        ("Split", _split_text(content)),
        ("Images", f"{size}, flips: {image.flip}"),
    ]
    for entry in study.rungs:
        config = study.training_of(entry)
        steps = "by the rule" if config.steps is None else f"{config.steps} (the study's own)"
        recipe = (
            f"BiT-HyperRule; batch {config.batch_size}, learning rate {config.learning_rate:g}, "
            f"steps {steps}, weight decay {config.weight_decay:g}, selection: "
            f"{config.selection} of {config.checks} checks by tuning AUROC"
        )
        facts.append((f"Recipe, {entry.rung}", recipe))
    done = content.runs.filter(pl.col("state") == "done").height
    intervals = f"{study.evaluation.replicates} bootstrap replicates by patient, the same for "
    readings = f"{plural(done, 'run')} scored on the test cases; none was used for selection"
    facts += [
        ("Seeds", ", ".join(map(str, study.seeds))),
        ("Intervals", f"{intervals}all rungs; seed {study.evaluation.seed}"),
        ("Operating points", ", ".join(study.evaluation.operating_points) + ", fixed on tune"),
        ("Test readings", readings),
        ("Data digest", content.data["digest"]),
    ]  # fmt: skip
    for environment in content.environments:
        packages = ", ".join(f"{k} {v}" for k, v in environment["packages"].items())
        where = f"{environment['device']}, {environment['threads']} threads"
        facts.append(("Ran with", f"{packages}, {environment['decoder']}; {where}"))
    return facts


def _split_text(content: Content) -> str:
    split = content.study.data.split
    if content.study.leave_cohort_out:
        return "by patient; each cohort left out in turn"
    who = "all cohorts" if split.train_cohorts is None else ", ".join(split.train_cohorts)
    return (
        f"by patient, stratified, within {who}, seed {split.seed} (or as the manifest's split "
        "column says); other cohorts are test data only"
    )


def limits(content: Content) -> Section:
    """What a reader must not conclude."""
    notes: list[str] = []
    if len(content.study.seeds) < 5:
        notes.append(
            f"{plural(len(content.study.seeds), 'seed')}: intervals show the chance of patients, "
            "not that of training. Differences as small as those between seeds mean little."
        )
    if len(content.shifted) == 1:
        notes.append("One shifted cohort: what holds there need not hold at a third hospital.")
    if not content.shifted:
        notes.append("No shifted cohort: nothing is said of other hospitals.")
    for row in content.data["flow"]:
        if row["split"] == "test" and row["patients"] < 100:
            notes.append(
                f"{plural(row['patients'], 'test patient')} at {row['cohort']}: only large "
                "differences can be seen."
            )
    own = [e.rung for e in content.study.rungs if content.study.training_of(e).steps is not None]
    if own:
        notes.append(f"A schedule of the study's own, not the rule's, for {', '.join(own)}.")
    if len(content.environments) > 1:
        notes.append("Runs were made in different environments: last digits may differ.")
    notes.append("Association, not causation: a gap or a drop does not say why.")
    return Section("limits", "What this study cannot say", "", [Note(note) for note in notes])
