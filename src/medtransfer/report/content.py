"""What a report is made of: a study's folder, read back."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from medtransfer.errors import StudyError
from medtransfer.evaluation.means import HEADLINE
from medtransfer.models.ladder import Rung, find_rung
from medtransfer.study.config import Study
from medtransfer.study.document import read_study
from medtransfer.study.store import StudyFolder
from medtransfer.tables.results import ALL, CASE, MACRO


@dataclass(frozen=True)
class Content:
    """A finished study as tables.

    Attributes:
        study: Its configuration.
        results: The results table, runs and means over seeds.
        comparisons: Differences from the reference rung.
        predictions: The predictions table.
        runs: One row per planned run.
        data: What was read, found and split.
        environments: Machines and versions it ran on.
    """

    study: Study
    results: pl.DataFrame
    comparisons: pl.DataFrame
    predictions: pl.DataFrame
    runs: pl.DataFrame
    data: dict[str, Any]
    environments: list[dict[str, Any]]

    @property
    def target(self) -> str:
        """The target column of overall numbers: the mean over targets, or the only one."""
        return MACRO if len(self.study.data.targets) > 1 else self.study.data.names[0]

    @property
    def places(self) -> list[str]:
        """Cohorts with test results: the training cohorts' place first."""
        tests = self.means.filter(~pl.col("metric").str.ends_with("_drop"))
        return tests["cohort"].unique(maintain_order=True).to_list()

    @property
    def shifted(self) -> list[str]:
        """Cohorts that were not trained on; all of them, where each was left out in turn."""
        return self.places if self.study.leave_cohort_out else self.places[1:]

    @property
    def inside(self) -> str:
        """What a drop is measured from, in words."""
        return "its training cohorts" if self.study.leave_cohort_out else self.places[0]

    @property
    def means(self) -> pl.DataFrame:
        """Rows that are means over a rung's seeds."""
        return self.results.filter(pl.col("run_id").is_null())

    @property
    def fractions(self) -> list[float]:
        """Label fractions with results, rising."""
        return sorted(self.means["label_fraction"].unique().to_list())

    @property
    def full(self) -> float:
        """The largest label fraction, at which rungs are compared."""
        return self.fractions[-1]

    @property
    def rungs(self) -> list[Rung]:
        """Rungs with results, by scale: pre-training images, then parameters."""
        names = set(self.means["rung"].to_list())
        found = [find_rung(e.rung) for e in self.study.rungs if e.rung in names]
        return sorted(found, key=lambda r: (r.images or 0, r.architecture.parameters or 0, r.name))

    def overall(self, metric: str = HEADLINE, fraction: float | None = None) -> pl.DataFrame:
        """Mean-over-seeds rows of an overall metric, all cases together."""
        target = CASE if self._is_case_metric(metric) else self.target
        rows = self.means.filter(
            (pl.col("metric") == metric)
            & (pl.col("target") == target)
            & (pl.col("attribute") == ALL)
        )
        return rows if fraction is None else rows.filter(pl.col("label_fraction") == fraction)

    def number(self, rung: str, cohort: str, metric: str) -> dict[str, Any] | None:
        """One such row at the full label fraction, if it is there."""
        rows = self.overall(metric, self.full).filter(
            (pl.col("rung") == rung) & (pl.col("cohort") == cohort)
        )
        return rows.row(0, named=True) if len(rows) else None

    def comparison(self, rung: str, cohort: str, metric: str) -> dict[str, Any] | None:
        """A difference from the reference at the full label fraction, if it is there."""
        rows = self.comparisons.filter(
            (pl.col("rung") == rung)
            & (pl.col("cohort") == cohort)
            & (pl.col("metric") == metric)
            & (pl.col("target") == (CASE if self._is_case_metric(metric) else self.target))
            & (pl.col("label_fraction") == self.full)
        )
        return rows.row(0, named=True) if len(rows) else None

    def attributes(self) -> Iterator[str]:
        """Attributes that were reported by."""
        names = self.means.filter(pl.col("attribute") != ALL)["attribute"]
        yield from names.unique(maintain_order=True).to_list()

    def _is_case_metric(self, metric: str) -> bool:
        rows = self.means.filter(pl.col("metric") == metric)["target"]
        return CASE in rows.to_list()


def read_content(folder: StudyFolder) -> Content:
    """Read a study's folder back.

    Raises:
        StudyError: It holds no finished run.
    """
    data = folder.read("data.json")
    if not (folder.path / "results.parquet").is_file():
        raise StudyError(
            f'"{folder.path}" has no finished run yet: `medtransfer status` says how far it is.'
        )
    environments: list[dict[str, Any]] = []
    for run_id in folder.run_ids():
        own = folder.run(run_id)
        if own.is_done():
            environments += [e for e in own.environments() if e not in environments]
    return Content(
        read_study(folder.path / "study.yaml"),
        pl.read_parquet(folder.path / "results.parquet"),
        pl.read_parquet(folder.path / "comparisons.parquet"),
        pl.read_parquet(folder.path / "predictions.parquet"),
        pl.read_csv(folder.path / "runs.csv"),
        data,
        environments,
    )
