"""Time and memory to sum up a study of many finished runs, from nothing and after one more.

    python benchmarks/collect.py [--quick] [--runs N] [--folder F]

Two linear probes of the features of another program are fitted, predicted and scored as any run
is. All other runs are made from them, so that thousands need no training:

1. A template is the predictions of a probe with its logits transformed: times a number from 0.5 to
   1.5, plus normal noise with a standard deviation from 0.2 to 1, both drawn from the number of
   the template. Each of the `TEMPLATES` tables is scored as any other.
2. A run of the study's plan has the predictions of a template under its own run id, and so has its
   kept part and results; a cell has a template for each seed, up to `TEMPLATES`. Its folder is
   written by the functions that write those of trained runs, and sealed.

So tables are read, checked and summed up as those of a study that was trained: only the values
repeat. Studies have 20 rungs at ten label fractions, and as many seeds as make N; two hospitals,
one target, two groups, 1,000 replicates. Each step is a process of its own, whose processor time
and peak of memory are reported; imports are not in the time.

Goals: tables and report of 2,000 runs in 60 s of processor time, of 20,000 in 300 s; 10 s after one
run that is new, or none; at most 0.5 MiB a run above the peak of a study of 40 runs.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from medtransfer import Study, run_study, write_report
from medtransfer.data.cases import reported_attributes
from medtransfer.evaluation.comparison.cells.cell_part import CellPart, cell_part
from medtransfer.evaluation.scoring.score import measure_run, results_of
from medtransfer.files import remove
from medtransfer.runs.config import scoring_digest
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.tested.files import read_predictions_of, write_tested
from medtransfer.study.execution.requests import request_of
from medtransfer.study.plan import PlannedRun, StudyData, plan_runs, read_data

BASE = 40
"""Runs of the study whose peak of memory is the base."""
SECONDS = {BASE: 20.0, 2_000: 60.0, 20_000: 300.0}
"""Goals of tables and report together, by the number of runs."""
SECONDS_AFTER_ONE = 10.0
MIB_A_RUN = 0.5
RUNGS, FRACTIONS, WIDTH, TEMPLATES = 20, tuple(k / 10 for k in range(1, 11)), 16, 20
CASES = {"home": 600, "away": 300}
STEPS = ("tables", "report", "nothing changed", "one new run", "report after it")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{BASE} runs of two rungs alone")
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--folder", type=Path, help="where the studies are kept for another time")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(carried_out(options.step, options.folder)))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        place = options.folder or Path(temporary)
        base = measured(place / str(BASE), rungs=2, runs=BASE)
        if options.quick:
            return told(base, base)
        return told(measured(place / str(options.runs), rungs=RUNGS, runs=options.runs), base)


@dataclass(frozen=True)
class Measured:
    """Processor seconds and peaks of memory of each step."""

    runs: int
    seconds: dict[str, float]
    mib: dict[str, float]


def measured(place: Path, *, rungs: int, runs: int) -> Measured:
    """Make a study, if it is not there, and carry out the steps."""
    seeds = runs // (rungs * len(FRACTIONS))
    runs = rungs * len(FRACTIONS) * seeds
    print(f"{runs} runs: {rungs} rungs, {len(FRACTIONS)} label fractions, {seeds} seeds")
    if not (place / "made").exists():
        start = time.process_time()
        make_study(place, rungs, seeds)
        print(f"  made: {time.process_time() - start:.1f} s", flush=True)
    of_steps: dict[str, dict[str, float]] = {}
    for step in STEPS:
        command = [sys.executable, __file__, "--step", step, "--folder", str(place)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        figures = of_steps[step] = json.loads(done.stdout.splitlines()[-1])
        print(f"  {step}: {figures['seconds']:.1f} s, {figures['mib']:.0f} MiB", flush=True)
    return Measured(
        runs,
        {step: figures["seconds"] for step, figures in of_steps.items()},
        {step: figures["mib"] for step, figures in of_steps.items()},
    )


def told(study: Measured, base: Measured) -> int:
    """Print the figures beside their goals; 1 if one is missed."""
    together = study.seconds["tables"] + study.seconds["report"]
    lines = [(f"tables and report of {study.runs} runs", together, SECONDS.get(study.runs), "s")]
    lines += [
        (step, study.seconds[step], SECONDS_AFTER_ONE, "s")
        for step in ("nothing changed", "one new run")
    ]
    if study.runs > base.runs:
        peak = max(study.mib.values()) - max(base.mib.values())
        a_run = peak / (study.runs - base.runs)
        lines.append((f"memory a run above that of {base.runs} runs", a_run, MIB_A_RUN, "MiB"))
    is_missed = False
    for subject, figure, goal, unit in lines:
        stated = "no goal" if goal is None else f"goal {goal:g} {unit}"
        print(f"{subject}: {figure:.2f} {unit} ({stated})")
        is_missed |= goal is not None and figure > goal
    return int(is_missed)


def carried_out(step: str, place: Path) -> dict[str, float]:
    """Carry out a step; its processor seconds, and the peak of memory of the process."""
    study = Study.model_validate(json.loads((place / "made").read_text()))
    folder = StudyFolder(place / "study")
    if step == "tables":
        remove(folder.path / "collected.json")
        remove(folder.estimates / "cells")
    if step == "one new run":
        replace_run(study, folder)
    start = time.process_time()
    if step.startswith("report"):
        write_report(folder.path)
    else:
        run_study(study, folder.path)
    seconds = time.process_time() - start
    return {
        "seconds": seconds,
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def make_study(place: Path, rungs: int, seeds: int) -> None:
    """Write a study of finished runs, and its settings into the file `made`."""
    place.mkdir(parents=True, exist_ok=True)
    make_tables(place, rungs)
    settings = settings_of(place, rungs, seeds)
    study = Study.model_validate(settings)
    few = {"label_fractions": [1.0], "seeds": [0], "rungs": settings["rungs"][:2]}
    folder = StudyFolder(place / "study")
    run_study(Study.model_validate(settings | few), folder.path)
    data = read_data(study, folder.images)
    planned = plan_runs(study, data, folder)
    trained = [run for run in planned if folder.run(run.run_id).is_done()]
    templates = [
        template_of(number, trained[number % 2], study, folder, data)
        for number in range(min(TEMPLATES, 2 * seeds))
    ]
    for number, run in enumerate(planned):
        if run not in trained:
            write_run(run, templates[number % len(templates)], study, folder, data)
    (place / "made").write_text(json.dumps(study.model_dump(mode="json", exclude_unset=True)))


@dataclass(frozen=True)
class Template:
    """Content of made runs: predictions, and the results and kept part that they have."""

    source: RunFolder
    predictions: pl.DataFrame
    results: pl.DataFrame
    part: CellPart


def template_of(
    number: int, run: PlannedRun, study: Study, folder: StudyFolder, data: StudyData
) -> Template:
    """A trained run with its logits transformed, and scored."""
    draw = np.random.default_rng(number)
    predictions = read_predictions_of(folder.run(run.run_id), run.predicted)
    factor, noise = draw.uniform(0.5, 1.5), draw.uniform(0.2, 1.0)
    drawn = pl.Series(draw.normal(scale=noise, size=len(predictions)))
    logit = (pl.col("logit_target") * factor + drawn).cast(predictions.schema["logit_target"])
    predictions = predictions.with_columns(logit_target=logit)
    attributes, task, config = scorer_of(study, data)
    measured = measure_run(predictions, attributes, task, config)
    results, part = results_of(measured, config), cell_part(measured, config)
    return Template(folder.run(run.run_id), predictions, results, part)


def scorer_of(study: Study, data: StudyData) -> tuple[pl.DataFrame, Any, Any]:
    """Attributes, task and settings that the runs of a study are scored with."""
    config = study.evaluation
    frame = data.manifest.frame
    return (
        reported_attributes(frame, study.data.attributes, config.minimum_group),
        study.data.task,
        config,
    )


def write_run(
    run: PlannedRun, template: Template, study: Study, folder: StudyFolder, data: StudyData
) -> None:
    """Write the folder of a finished run as one that was trained, with a template's content."""
    place = folder.run(run.run_id)
    place.start(request_of(run).model_dump(mode="json"), template.source.environments()[0])
    place.write_history(template.source.history_rows())
    named = template.predictions.with_columns(run_id=pl.lit(run.run_id))
    cost = replace(template.source.cost(), training_cases=run.num_cases)
    place.write_outcome(named, cost)
    write_tested(place, run.identity, run.predicted.cohorts)
    predictions = read_predictions_of(place, run.predicted)
    attributes, task, config = scorer_of(study, data)
    kept = folder.kept_runs()
    kept.keep(kept.key(predictions, attributes, task, config), template.part)
    is_named = pl.col("run_id").is_not_null()
    results = template.results.with_columns(
        run_id=pl.when(is_named).then(pl.lit(run.run_id)).otherwise(None)
    )
    place.write_results(results, scoring_digest(run.cell.run, run.predicted.digest))
    place.finish()


def replace_run(study: Study, folder: StudyFolder) -> None:
    """Make one run anew, of a template that no other has: its cell is no more what it was."""
    data = read_data(study, folder.images)
    planned = plan_runs(study, data, folder)
    last = planned[-1]
    template = template_of(time.time_ns() % 10**9, last, study, folder, data)
    remove(folder.run(last.run_id).path)
    write_run(last, replace(template, source=folder.run(planned[0].run_id)), study, folder, data)


def make_tables(place: Path, rungs: int) -> None:
    """A manifest of two hospitals, and features of each rung that say more and more."""
    draw = np.random.default_rng(0)
    num_cases = sum(CASES.values())
    truth = (draw.random(num_cases) < 0.3).astype(np.int64)
    names = [f"case-{number}" for number in range(num_cases)]
    manifest = {
        "image_id": names,
        "case_id": names,
        "patient_id": names,
        "cohort": [cohort for cohort, number in CASES.items() for _ in range(number)],
        "sex": draw.choice(["F", "M"], num_cases).tolist(),
        "target": truth,
    }
    pl.DataFrame(manifest).write_parquet(place / "manifest.parquet")
    for number in range(rungs):
        features = draw.normal(size=(num_cases, WIDTH)).astype(np.float32)
        features[:, 0] += truth * (0.5 + number / rungs)
        vectors = pl.Series("features", features).cast(pl.List(pl.Float32))
        table = pl.DataFrame([pl.Series("case_id", names), vectors])
        table.write_parquet(place / f"features-{number}.parquet")


def settings_of(place: Path, rungs: int, seeds: int) -> dict[str, Any]:
    """The study."""
    return {
        "name": "collect",
        "data": {
            "manifest": str(place.absolute() / "manifest.parquet"),
            "task": "binary",
            "targets": ["target"],
            "attributes": ["sex"],
            "split": {"train_cohorts": ["home"]},
        },
        "rungs": [
            {
                "rung": f"embeddings/rung-{number}",
                "features": str(place.absolute() / f"features-{number}.parquet"),
            }
            for number in range(rungs)
        ],
        "label_fractions": list(FRACTIONS),
        "seeds": list(range(seeds)),
        "training": {"ood": False},
    }


if __name__ == "__main__":
    raise SystemExit(main())
