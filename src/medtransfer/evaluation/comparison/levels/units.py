"""Units of a level: cases that a column of the manifest brings together, as breasts to an exam."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from medtransfer.errors import plural
from medtransfer.tables.manifest import MANIFEST_CONTRACT
from medtransfer.tables.schema import raise_faults, rows_of


def level_units(frame: pl.DataFrame, levels: Iterable[str]) -> dict[str, pl.DataFrame]:
    """Units of each level: `case_id` and `unit`, null where a case has none.

    Args:
        frame: Rows of a manifest that passed `require_whole_units`.
        levels: Columns.
    """
    return {
        name: frame.group_by("case_id")
        .agg(pl.col(name).cast(pl.String).drop_nulls().first().alias("unit"))
        .sort("case_id")
        for name in levels
    }


def require_whole_units(frame: pl.DataFrame, path: Path, levels: Iterable[str]) -> None:
    """Check that each case is of one unit, and each unit of one patient and one cohort.

    Raises:
        TableError: Some are not; rows are named by number.
    """
    faults: list[str] = []
    for name in levels:
        pairs = (
            ("case_id", name, "cases with several values"),
            (name, "patient_id", "values that several patients have"),
            (name, "cohort", "values in several cohorts"),
        )
        for unit, other, what in pairs:
            rows = frame.filter(pl.col(unit).is_not_null())
            split = rows.filter(pl.col(other).drop_nulls().n_unique().over(unit) > 1)
            if len(split):
                count = split[unit].n_unique()
                faults.append(
                    f"column '{name}' (data.levels) has {plural(count, 'group')} of {what}, "
                    f"{rows_of(split)}"
                )
    raise_faults(MANIFEST_CONTRACT, path, faults)
