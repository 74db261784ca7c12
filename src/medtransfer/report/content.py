"""What a report is made of: plain facts and tables, wherever they were read from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.fairness import GAP_P
from medtransfer.evaluation.scoring.run import INTERNAL
from medtransfer.tables.results import ALL, CASE, MACRO, Curve


@dataclass(frozen=True)
class RungInfo:
    """What is known of a rung; of another framework's network it may be the name alone.

    Attributes:
        name: On the page.
        pretraining: What its weights were learned from.
        images: How many images that was.
        parameters: Weights of the network.
        full: Its name in the tables, where that is too long for the page.
    """

    name: str
    pretraining: str | None = None
    images: int | None = None
    parameters: int | None = None
    full: str = ""


@dataclass(frozen=True)
class SplitCounts:
    """Who was used for what: one split of one cohort.

    Attributes:
        cohort: Where the cases come from.
        split: What they were used for.
        cases: How many.
        patients: How many.
        positive: Positive cases of each target.
        masked: Cases without a label of each target, where known.
        images: How many, where known.
    """

    cohort: str
    split: str
    cases: int
    patients: int
    positive: dict[str, int]
    masked: dict[str, int] = field(default_factory=dict[str, int])
    images: int | None = None


@dataclass(frozen=True)
class ReportedFinding:
    """One finding of the audit, with the reason why the study went on in spite of it."""

    code: str
    level: str
    check: str
    sentence: str
    waived: str | None = None


Row = dict[str, Any]
"""A row of the results or of the comparisons table."""


@dataclass(frozen=True)
class ReportData:
    """What is reported.

    Attributes:
        name: Of the study or the evaluation.
        what: "transfer study", or "evaluation" where nothing was trained.
        task: What the targets are to each other.
        targets: Their names.
        evaluation: Intervals, operating points, margin, least group size.
        reference: The rung that others are compared with.
        known: Rungs in reading order.
        results: The results table, runs and means over seeds.
        comparisons: Differences from the reference rung.
        curves: By kind; any may be empty.
        counts: Who was used for what.
        leave_cohort_out: Whether each cohort was left out of training in turn.
        runs: One row per planned run; None where nothing was trained.
        facts: What was done, as names with what is to be said of them.
        said: Sentences on what was assumed.
        findings: Of the audit; None where there was none.
        cautions: Sentences on what must not be concluded.
    """

    name: str
    what: str
    task: Task
    targets: tuple[str, ...]
    evaluation: EvaluationConfig
    reference: str
    known: tuple[RungInfo, ...]
    results: pl.DataFrame
    comparisons: pl.DataFrame
    curves: dict[Curve, pl.DataFrame] = field(default_factory=dict[Curve, pl.DataFrame])
    counts: tuple[SplitCounts, ...] = ()
    leave_cohort_out: bool = False
    runs: pl.DataFrame | None = None
    facts: tuple[tuple[str, str], ...] = ()
    said: tuple[str, ...] = ()
    findings: tuple[ReportedFinding, ...] | None = None
    cautions: tuple[str, ...] = ()

    @cached_property
    def target(self) -> str:
        """The target column of overall numbers: the mean over targets, or the only one."""
        first, *rest = self.targets
        return MACRO if rest else first

    @cached_property
    def means(self) -> pl.DataFrame:
        """Rows that are means over a rung's seeds."""
        rows = pl.col("run_id").is_null() & pl.col("retrain_fraction").is_null()
        return self.results.filter(rows & (pl.col("rung") != ALL))

    @cached_property
    def places(self) -> list[str]:
        """Cohorts with test results: the training cohorts' place first."""
        tests = self.means.filter(
            pl.col("split") == "test", ~pl.col("metric").str.contains("_drop")
        )
        return tests["cohort"].unique(maintain_order=True).to_list()

    @cached_property
    def internal_name(self) -> str | None:
        """The training cohorts' place; None where no cohort is known to be one."""
        trained = sorted({count.cohort for count in self.counts if count.split == "tune"})
        if not self.counts:
            return self.places[0]
        return None if not trained else trained[0] if len(trained) == 1 else INTERNAL

    @property
    def place(self) -> str:
        """Where rungs are compared first: the training cohorts' place if it was tested."""
        return self.internal_name if self.internal_name in self.places else self.places[0]

    @cached_property
    def shifted(self) -> list[str]:
        """Cohorts that were not trained on; all of them, where each was left out in turn."""
        if self.leave_cohort_out:
            return self.places
        return (
            []
            if self.internal_name is None
            else [p for p in self.places if p != self.internal_name]
        )

    @property
    def inside(self) -> str:
        """What a drop is measured from, in words."""
        return "its training cohorts" if self.leave_cohort_out else self.place

    @cached_property
    def fractions(self) -> list[float]:
        """Label fractions with results, rising."""
        return sorted(self.means["label_fraction"].unique().to_list())

    @property
    def full(self) -> float:
        """The largest label fraction, at which rungs are compared."""
        return self.fractions[-1]

    @cached_property
    def rungs(self) -> list[str]:
        """Rungs with results, in reading order."""
        names = set(self.means["rung"].to_list())
        return [rung.name for rung in self.known if rung.name in names]

    @cached_property
    def seeds(self) -> int:
        """Seeds of the rung that has most."""
        runs = self.results.filter(pl.col("run_id").is_not_null())
        counts = runs.group_by("rung").agg(pl.col("seed").n_unique())["seed"].to_list()
        return max(counts, default=1)

    @cached_property
    def best(self) -> str:
        """The rung with the best mean AUROC where rungs are compared first."""
        rows = self.overall(HEADLINE, self.full)
        rows = rows.filter((pl.col("cohort") == self.place) & pl.col("value").is_not_null())
        if rows.is_empty():
            return self.reference
        return str(rows.sort("value", descending=True)["rung"][0])

    @property
    def shown(self) -> list[str]:
        """The rungs that are drawn where all would be too many: the best and the reference."""
        both = dict.fromkeys((self.best, self.reference))
        return [rung for rung in both if rung in self.rungs]

    def overall(self, metric: str = HEADLINE, fraction: float | None = None) -> pl.DataFrame:
        """Mean-over-seeds rows of an overall metric, all cases together."""
        rows = self.means.filter(
            (pl.col("metric") == metric)
            & (pl.col("target") == self.target_of(metric))
            & (pl.col("attribute") == ALL)
        )
        return rows if fraction is None else rows.filter(pl.col("label_fraction") == fraction)

    def target_of(self, metric: str) -> str:
        """The target column of a metric's overall numbers."""
        return CASE if metric in self._of_case else self.target

    def number(self, rung: str, cohort: str, metric: str) -> Row | None:
        """An overall number at the full label fraction, if it is there."""
        return self._numbers.get((rung, cohort, metric, self.target_of(metric)))

    def comparison(self, rung: str, cohort: str, metric: str = HEADLINE) -> Row | None:
        """A difference from the reference at the full label fraction, if it is there."""
        return self._differences.get((rung, cohort, metric, self.target_of(metric)))

    @cached_property
    def over_seeds(self) -> pl.DataFrame:
        """Means over seeds of numbers that only runs have, at the full label fraction.

        The ends of an interval are means too; a p-value is the median.
        """
        rows = self.results.filter(
            pl.col("run_id").is_not_null()
            & pl.col("retrain_fraction").is_null()
            & (pl.col("label_fraction") == self.full)
        )
        if self.leave_cohort_out:
            rows = rows.filter(pl.col("cohort") == pl.col("held_out"))
        ends = [_mean_of_all(name) for name in ("value", "low", "high")]
        first = ("num_cases", "num_patients", "num_positive")
        found = rows.group_by(
            "rung", "cohort", "attribute", "group", "target", "metric", maintain_order=True
        ).agg(
            *ends,
            pl.col("value").median().alias("median"),
            pl.col("reason").drop_nulls().first(),
            *(pl.col(name).first() for name in first),
        )
        value = pl.when(pl.col("metric").str.ends_with(GAP_P)).then("median").otherwise("value")
        return found.with_columns(value.alias("value")).drop("median")

    def of_runs(self, rung: str, *metrics: str, **where: str) -> list[Row]:
        """Rows of `over_seeds` about a rung."""
        conditions = [pl.col(name) == value for name, value in where.items()]
        rows = self.over_seeds.filter(pl.col("rung") == rung, *conditions)
        return rows.filter(pl.col("metric").is_in(metrics)).to_dicts()

    def curve(self, kind: Curve, rungs: Sequence[str] | None = None) -> pl.DataFrame:
        """Points of a kind of curve: all of the task, of the rungs that are given."""
        points = self.curves.get(kind)
        if points is None or points.is_empty():
            return pl.DataFrame()
        rows = pl.col("target").is_in([self.target, CASE])
        rows &= pl.col("held_out").is_null() | (pl.col("cohort") == pl.col("held_out"))
        if kind != "learning":
            rows &= pl.col("label_fraction") == self.full
        if kind != "retrain":
            rows &= pl.col("retrain_fraction").is_null()
        if kind in ("learning", "retrain"):
            rows &= pl.col("series").is_null() | (pl.col("series") == HEADLINE)
        wanted = list(rungs if rungs is not None else self.rungs)
        return points.filter(rows & pl.col("rung").is_in(wanted) & pl.col("y").is_not_null())

    @cached_property
    def attributes(self) -> list[str]:
        """Attributes that were reported by."""
        names = self.means.filter(pl.col("attribute") != ALL)["attribute"]
        return names.unique(maintain_order=True).to_list()

    def group_rows(self, rung: str, attribute: str) -> list[Row]:
        """A rung's means in the groups of an attribute, at the full label fraction."""
        rows = self.means.filter(
            (pl.col("rung") == rung)
            & (pl.col("attribute") == attribute)
            & (pl.col("label_fraction") == self.full)
        )
        wanted = {metric: self.target_of(metric) for metric in rows["metric"].unique()}
        return [row for row in rows.to_dicts() if row["target"] == wanted[row["metric"]]]

    @cached_property
    def _of_case(self) -> set[str]:
        return set(self.means.filter(pl.col("target") == CASE)["metric"].to_list())

    @cached_property
    def _numbers(self) -> dict[tuple[str, str, str, str], Row]:
        rows = self.means.filter(
            (pl.col("label_fraction") == self.full) & (pl.col("attribute") == ALL)
        )
        return _by_place(rows)

    @cached_property
    def _differences(self) -> dict[tuple[str, str, str, str], Row]:
        rows = pl.col("retrain_fraction").is_null() & (pl.col("label_fraction") == self.full)
        return _by_place(self.comparisons.filter(rows))


def _mean_of_all(name: str) -> pl.Expr:
    """The mean, or nothing where a seed has none."""
    column = pl.col(name)
    return pl.when(column.null_count() == 0).then(column.mean()).alias(name)


def _by_place(rows: pl.DataFrame) -> dict[tuple[str, str, str, str], Row]:
    return {
        (row["rung"], row["cohort"], row["metric"], row["target"]): row for row in rows.to_dicts()
    }
