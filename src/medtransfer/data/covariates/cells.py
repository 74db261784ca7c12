"""Clinical data of cases as the manifest has them."""

from collections.abc import Sequence

import polars as pl

from medtransfer.data.cases import case_attributes
from medtransfer.errors import TableError, listed, suggestion
from medtransfer.tables.manifest import free_columns
from medtransfer.tables.schema import ROW


def covariate_cells(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Covariates per case as text: the one value its images agree on, null if they differ.

    Args:
        frame: Rows of the manifest.
        names: The covariates.

    Returns:
        `case_id`, sorted, and the covariates.

    Raises:
        TableError: A covariate is no column of the manifest.
    """
    columns = [name for name in free_columns(frame) if name != ROW] + ["laterality", "view"]
    missing = [name for name in names if name not in frame.columns or name not in columns]
    if missing:
        raise TableError(
            f"covariates or mitigation names {listed(missing)}, which the manifest does not have "
            f"(columns: {listed(columns, 20)}). {suggestion(missing[0], columns)}".rstrip()
        )
    cells = case_attributes(frame, names)
    blank = [
        pl.when(pl.col(name).cast(pl.String) != "").then(pl.col(name).cast(pl.String)).alias(name)
        for name in names
    ]
    return cells.with_columns(blank)
