"""Predictions tables of known truth.

The evidence for a case is drawn from N(d, 1) if it is positive and from N(0, 1) if it is not, so
the true AUROC is Φ(d/√2). Its logit is the log-odds that follow from the evidence, so the
probabilities are calibrated; a planted temperature multiplies them. All cases of a patient share
their label: no pair of a positive and a negative is inside a patient, and the sample's AUROC is
unbiased however alike a patient's cases are.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import norm

from medtransfer.data.config import Task
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.score import MeasuredRun, measure_run
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.seeds import generator

QUICK = EvaluationConfig(replicates=60, permutations=40, minimum_group=10)
"""Enough replicates for an interval, few enough for a test."""
CLASSES = ("nevus", "keratosis", "melanoma", "scar")


@dataclass(frozen=True)
class Site:
    """Patients of one cohort.

    Attributes:
        patients: How many each split has.
        separation: Distance d between the means of positives and negatives.
        lost: Share of the separation that is missing for sex F.
        each: Cases of a patient.
        likeness: Correlation of the evidence of a patient's cases.
        prevalence: Share of positive patients.
    """

    patients: dict[str, int] = field(default_factory=lambda: {"tune": 40, "test": 80})
    separation: float = 1.5
    lost: float = 0.0
    each: int = 1
    likeness: float = 0.5
    prevalence: float = 0.5


SITES = {"a": Site()}


def true_auroc(separation: float) -> float:
    """What the AUROC of the evidence tends to."""
    return float(norm.cdf(separation / np.sqrt(2)))


def evidence(
    rng: np.random.Generator, means: Floats, each: int, likeness: float
) -> tuple[NDArray[np.int64], Floats]:
    """Cases of patients whose evidence has a mean each: patient of each case, and its evidence."""
    patient = np.repeat(np.arange(len(means)), each)
    shared = rng.normal(size=len(means))[patient] * np.sqrt(likeness)
    own = rng.normal(size=len(patient)) * np.sqrt(1 - likeness)
    return patient, means[patient] + shared + own


def binary_table(
    sites: dict[str, Site] = SITES,
    *,
    targets: tuple[str, ...] = ("x",),
    seed: int = 0,
    run_id: str = "run",
    temperature: float = 1.0,
    masked: float = 0.0,
    soft: float = 0.0,
) -> pl.DataFrame:
    """A predictions table with one or several binary targets.

    Args:
        sites: By cohort.
        targets: Their names.
        seed: Everything is drawn from it.
        run_id: Of all rows.
        temperature: Factor on the logits.
        masked: Share of target entries that are empty.
        soft: Share of target entries that are 0.3.
    """
    frames: list[pl.DataFrame] = []
    for cohort, site in sites.items():
        number = sum(site.patients.values())
        weaker = 1 - site.lost * (np.arange(number) % 2 == 0)
        columns: dict[str, Any] = {}
        for target in targets:
            rng = generator(seed, cohort, target)
            d = np.maximum(site.separation * weaker, 1e-9)
            positive = rng.random(number) < site.prevalence
            patient, found = evidence(rng, d * positive, site.each, site.likeness)
            odds = np.log(site.prevalence / (1 - site.prevalence))
            logits = d[patient] * found - d[patient] ** 2 / 2 + odds
            truth = positive[patient].astype(float)
            truth[rng.random(len(truth)) < soft] = 0.3
            truth[rng.random(len(truth)) < masked] = np.nan
            columns[f"target_{target}"] = pl.Series(truth).fill_nan(None)
            columns[f"logit_{target}"] = logits * temperature
        frames.append(rows_of(cohort, site, run_id).with_columns(**columns))
    return pl.concat(frames)


def class_table(
    sites: dict[str, Site] = SITES,
    *,
    classes: tuple[str, ...] = CLASSES,
    seed: int = 0,
    run_id: str = "run",
    temperature: float = 1.0,
    masked: float = 0.0,
) -> pl.DataFrame:
    """A predictions table of a single-label task, classes equally frequent."""
    frames: list[pl.DataFrame] = []
    for cohort, site in sites.items():
        rng = generator(seed, cohort, "classes")
        number = sum(site.patients.values())
        own = rng.permutation(np.arange(number) % len(classes))
        unknown = rng.random(number * site.each) < masked
        columns: dict[str, Any] = {}
        for k, name in enumerate(classes):
            patient, found = evidence(rng, site.separation * (own == k), site.each, site.likeness)
            truth = np.where(unknown, np.nan, (own[patient] == k).astype(float))
            columns[f"target_{name}"] = pl.Series(truth).fill_nan(None)
            columns[f"logit_{name}"] = site.separation * found * temperature
        frames.append(rows_of(cohort, site, run_id).with_columns(**columns))
    return pl.concat(frames)


def rows_of(cohort: str, site: Site, run_id: str) -> pl.DataFrame:
    """The ids of a cohort's cases: `<cohort>-p<patient>-c<case>`."""
    splits = [split for split, count in site.patients.items() for _ in range(count)]
    rows = [
        (run_id, 0, f"{cohort}-p{p:04d}-c{c}", f"{cohort}-p{p:04d}", cohort, split)
        for p, split in enumerate(splits)
        for c in range(site.each)
    ]
    names = ["run_id", "member", "case_id", "patient_id", "cohort", "split"]
    return pl.DataFrame(rows, schema=names, orient="row")


def ensemble_of(frame: pl.DataFrame, members: int, noise: float = 1.0) -> pl.DataFrame:
    """The same cases seen by several members, each through noise of its own.

    Args:
        frame: A predictions table of one member.
        members: How many there are.
        noise: Its standard deviation on the logits; 0 for members that are all the same.
    """
    logits = [name for name in frame.columns if name.startswith("logit_")]
    tables: list[pl.DataFrame] = []
    for member in range(members):
        rng = generator(0, "member", member)
        seen = [pl.col(name) + pl.Series(noise * rng.normal(size=len(frame))) for name in logits]
        number = pl.lit(member, dtype=frame.schema["member"]).alias("member")
        tables.append(frame.with_columns(number, *seen))
    return pl.concat(tables)


def attributes_of(frame: pl.DataFrame, *, unknown: int = 0) -> pl.DataFrame:
    """`case_id` and `sex`: patients of even number are F, which is whom `Site.lost` is about.

    Args:
        frame: A predictions table.
        unknown: Patients whose number it divides have no known sex; 0 for nobody.
    """
    number = frame["patient_id"].str.extract(r"(\d+)$").cast(pl.Int64).to_list()
    sex = ["M" if n % 2 else "F" for n in number]
    known = [None if unknown and n % unknown == 0 else s for n, s in zip(number, sex, strict=True)]
    return pl.DataFrame({"case_id": frame["case_id"], "sex": pl.Series(known, dtype=pl.String)})


def no_attributes(frame: pl.DataFrame) -> pl.DataFrame:
    """`case_id` alone."""
    return frame.select("case_id")


def measured(
    frame: pl.DataFrame,
    task: Task = "binary",
    config: EvaluationConfig = QUICK,
    attributes: pl.DataFrame | None = None,
) -> MeasuredRun:
    """A run with all its numbers, without attributes unless they are given."""
    about = no_attributes(frame) if attributes is None else attributes
    return measure_run(frame, about, task, config)


def one_row(results: pl.DataFrame, metric: str, **where: str) -> dict[str, Any]:
    """The only row of a results table about something; all cases where no group is named."""
    wanted = {"attribute": "all", "group": "all", "metric": metric} | where
    found = results.filter(*(pl.col(name) == value for name, value in wanted.items()))
    assert len(found) == 1, f"{len(found)} rows of {wanted}"
    return found.row(0, named=True)


def scored_rows(frame: pl.DataFrame, cohort: str = "a") -> pl.DataFrame:
    """The test rows of a cohort."""
    return frame.filter(pl.col("split") == "test", pl.col("cohort") == cohort)


def arrays_of(frame: pl.DataFrame, target: str = "x") -> tuple[NDArray[np.int64], Floats]:
    """Truth and logits of a binary target, labelled rows only."""
    rows = frame.filter(pl.col(f"target_{target}").is_in([0.0, 1.0]))
    truth = rows[f"target_{target}"].to_numpy().astype(np.int64)
    return truth, rows[f"logit_{target}"].to_numpy()
