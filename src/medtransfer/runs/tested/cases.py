"""Cases that a run predicts: those of its tuning split, and the test cases of every cohort.

Test cases are no part of a run's identity. They are known by a digest of their own, so that a
finished run predicts a cohort that is added later, and one whose images changed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.cases import build_cases, predicted_cases, reported_groups
from medtransfer.data.config import DataConfig
from medtransfer.data.covariates.cells import covariate_cells
from medtransfer.data.images.corruptions import FORMAT as CORRUPTION_FORMAT
from medtransfer.data.images.corruptions import Corruption
from medtransfer.errors import TableError
from medtransfer.runs.tested.corrupted import corrupted_name, home_name, internal_tests
from medtransfer.settings import digest, rows_digest
from medtransfer.tables.predictions import target_columns

TESTED = ["tune", "test"]
"""Splits that a run predicts."""
SLICE_ROWS = 100_000
"""Rows that are spelled out at once for a digest."""


@dataclass(frozen=True)
class PredictedCohort:
    """The test cases of one cohort.

    Attributes:
        cohort: Its name.
        cases: Number of cases.
        images: Digest of their ids and of the content of their images: all that their logits depend
            on beside the network.
    """

    cohort: str
    cases: int
    images: str


class PredictedCases:
    """Cases that a run predicts, as the manifest has them now.

    Attributes:
        cohorts: Their test cases by cohort, by name.
    """

    def __init__(
        self,
        frame: pl.DataFrame,
        facts: pl.DataFrame,
        data: DataConfig,
        covariates: Sequence[str] = (),
        *,
        tune_only: bool = False,
    ) -> None:
        """Take the digests of cohorts.

        Args:
            frame: Manifest rows with splits, from `assign_splits`.
            facts: Digest of each image, in the same order.
            data: Of the run.
            covariates: Columns of clinical data that the run sees; they count as images do.
            tune_only: The test split is not predicted yet: there are no cohorts.
        """
        self._frame, self._data, self._splits = frame, data, ["tune"] if tune_only else TESTED
        self._sha256 = facts["sha256"]
        if covariates:
            cells = covariate_cells(frame, covariates)
            joined = frame.select("case_id").join(cells, on="case_id", maintain_order="left")
            seen = joined.select(covariates).hstack([self._sha256])
            self._sha256 = pl.Series("sha256", [digest(list(row)) for row in seen.iter_rows()])
        contents = frame.select("cohort", "case_id", "image_id", "split").hstack([self._sha256])
        self.cohorts = () if tune_only else tuple(_predicted_cohorts(contents, data))

    @cached_property
    def table(self) -> pl.DataFrame:
        """`case_id`, `patient_id`, `cohort`, `split` and the targets, a row per predicted case."""
        cases = predicted_cases(build_cases(self._predicted_rows, self._data), self._data)
        ids = {
            "case_id": cases.case_ids.tolist(),
            "patient_id": cases.patient_ids.tolist(),
            "cohort": cases.cohorts.tolist(),
            "split": cases.splits.tolist(),
        }
        return pl.DataFrame(ids | target_columns(cases.targets, self._data.names))

    @cached_property
    def digest(self) -> str:
        """Digest of the table and of the attributes of its cases."""
        attributes = reported_groups(self._predicted_rows, self._data.attributes)
        table = self.table.join(attributes, on="case_id", how="left", maintain_order="left")
        return _digest(table)

    def rows_of(self, cohorts: Sequence[str]) -> NDArray[np.int64]:
        """Rows of the manifest with the test images of some cohorts. [R]"""
        is_asked = (self._frame["split"] == "test") & self._frame["cohort"].is_in(list(cohorts))
        return np.flatnonzero(is_asked.to_numpy())

    def corrupted(self, corruptions: Sequence[Corruption]) -> tuple[PredictedCohort, ...]:
        """The internal test cases with each corruption, as cohorts of their own.

        Raises:
            TableError: The manifest has a cohort of such a name.
        """
        home, rows = home_name(self._frame), np.flatnonzero(internal_tests(self._frame).to_numpy())
        images = self._frame[rows].select("case_id", "image_id").hstack([self._sha256[rows]])
        images = images.sort("case_id", "image_id").select("case_id", "sha256")
        contents, cases = _digest(images), images["case_id"].n_unique()
        cohorts = [
            PredictedCohort(
                corrupted_name(home, corruption),
                cases,
                digest([contents, corruption.name, CORRUPTION_FORMAT]),
            )
            for corruption in (corruptions if cases else ())
        ]
        taken = {cohort.cohort for cohort in cohorts} & set(self._frame["cohort"])
        if taken:
            raise TableError(
                f"Cohort '{min(taken)}' has the name of a corrupted cohort. Give the cohort of the "
                "manifest another name."
            )
        return tuple(cohorts)

    def digest_of(self, cohort: str) -> str:
        """Digest of the test cases of one cohort, with their labels."""
        is_asked = (pl.col("split") == "test") & (pl.col("cohort") == cohort)
        return _digest(self.table.filter(is_asked))

    @property
    def _predicted_rows(self) -> pl.DataFrame:
        return self._frame.filter(pl.col("split").is_in(self._splits))


def _predicted_cohorts(contents: pl.DataFrame, data: DataConfig) -> Iterator[PredictedCohort]:
    """The test cases of each cohort, or of the one that is trained on again."""
    tested = contents.filter(pl.col("split") == "test")
    again = data.split.retrain
    names = tested["cohort"].unique().sort().to_list()
    for name in names if again is None else [again.cohort]:
        rows = tested.filter(pl.col("cohort") == name).sort("case_id", "image_id")
        images = rows.select("case_id", "sha256")
        yield PredictedCohort(name, images["case_id"].n_unique(), _digest(images))


def _digest(table: pl.DataFrame) -> str:
    slices = (part.rows() for part in table.iter_slices(SLICE_ROWS))
    return rows_digest(table.columns, slices)
