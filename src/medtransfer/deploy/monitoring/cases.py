"""Cases of a watch in the order of time: decisions, periods, labels, and who is counted once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.deploy.inference.decisions import CaseImagesRead, case_decisions
from medtransfer.deploy.inference.sources import UNNAMED
from medtransfer.deploy.monitoring.prediction_files import STATISTICS, read_prediction_rows
from medtransfer.errors import plural
from medtransfer.tables.predictions import OOD_PREFIX

NO_MONTH = "unknown"
"""Period of cases without a month among cases that have one."""


@dataclass(frozen=True, eq=False)
class WatchedCases:
    """Cases of a watch, or of its baseline.

    Attributes:
        facts: Of the bundle, without the detectors whose scores the tables lack.
        scores: Predictions table behind the frame, a row per case and member.
        frame: One row per case in the order of time: `case_id`, `patient` (the case itself if
            its patient is not known), `period`, `device`, and the columns of `case_decisions`;
            `target_<name>` of labels.
        unpredicted: Number of cases without a prediction.
        notes: Sentences on what was left out or assumed.
    """

    facts: BundleFacts
    scores: pl.DataFrame
    frame: pl.DataFrame
    unpredicted: int
    notes: tuple[str, ...]

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.frame)

    @property
    def patients(self) -> int:
        """Number of patients."""
        return self.frame["patient"].n_unique()

    def with_labels(self, labels: pl.DataFrame) -> "WatchedCases":
        """The same with labels that came later in place of earlier ones.

        Args:
            labels: `case_id` and `target_<name>`.
        """
        names = [name for name in labels.columns if name != "case_id"]
        joined = self.frame.join(labels, on="case_id", how="left", suffix="_later")
        later = [
            pl.coalesce(f"{name}_later", name).alias(name)
            if f"{name}_later" in joined.columns
            else pl.col(name)
            for name in names
        ]
        frame = joined.with_columns(later).drop([f"{name}_later" for name in names], strict=False)
        return replace(self, frame=frame.sort("_position"))

    def without(self, patients: pl.Series, because: str) -> "WatchedCases":
        """The same without some patients, with a sentence on it.

        Args:
            patients: Their ids.
            because: Completes "N patients are left out: …".
        """
        taken = self.frame["patient"].is_in(patients.implode())
        if not taken.any():
            return self
        kept = self.frame.filter(~taken)
        scores = self.scores.join(kept.select("case_id"), on="case_id", how="semi")
        count = plural(self.frame.filter(taken)["patient"].n_unique(), "patient")
        notes = (*self.notes, f"{count} left out: {because}.")
        return replace(self, frame=kept, scores=scores, notes=notes)


def read_watched(paths: Sequence[Path], facts: BundleFacts) -> WatchedCases:
    """Cases of predictions tables, in the order of time.

    Args:
        paths: Tables and folders; in the order of time if they name no months.
        facts: Of the bundle.

    Raises:
        TableError: A table does not exist or is not of this bundle.
    """
    rows = read_prediction_rows(paths, facts)
    frame, notes = rows.frame, list(rows.notes)
    first = frame.filter(pl.col("member") == pl.col("member").min().over("case_id"))
    has_months = first["month"].is_not_null().any()
    if not has_months:
        period = pl.format("table {}", "file")
        notes.append(
            "No table has a month: each is a period, in the order in which they are named."
        )
    else:
        period = pl.col("month").fill_null(NO_MONTH)
        without = first["month"].null_count()
        if without:
            notes.append(
                f"{plural(without, 'case')} without a month keep their place in the table."
            )
    if (first["patient_id"] == UNNAMED).all():
        notes.append("The tables name no patients: each case is taken for a patient of its own.")
    order = pl.col("month").forward_fill().over("file", order_by="_row").fill_null("")
    ordered = (
        first.with_row_index("_row")
        .with_columns(order.alias("_month"), period.alias("period"))
        .sort(["_month", "file", "_row"] if has_months else ["file", "_row"])
        .select("case_id", "period", "device", *(n for n in STATISTICS if n in first.columns))
    )
    return decided_cases(facts, frame, ordered, sum(rows.unpredicted.values()), notes)


def bundle_cases(facts: BundleFacts, home: pl.DataFrame) -> WatchedCases:
    """The bundle's own tuning and test cases as a baseline; they have no image statistics.

    Args:
        facts: Of the bundle.
        home: Predictions table, from `validate.home_predictions`.
    """
    ordered = home.filter(member=0).select(
        "case_id",
        pl.lit("baseline").alias("period"),
        pl.lit(None, pl.String).alias("device"),
    )
    return decided_cases(facts, home, ordered, 0, [])


def decided_cases(
    facts: BundleFacts,
    scores: pl.DataFrame,
    ordered: pl.DataFrame,
    unpredicted: int,
    notes: Sequence[str],
) -> WatchedCases:
    """Decisions on cases, anew from their logits by the rules of the bundle.

    Args:
        facts: Of the bundle.
        scores: `case_id`, `patient_id`, `cohort`, `member`, `logit_<target>`, and what else there
            is.
        ordered: `case_id`, `period`, `device` and image statistics, in the order of time.
        unpredicted: Number of cases without a prediction.
        notes: Sentences so far.
    """
    notes = list(notes)
    detectors = [d for d in facts.detectors if f"{OOD_PREFIX}{d.name}" in scores.columns]
    if len(detectors) < len(facts.detectors):
        notes.append("The tables lack OOD scores of the bundle: their share cannot be watched.")
    facts = replace(facts, detectors=tuple(detectors))
    table = scores.with_columns(
        pl.lit(facts.name).alias("run_id"),
        pl.lit("test").alias("split"),
        *(
            pl.lit(None, pl.Float64).alias(f"target_{name}")
            for name in facts.names
            if f"target_{name}" not in scores.columns
        ),
    )
    ids = ordered["case_id"].to_list()
    decided = case_decisions(facts, table, dict.fromkeys(ids, CaseImagesRead(1, 0)))
    decided = decided.drop("brightness", "contrast", "images", "images_refused")
    targets = [f"target_{name}" for name in facts.names]
    labels = table.filter(pl.col("member") == pl.col("member").min().over("case_id"))
    frame = (
        ordered.with_row_index("_position")
        .join(decided, on="case_id")
        .join(labels.select("case_id", *targets), on="case_id")
        .with_columns(
            pl.when(pl.col("patient_id") == UNNAMED)
            .then(pl.col("case_id"))
            .otherwise(pl.col("patient_id"))
            .alias("patient")
        )
        .sort("_position")
    )
    return WatchedCases(facts, table, frame, unpredicted, tuple(notes))
