"""Findings about covariates: those that give the answer away, and values that training lacks."""

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from medtransfer.data.audit.findings import Finding, enumerated
from medtransfer.data.audit.shortcuts import column_aurocs
from medtransfer.data.case_table import CaseTable
from medtransfer.data.config import DataConfig
from medtransfer.data.covariates.cells import covariate_cells
from medtransfer.data.covariates.encoding import CovariateEncoding
from medtransfer.errors import TableError, listed, plural
from medtransfer.tables.values.personal_columns import identifies, is_personal_header

LEAK, UNSEEN = "A024", "A025"


def covariate_findings(
    names: Sequence[str], frames: Iterable[pl.DataFrame], data: DataConfig
) -> list[Finding]:
    """A024, A025: covariates that predict a target nearly alone, and values training lacks.

    Args:
        names: The covariates.
        frames: Manifest rows with splits, one frame for each split of the study.
        data: Targets.

    Raises:
        TableError: A covariate is no column, names people, or is empty in training.
    """
    findings: list[Finding] = []
    for frame in frames if names else ():
        _require_clinical(names, frame, data)
        leaks = [
            f"'{name}' alone predicts {target} with AUROC {value:.2f}"
            for name, target, value in column_aurocs(frame, CaseTable(frame, data), data, names)
        ]
        findings += [Finding(LEAK, enumerated(leaks))] if leaks else []
        findings += _unseen(names, frame)
    return findings


def _require_clinical(names: Sequence[str], frame: pl.DataFrame, data: DataConfig) -> None:
    """Refuse targets, and columns that identify people."""
    cells = covariate_cells(frame, names)
    taken = {*data.names, data.class_column}
    faults = [f"'{name}' is the target" for name in names if name in taken]
    for name in names:
        if is_personal_header(name) or (not _is_number(cells[name]) and identifies(cells[name])):
            faults.append(f"'{name}' looks like personal data")
    if faults:
        raise TableError(f"covariates: {listed(faults, 20)}. Take these columns out.")


def _is_number(cells: pl.Series) -> bool:
    return cells.cast(pl.Float64, strict=False).null_count() == cells.null_count()


def _unseen(names: Sequence[str], frame: pl.DataFrame) -> list[Finding]:
    """Cases of each cohort outside training whose value counts as missing."""
    split = frame["split"].cast(pl.String)
    train = frame.filter(split == "train")
    if train.is_empty():
        return []
    encoding = CovariateEncoding.fit(covariate_cells(train, names), names)
    texts: list[str] = []
    for cohort in frame["cohort"].unique().sort().to_list():
        cells = covariate_cells(
            frame.filter((frame["cohort"] == cohort) & (split != "train")), names
        )
        for column in encoding.columns:
            values = cells[column.name]
            count, empty = column.unseen(values), int(values.is_null().sum())
            if count:
                texts.append(f"'{column.name}' of {plural(count, 'case')} of {cohort}")
            elif len(values) and empty > 0.5 * len(values):
                share = np.round(100 * empty / len(values))
                texts.append(f"'{column.name}' is empty in {share:.0f}% of the cases of {cohort}")
    return [Finding(UNSEEN, enumerated(texts))] if texts else []
