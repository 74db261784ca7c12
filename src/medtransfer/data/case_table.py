"""Table of cases for counting, sampling and auditing: a row per case, without any id."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.case_index import CaseNumbers, CodeArray
from medtransfer.data.config import TOGETHER, DataConfig
from medtransfer.data.labels import case_labels, targets_in_use
from medtransfer.data.splits import divided_rows, draw_episode, patient_classes
from medtransfer.data.stratify import patient_labels, training_patients
from medtransfer.tables.manifest import SPLITS, group_text

Flags = NDArray[np.bool_]


class CaseTable:
    """The cases of a manifest in the order of their ids.

    Attributes:
        first: First row of each case in the manifest. [N]
        patients: Number of each case's patient. [N]
        images: Number of images of each case. [N]
        kinds: As categories `cohort`, `split` and the attributes. [N rows]
        targets: After the label policy. [N, T]
        internal: Which are of the training cohorts, or of one that is trained on again. [N]
        shifted: The other cohorts, as `rows_of` knows them.
    """

    def __init__(self, frame: pl.DataFrame, data: DataConfig) -> None:
        """Gather the cases of manifest rows with splits, from `assign_splits`."""
        cases = CaseNumbers.of(frame)
        self.first, self.patients = cases.first, cases.patients
        self.images: CodeArray = np.bincount(cases.rows, minlength=len(cases)).astype(np.uint32)
        names = dict.fromkeys(["cohort", "split", *data.attributes])
        self.kinds = pl.DataFrame([_category(cases.of_first(frame[name])) for name in names])
        training = (self.kinds["split"] == "train").fill_null(value=False).to_numpy()
        self.targets = targets_in_use(case_labels(frame, data, cases.rows), data, training)
        self.internal = divided_rows(self.kinds, data.split).to_numpy()
        others = self.kinds["cohort"].filter(pl.Series(~self.internal)).unique()
        self.shifted = tuple(f"cohort {name}" for name in sorted(others.cast(pl.String).to_list()))

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.first)

    def rows_of(self, place: str) -> Flags:
        """The cases of a split, or of ``cohort <name>`` outside the training cohorts. [N]"""
        if place in SPLITS:
            return self.internal & (self.kinds["split"] == place).to_numpy()
        return (self.kinds["cohort"] == place.removeprefix("cohort ")).to_numpy() & ~self.internal

    def training_rows(self, frame: pl.DataFrame, data: DataConfig, seed: int) -> Flags:
        """The training cases whose labels are used: the label fraction, at least one label each.

        Args:
            frame: The manifest rows they come from.
            data: The label fraction.
            seed: The run's seed, which draws the fraction.

        Returns:
            Which cases are trained on. [N]
        """
        home, again = self._labelled_at_home(data), data.split.retrain
        if data.split.shots is None:
            drawn = self._share_of(home, frame, data.split.train_fraction, seed)
        else:
            drawn = self._episode(home, frame, data, seed)
        if again is None:
            return drawn
        abroad = (self.kinds["cohort"] == again.cohort).to_numpy() & self._labelled()
        shifted = self._share_of(abroad, frame, again.fraction, seed)
        return drawn | shifted if again.arm == TOGETHER else shifted

    def class_counts(self, data: DataConfig) -> NDArray[np.int64]:
        """Training patients of each class that an episode is drawn from. [C]

        The classes are those of `episodes.patient_classes`.
        """
        home = self._labelled_at_home(data)
        members = patient_classes(self.patients[home], self.targets[home], data.task)[1]
        return members.sum(axis=0)

    def _labelled(self) -> Flags:
        """Training cases with at least one label. [N]"""
        is_training = (self.kinds["split"] == "train").to_numpy()
        return is_training & ~np.isnan(self.targets).all(axis=1)

    def _labelled_at_home(self, data: DataConfig) -> Flags:
        """Those that are of no cohort that is trained on again. [N]"""
        again = data.split.retrain
        if again is None:
            return self._labelled()
        return self._labelled() & ~(self.kinds["cohort"] == again.cohort).to_numpy()

    def _episode(self, rows: Flags, frame: pl.DataFrame, data: DataConfig, seed: int) -> Flags:
        """The cases of so many patients of each class among some cases. [N]"""
        indices = np.flatnonzero(rows)
        names = frame["patient_id"].gather(self.first[indices]).to_numpy().astype(np.str_)
        drawn = np.zeros(len(self), dtype=bool)
        shots = data.split.shots or 0
        drawn[indices] = draw_episode(names, self.targets[indices], data.task, shots, seed)
        return drawn

    def _share_of(self, rows: Flags, frame: pl.DataFrame, fraction: float, seed: int) -> Flags:
        """The cases of a share of the patients among some cases. [N]"""
        if fraction == 1 or not rows.any():
            return rows
        positive = (self.targets[:, column] > 0.5 for column in range(self.targets.shape[1]))
        cohorts = self.kinds["cohort"]
        numbers, strata = patient_labels(self.patients, self.first, rows, positive, cohorts)
        a_case = np.zeros(int(numbers[-1]) + 1, dtype=np.int64)
        indices = np.flatnonzero(rows)
        a_case[self.patients[indices]] = indices
        names = frame["patient_id"].gather(self.first[a_case[numbers]])
        drawn = np.zeros(int(self.patients.max()) + 1, dtype=bool)
        drawn[numbers] = training_patients(names, strata, fraction, seed)
        return rows & drawn[self.patients]


def _category(cells: pl.Series) -> pl.Series:
    return cells if isinstance(cells.dtype, pl.Enum) else group_text(cells).cast(pl.Categorical)
