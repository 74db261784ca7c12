"""Flow of a study's data: cases of each split of each cohort, with their labels."""

from typing import Any

import numpy as np
import polars as pl

from medtransfer.data.case_table import CaseTable
from medtransfer.data.splits import assign_splits
from medtransfer.study.config import Study
from medtransfer.study.plan import StudyData
from medtransfer.tables.manifest import SPLITS

FlowRow = dict[str, Any]
"""Counts of one split of one cohort: open, since targets are its keys."""


def flow_of(study: Study, data: StudyData) -> list[FlowRow]:
    """Number of images, cases and patients of each split of each cohort, with their labels.

    Returns:
        One row per cohort and split, with positive, negative and masked cases of every target.
    """
    table = CaseTable(assign_splits(data.manifest, study.data), study.data)
    cohorts = table.kinds["cohort"]
    rows: list[FlowRow] = []
    for cohort in sorted(cohorts.unique().cast(pl.String).to_list()):
        for split in SPLITS:
            in_cohort = ((cohorts == cohort) & (table.kinds["split"] == split)).to_numpy()
            if in_cohort.any():
                targets = table.targets[in_cohort]
                rows.append(
                    {
                        "cohort": cohort,
                        "split": split,
                        "images": int(table.images[in_cohort].sum()),
                        "cases": int(in_cohort.sum()),
                        "patients": len(np.unique(table.patients[in_cohort])),
                        "positive": dict(
                            zip(study.data.names, (targets == 1).sum(0).tolist(), strict=True)
                        ),
                        "masked": dict(
                            zip(study.data.names, np.isnan(targets).sum(0).tolist(), strict=True)
                        ),
                    }
                )
    return rows
