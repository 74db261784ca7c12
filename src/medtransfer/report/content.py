"""Report data: the facts and tables that a report is rendered from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from medtransfer.data.config import Task
from medtransfer.data.splits import OUTLIERS
from medtransfer.evaluation.comparison.choice.common_choice import CommonChoice
from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.evaluation.comparison.target_means import WITHIN
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.run import INTERNAL
from medtransfer.language.translation import template, translate
from medtransfer.tables.results import ALL, CASE, MACRO, Curve


@dataclass(frozen=True)
class RungInfo:
    """Facts about a rung; for a network of another framework the name may be all there is.

    Attributes:
        name: On the page.
        pretraining: Data that its initial weights were trained on.
        images: Number of pre-training images.
        parameters: Number of weights of the network.
        full_name: Its name in the tables, if that is too long for the page.
        budget: Training cases of one seed over all settings tried; None where it is unknown.
    """

    name: str
    pretraining: str | None = None
    images: int | None = None
    parameters: int | None = None
    full_name: str = ""
    budget: float | None = None


@dataclass(frozen=True)
class SplitCounts:
    """Cases, patients and labels in one split of one cohort.

    Attributes:
        cohort: Origin of the cases.
        split: Their use: train, tune or test.
        cases: Number of cases.
        patients: Number of patients.
        positive: Positive cases of each target.
        masked: Unlabelled cases of each target, if known.
        images: Number of images, if known.
    """

    cohort: str
    split: str
    cases: int
    patients: int
    positive: dict[str, int]
    masked: dict[str, int] = field(default_factory=dict[str, int])
    images: int | None = None

    def labelled(self, target: str) -> int:
        """Cases with a label of a target: the cases that its metrics are of."""
        return self.cases - self.masked.get(target, 0)


@dataclass(frozen=True)
class ReportedFinding:
    """One audit finding, with the reason for waiving it."""

    code: str
    level: str
    check: str
    sentence: str
    waived: str | None = None


BEST = template("the rung with the best AUROC on {cohort}")
BEST_ON_SHARED = template("the rung with the best AUROC on the shared cases of {cohort}")
POINT_COLUMNS = ("cohort", "x", "y", "low", "high")  # of a curve, for charts and tables
Row = dict[str, Any]  # columns of a table differ in type
"""A row of the results or of the comparisons table."""


@dataclass(frozen=True)
class ReportData:
    """Data of one report, from a study or from an evaluation.

    Attributes:
        name: Of the study or the evaluation.
        kind: "transfer study", or "evaluation" if nothing was trained.
        task: Relation of the targets to each other.
        targets: Their names.
        evaluation: Intervals, operating points, margin, minimum group size.
        reference: The rung that others are compared with.
        rung_infos: Rungs in reading order.
        results: The results table: runs and means over seeds.
        comparisons: Differences from the reference rung.
        ensembles: Differences of ensembles of seeds from their rungs; None if there are none.
        curves: By kind; any may be empty.
        counts: Cases and patients of each cohort and split.
        leave_cohort_out: Each cohort was left out of training in turn.
        runs: One row per planned run; None if nothing was trained.
        facts: Methods, as pairs of name and text.
        notes: Sentences on assumptions.
        findings: Of the audit; None if there was no audit.
        cautions: Sentences on limitations.
        pairs: Differences between every two rungs; None in evaluations and in old folders.
        understanding: Why rungs win, from `analysis.table`; None if it was not asked.
        trajectory: AUROC at home and away while tuning; None if no run looked.
        corruptions: Of the internal test cases; None if there were none.
        adaptation: Curves of arms at shifted hospitals; None if not asked for.
        group_thresholds: Thresholds by group beside shared ones; None if not asked for.
        levels: Means of units of several cases, with differences; None if not asked for.
        verdict: Of a validation at a hospital: the answer, then the numbers behind it.
        spoken: The same in the language of the page; empty if that is English, or unknown.
        chosen: The recommended rung; None if none can be recommended over another.
        common: Circumstances of a choice between studies; None if these are not compared.
        readers: Agreement of readers, and rungs beside them; None where there were no readings.
    """

    name: str
    kind: str
    task: Task
    targets: tuple[str, ...]
    evaluation: EvaluationConfig
    reference: str
    rung_infos: tuple[RungInfo, ...]
    results: pl.DataFrame
    comparisons: pl.DataFrame
    curves: dict[Curve, pl.DataFrame] = field(default_factory=dict[Curve, pl.DataFrame])
    counts: tuple[SplitCounts, ...] = ()
    leave_cohort_out: bool = False
    runs: pl.DataFrame | None = None
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    findings: tuple[ReportedFinding, ...] | None = None
    cautions: tuple[str, ...] = ()
    pairs: pl.DataFrame | None = None
    ensembles: pl.DataFrame | None = None
    understanding: pl.DataFrame | None = None
    trajectory: pl.DataFrame | None = None
    corruptions: pl.DataFrame | None = None
    adaptation: pl.DataFrame | None = None
    group_thresholds: pl.DataFrame | None = None
    levels: pl.DataFrame | None = None
    verdict: tuple[str, ...] = ()
    spoken: tuple[str, ...] = ()
    chosen: str | None = None
    readers: pl.DataFrame | None = None
    common: CommonChoice | None = None

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
    def cohorts(self) -> list[str]:
        """Cohorts with test results, the internal test set first; outlier classes are none."""
        is_left_out = pl.col("metric").str.contains("_drop") | (pl.col("cohort") == OUTLIERS)
        tests = self.means.filter((pl.col("split") == "test") & ~is_left_out)
        return tests["cohort"].unique(maintain_order=True).to_list()

    @cached_property
    def internal_name(self) -> str | None:
        """Name of the internal test set; None if no training cohort is known."""
        trained = sorted({count.cohort for count in self.counts if count.split == "tune"})
        if not self.counts:
            return self.cohorts[0]
        return None if not trained else trained[0] if len(trained) == 1 else INTERNAL

    @property
    def main_cohort(self) -> str:
        """Cohort of the main comparison: the internal test set, if it has results."""
        return self.internal_name if self.internal_name in self.cohorts else self.cohorts[0]

    @cached_property
    def shifted(self) -> list[str]:
        """Cohorts without training cases; all of them if each was left out in turn."""
        if self.leave_cohort_out:
            return self.cohorts
        home = self.internal_name
        return [] if home is None else [cohort for cohort in self.cohorts if cohort != home]

    @property
    def drop_baseline(self) -> str:
        """Baseline of a drop, in words."""
        return translate("its training cohorts") if self.leave_cohort_out else self.main_cohort

    @cached_property
    def fractions(self) -> list[float]:
        """Label fractions with results, in ascending order."""
        return sorted(self.means["label_fraction"].unique().to_list())

    @property
    def full_fraction(self) -> float:
        """The largest label fraction, at which rungs are compared."""
        return self.fractions[-1]

    @cached_property
    def rungs(self) -> list[str]:
        """Rungs with results, in reading order."""
        tested = set(self.means["rung"])
        return [rung.name for rung in self.rung_infos if rung.name in tested]

    @cached_property
    def seeds(self) -> int:
        """Largest number of seeds of any rung."""
        runs = self.results.filter(pl.col("run_id").is_not_null())
        return max(runs.group_by("rung").agg(pl.col("seed").n_unique())["seed"], default=1)

    @property
    def best(self) -> str:
        """The rung that all details are of: the recommended one, else that of the best AUROC."""
        return self.chosen if self.chosen in self.rungs else self._highest

    @property
    def best_reason(self) -> str:
        """Words on why details are of that rung."""
        if self.chosen in self.rungs:
            return translate("the recommended rung")
        if len(self.rungs) < 2:
            return translate("the only rung")
        message = BEST_ON_SHARED if self._is_paired else BEST
        return translate(message, cohort=self.main_cohort)

    @cached_property
    def _highest(self) -> str:
        """The rung with the highest mean AUROC on the main cohort.

        Where rungs answered different cases, by the differences on shared cases.
        """
        if self._is_paired:
            rows = {rung: self.headline_difference(rung, self.main_cohort) for rung in self.rungs}
            values = {rung: (row or {}).get("difference") for rung, row in rows.items()}
            above = {self.reference: 0.0} | {r: x for r, x in values.items() if x is not None}
            return max(above, key=above.__getitem__)
        rows = self.overall(self.headline(self.main_cohort), self.full_fraction)
        rows = rows.filter((pl.col("cohort") == self.main_cohort) & pl.col("value").is_not_null())
        highest = rows.sort("value", descending=True)["rung"].to_list()
        return str(highest[0]) if highest else self.reference

    @cached_property
    def _is_paired(self) -> bool:
        """True if rungs answered different cases of the main cohort."""
        rows = [self.comparison_row(rung, self.main_cohort) or {} for rung in self.rungs]
        shares = [row.get(s) or 1 for row in rows for s in ("coverage", "coverage_reference")]
        return min(shares, default=1) < 1

    def best_of(self, rungs: Sequence[str]) -> str:
        """The rung with the highest AUROC on the main cohort among some."""
        rows = {name: self.headline_row(name, self.main_cohort) or {} for name in rungs}
        return max(rungs, key=lambda name: rows[name].get("value") or -1.0)

    @property
    def shown_rungs(self) -> list[str]:
        """The best rung and the reference, for charts that would be crowded with all rungs."""
        return [rung for rung in dict.fromkeys((self.best, self.reference)) if rung in self.rungs]

    def overall(self, metric: str = HEADLINE, fraction: float | None = None) -> pl.DataFrame:
        """Rows of a metric over all cases, means over seeds."""
        rows = self.means.filter(
            (pl.col("metric") == metric)
            & (pl.col("target") == self.target_of(metric))
            & (pl.col("attribute") == ALL)
        )
        return rows if fraction is None else rows.filter(pl.col("label_fraction") == fraction)

    def target_of(self, metric: str) -> str:
        """The target column of a metric's overall numbers."""
        return CASE if metric in self._of_case else self.target

    def result_row(self, rung: str, cohort: str, metric: str) -> Row | None:
        """A rung's row of a metric over all cases at the full label fraction, if present."""
        return self._numbers.get((rung, cohort, metric, self.target_of(metric)))

    def headline(self, cohort: str) -> str:
        """The main metric on a cohort: AUROC; of several training cohorts, that within each."""
        row = self._numbers.get((self.reference, cohort, WITHIN, self.target_of(HEADLINE)))
        return HEADLINE if row is None or row["value"] is None else WITHIN

    def headline_row(self, rung: str, cohort: str) -> Row | None:
        """A rung's row of the main metric at the full label fraction, if present."""
        return self.result_row(rung, cohort, self.headline(cohort))

    def headline_difference(self, rung: str, cohort: str) -> Row | None:
        """A rung's difference from the reference in the main metric, if present."""
        return self.comparison_row(rung, cohort, self.headline(cohort))

    def comparison_row(self, rung: str, cohort: str, metric: str = HEADLINE) -> Row | None:
        """A rung's difference from the reference at the full label fraction, if present."""
        return self._differences.get((rung, cohort, metric, self.target_of(metric)))

    @cached_property
    def run_means(self) -> pl.DataFrame:
        """Means over seeds of single runs' metrics and limits, at the full label fraction."""
        rows = self.results.filter(
            pl.col("run_id").is_not_null()
            & pl.col("retrain_fraction").is_null()
            & (pl.col("label_fraction") == self.full_fraction)
        )
        if self.leave_cohort_out:
            rows = rows.filter(pl.col("cohort") == pl.col("held_out"))
        ends = pl.col("value", "low", "high")
        first = ("num_cases", "num_patients", "num_positive")
        key = ("rung", "cohort", "attribute", "group", "target", "metric")
        return rows.group_by(key, maintain_order=True).agg(
            pl.when(ends.null_count() == 0).then(ends.mean()),  # null if any seed has no value
            pl.col("reason").drop_nulls().first(),
            *(pl.col(name).first() for name in first),
        )

    def run_mean_rows(self, rung: str, *metrics: str, **where: str) -> list[Row]:
        """Rows of `run_means` of a rung."""
        conditions = [pl.col(name) == value for name, value in where.items()]
        rows = self.run_means.filter(pl.col("rung") == rung, *conditions)
        return rows.filter(pl.col("metric").is_in(metrics)).to_dicts()

    def curve(self, kind: Curve, rungs: Sequence[str] | None = None) -> pl.DataFrame:
        """Points of one kind of curve for the task as a whole, for some rungs or all."""
        points = self.curves.get(kind)
        if points is None or points.is_empty():
            return pl.DataFrame()
        rows = pl.col("target").is_in([self.target, CASE])
        rows &= pl.col("held_out").is_null() | (pl.col("cohort") == pl.col("held_out"))
        if kind != "learning":
            rows &= pl.col("label_fraction") == self.full_fraction
        if kind != "retrain":
            rows &= pl.col("retrain_fraction").is_null()
        if kind in ("learning", "retrain"):
            rows &= pl.col("series").is_null() | (pl.col("series") == HEADLINE)
        wanted = list(rungs if rungs is not None else self.rungs)
        return points.filter(rows & pl.col("rung").is_in(wanted) & pl.col("y").is_not_null())

    @cached_property
    def attributes(self) -> list[str]:
        """Attributes with results by group."""
        names = self.means.filter(pl.col("attribute") != ALL)["attribute"]
        return names.unique(maintain_order=True).to_list()

    @cached_property
    def _grouped(self) -> pl.DataFrame:
        """Means in groups of attributes at the full label fraction, for the task as a whole."""
        rows = self.means.filter(
            (pl.col("attribute") != ALL)
            & (pl.col("label_fraction") == self.full_fraction)
            & pl.col("target").is_in([self.target, CASE])
        )
        wanted = {metric: self.target_of(metric) for metric in rows["metric"].unique()}
        return rows.filter(pl.col("target") == pl.col("metric").replace_strict(wanted, default=""))

    def group_rows(self, rung: str, attribute: str) -> list[Row]:
        """A rung's means in the groups of an attribute, at the full label fraction."""
        return self._grouped.filter(
            (pl.col("rung") == rung) & (pl.col("attribute") == attribute) & (pl.col("group") != ALL)
        ).to_dicts()

    def gap_rows(self, rung: str, cohort: str, attribute: str) -> list[Row]:
        """Gaps between the groups of an attribute: of a rung's means, or of its only network."""
        where = {"rung": rung, "cohort": cohort, "attribute": attribute, "group": ALL}
        rows = self._grouped.filter(**where)
        return (self.run_means.filter(**where) if rows.is_empty() else rows).to_dicts()

    @cached_property
    def _of_case(self) -> set[str]:
        return set(self.means.filter(pl.col("target") == CASE)["metric"].to_list())

    @cached_property
    def _numbers(self) -> dict[tuple[str, str, str, str], Row]:
        rows = self.means.filter(
            (pl.col("label_fraction") == self.full_fraction)
            & (pl.col("attribute") == ALL)
            & pl.col("target").is_in([self.target, CASE])
        )
        return _rows_by_key(rows)

    @cached_property
    def _differences(self) -> dict[tuple[str, str, str, str], Row]:
        rows = pl.col("label_fraction") == self.full_fraction
        rows &= pl.col("retrain_fraction").is_null() & pl.col("target").is_in([self.target, CASE])
        return _rows_by_key(self.comparisons.filter(rows))


def _rows_by_key(rows: pl.DataFrame) -> dict[tuple[str, str, str, str], Row]:
    return {
        (row["rung"], row["cohort"], row["metric"], row["target"]): row for row in rows.to_dicts()
    }
