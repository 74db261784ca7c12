"""Ladders of known truth, and the folder that an evaluation of one leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tests.prediction_tables import Site, binary_table, class_table

from medtransfer.data.config import Task
from medtransfer.evaluation.config import EvaluationConfig
from medtransfer.evaluation.ladder import LadderRun, LadderTables, tabulate
from medtransfer.evaluation.trends import RungFacts
from medtransfer.files import write_json
from medtransfer.seeds import generator
from medtransfer.tables.curves import Curve, Point, curve_frame, write_curves
from medtransfer.tables.results import ALL, CASE, MACRO, write_results
from medtransfer.tables.schema import write_frame

HOME, AWAY = "north", "south"
SITES = {
    HOME: Site({"tune": 80, "test": 160}, separation=2.0, lost=0.3, each=2),
    AWAY: Site({"test": 120}, separation=1.6, lost=0.3, prevalence=0.3),
}
SMALL, LARGE = "scratch/r14x1", "bit-m/r50x1"
NOISE = {SMALL: 3.0, LARGE: 0.5}
"""Rung to the standard deviation of what it adds to the logits: more is worse."""
QUICK = EvaluationConfig(replicates=100, permutations=50, minimum_group=10)


@dataclass(frozen=True)
class Ladder:
    """What an evaluation is asked about."""

    task: Task = "binary"
    targets: tuple[str, ...] = ("edema",)
    noise: Mapping[str, float] = field(default_factory=lambda: NOISE)
    fractions: tuple[float, ...] = (1.0,)
    seeds: tuple[int, ...] = (0,)
    sites: Mapping[str, Site] = field(default_factory=lambda: SITES)
    attributes: tuple[str, ...] = ("sex", "age")
    config: EvaluationConfig = QUICK
    facts: tuple[RungFacts, ...] = ()

    @property
    def truth(self) -> pl.DataFrame:
        """The table of a network without noise."""
        if self.task == "single-label":
            return class_table(dict(self.sites), classes=self.targets, seed=5)
        return binary_table(dict(self.sites), targets=self.targets, seed=5)

    @property
    def runs(self) -> list[LadderRun]:
        """A run for each rung, fraction and seed."""
        truth = self.truth
        return [
            self._run(truth, rung, fraction, seed)
            for rung in self.noise for fraction in sorted(self.fractions, reverse=True)
            for seed in self.seeds
        ]  # fmt: skip

    def _run(self, truth: pl.DataFrame, rung: str, fraction: float, seed: int) -> LadderRun:
        rng = generator(seed, rung, str(fraction))
        wide = self.noise[rung] / fraction**0.3
        noisy = {
            name: truth[name] + rng.normal(0, wide, len(truth))
            for name in truth.columns
            if name.startswith("logit_")
        }
        run_id = f"{rung}-{fraction:g}-{seed}"
        frame = truth.with_columns(run_id=pl.lit(run_id), **noisy)
        return LadderRun(run_id, rung, fraction, seed, None, None, lambda: frame)

    def tabulated(self) -> LadderTables:
        """Its tables."""
        attributes = attributes_of(self.truth, self.attributes)
        return tabulate(self.runs, attributes, self.task, self.config,
                        reference=next(iter(self.noise)), facts=self.facts)  # fmt: skip


def attributes_of(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """`sex`: two groups; `age`: three, one of them of very few cases."""
    number = np.array(frame["patient_id"].str.extract(r"(\d+)$").cast(pl.Int64).to_list())
    found = {
        "sex": np.where(number % 2 == 0, "F", "M"),
        "age": np.where(number % 100 == 99, "over 90", np.where(number % 3 == 0, "to 60", "60–90")),
    }
    return pl.DataFrame({"case_id": frame["case_id"], **{name: found[name] for name in names}})


def curves_of(ladder: Ladder, tables: LadderTables) -> dict[Curve, pl.DataFrame]:
    """Curves of every kind, of the sample alone; re-training is made up."""
    points: dict[Curve, list[Point]] = {name: [] for name in (
        "roc", "pr", "reliability", "risk_coverage", "learning", "retrain")}  # fmt: skip
    target = MACRO if len(ladder.targets) > 1 else ladder.targets[0]
    whole = CASE if ladder.task == "single-label" else target
    grid = np.linspace(0, 1, 41)
    for run in ladder.runs:
        if run.seed != ladder.seeds[0]:
            continue
        frame = run.predictions().filter(pl.col("split") == "test")
        for cohort in frame["cohort"].unique().sort():
            own = frame.filter(pl.col("cohort") == cohort)
            name = ladder.targets[0]
            truth = own[f"target_{name}"].fill_null(0).to_numpy()
            p = 1 / (1 + np.exp(-own[f"logit_{name}"].to_numpy()))
            order = np.argsort(-p)
            hits = np.cumsum(truth[order]) / max(truth.sum(), 1)
            alarms = np.cumsum(1 - truth[order]) / max((1 - truth).sum(), 1)
            rank = np.arange(1, len(order) + 1)
            sure = np.argsort(-np.abs(p - 0.5))
            risk = np.cumsum(((p >= 0.5) != (truth == 1))[sure]) / rank

            def add(kind: Curve, target: str, series: str | None, x: Any, y: Any, count: Any = None,
                    about: LadderRun = run, where: str = cohort) -> None:  # fmt: skip
                points[kind] += [
                    Point(about.rung, about.label_fraction, None, None, where, target, series,
                          float(a), float(b), max(0.0, float(b) - 0.05), min(1.0, float(b) + 0.05),
                          None if count is None else float(count[i]))
                    for i, (a, b) in enumerate(zip(x, y, strict=True))
                ]  # fmt: skip

            add("roc", target, None, grid, np.interp(grid, alarms, hits))
            add("pr", target, None, grid[1:],
                np.interp(grid[1:], hits, np.cumsum(truth[order]) / rank))  # fmt: skip
            add("risk_coverage", whole, None, grid[1:],
                np.interp(grid[1:], rank / len(rank), risk))  # fmt: skip
            middle = np.linspace(0.1, 0.9, 5)
            bins = np.clip((p * 5).astype(int), 0, 4)
            count = np.bincount(bins, minlength=5)
            share = np.bincount(bins, truth, minlength=5) / np.maximum(count, 1)
            for series in ("none", "temperature"):
                add("reliability", whole, series, middle, share, count)
    for row in tables.results.filter(
        pl.col("run_id").is_null(), pl.col("metric") == "auroc", pl.col("attribute") == ALL,
        pl.col("target") == target, pl.col("value").is_not_null(),
    ).iter_rows(named=True):  # fmt: skip
        about = (row["rung"], row["label_fraction"], None)
        where = (row["cohort"], target, "auroc")
        ends = (row["value"], row["low"], row["high"])
        points["learning"].append(Point(*about, None, *where, row["label_fraction"], *ends))
        if row["cohort"] != HOME:
            for share in (0.0, 0.1, 1.0):
                moved = [None if v is None else min(1.0, v + 0.1 * share) for v in ends]
                points["retrain"].append(Point(*about, share or None, *where, share, *moved))
    return {name: curve_frame(own) for name, own in points.items()}


def counts_of(ladder: Ladder) -> list[dict[str, Any]]:
    """Who is in the table: one row per cohort and split."""
    return [
        {"cohort": own["cohort"][0], "split": own["split"][0], "cases": len(own),
         "patients": own["patient_id"].n_unique(),
         "positive": {t: int((own[f"target_{t}"] == 1).sum()) for t in ladder.targets}}
        for own in ladder.truth.partition_by("cohort", "split", maintain_order=True)
    ]  # fmt: skip


def write_evaluation(ladder: Ladder, folder: Path, name: str = "chest") -> Path:
    """Leave what `medtransfer evaluate` leaves."""
    tables = ladder.tabulated()
    write_results(tables.results, folder / "results.parquet")
    write_frame(tables.comparisons, folder / "comparisons.parquet")
    write_curves(curves_of(ladder, tables), folder / "curves")
    write_json(folder / "evaluation.json", {
        "name": name, "task": ladder.task, "targets": list(ladder.targets),
        "reference": next(iter(ladder.noise)), "rungs": list(ladder.noise),
        "config": ladder.config.model_dump(mode="json"), "attributes": list(ladder.attributes),
        "said": ["Column 'score' was taken as a probability: all values are between 0 and 1."],
        "counts": counts_of(ladder), "versions": {"medtransfer": "0.1.0"},
    })  # fmt: skip
    return folder
