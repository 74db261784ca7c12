"""Values of an attribute that few patients have: they are counted together and never named."""

from dataclasses import dataclass

import polars as pl

REST = "other (<"
"""Start of the name of a group of rare values; the rest of it states how rare they are."""


@dataclass(frozen=True)
class MergedValues:
    """Cells of an attribute, its rare values as one group.

    Attributes:
        cells: Groups, null where unknown. [N]
        values: Number of rare values.
        patients: Number of patients that have one.
    """

    cells: pl.Series
    values: int = 0
    patients: int = 0


def rest_name(least: int) -> str:
    """Name of the group of values with fewer patients than `least`."""
    return f"{REST}{least} patients each)"


def is_rest(group: str) -> bool:
    """True for the group of rare values, also where it is crossed with another group."""
    return REST in group


def merge_rare(cells: pl.Series, owners: pl.Series, least: int) -> MergedValues:
    """Put the values that fewer patients have than `least` into one group.

    Args:
        cells: Groups as text, null where unknown. [N]
        owners: Patient of each cell. [N]
        least: Patients from which a value is named.
    """
    table = pl.DataFrame({"group": cells, "owner": owners}).drop_nulls("group")
    counts = table.group_by("group").agg(pl.col("owner").n_unique())
    rare = counts.filter(pl.col("owner") < least)["group"]
    if rare.is_empty():
        return MergedValues(cells)
    rest = table.filter(pl.col("group").is_in(rare.implode()))
    merged = cells.replace(dict.fromkeys(rare.to_list(), rest_name(least)))
    return MergedValues(merged, len(rare), rest["owner"].n_unique())


def merge_rare_groups(
    table: pl.DataFrame, owners: pl.DataFrame, least: int
) -> tuple[pl.DataFrame, list[str]]:
    """The attributes of cases with their rare values merged, and a sentence for each merged one.

    Args:
        table: `case_id` and attributes as text, one row per case.
        owners: `case_id` and `patient_id`; a case may have several rows. Without patients each
            case counts as one.
        least: Patients from which a value is named.
    """
    if "patient_id" not in owners.columns:
        owners = owners.with_columns(patient_id="case_id")
    of_case = owners.select("case_id", "patient_id").unique("case_id")
    patients = table.select("case_id").join(
        of_case, on="case_id", how="left", maintain_order="left"
    )["patient_id"]
    sentences: list[str] = []
    for name in table.columns[1:]:
        merged = merge_rare(table[name], patients, least)
        if merged.values:
            table = table.with_columns(merged.cells.alias(name))
            sentences.append(_sentence(name, merged, least))
    return table, sentences


def _sentence(name: str, merged: MergedValues, least: int) -> str:
    value = "1 value" if merged.values == 1 else f"{merged.values} values"
    count = f"{merged.patients:,}" if merged.patients >= least else f"fewer than {least}"
    return f"'{name}': {value} of fewer than {least} patients, {count} in all"
