"""Attributes of the cases of a predictions table, from a manifest beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from medtransfer.data.audit.findings import Finding
from medtransfer.data.audit.id_spellings import shared_ids
from medtransfer.data.cases import case_attributes, may_be_attribute, proposed_attributes
from medtransfer.data.sources.catalog import label_tellers
from medtransfer.errors import TableError, listed, plural, printable, suggestion
from medtransfer.tables.imported.score_cells import TARGET
from medtransfer.tables.predictions import target_names
from medtransfer.tables.schema import (
    Column,
    Contract,
    check_columns,
    name_faults,
    raise_faults,
    read_noted_frame,
    typed,
)
from medtransfer.tables.values.ages import with_age_groups
from medtransfer.tables.values.missing_words import UNKNOWN
from medtransfer.tables.values.names import unshowable
from medtransfer.tables.values.personal import MIN_BEHIND
from medtransfer.tables.values.personal_columns import personal_faults
from medtransfer.tables.values.rare_values import merge_rare_groups, rest_name
from medtransfer.tables.values.reading import ReadCells, Roles, read_cells
from medtransfer.tables.values.sex import names_sex
from medtransfer.tables.values.spellings import plain_id
from medtransfer.tables.values.value_map import ValueMap, absent_columns, map_values

ATTRIBUTES = Contract(
    "Manifest",
    (Column("case_id", "text", "The case."),),
)


@dataclass(frozen=True)
class AttributeTable:
    """Attributes for the cases of a predictions table.

    Attributes:
        frame: `case_id` and the attributes.
        said: How the two tables matched.
    """

    frame: pl.DataFrame
    said: tuple[str, ...]


def join_attributes(
    predictions: pl.DataFrame,
    manifest: Path | None,
    names: Sequence[str] | None,
    values: ValueMap | None = None,
    least: int = MIN_BEHIND,
) -> AttributeTable:
    """Find the attributes of the cases in a manifest; both unmatched sides are counted.

    Args:
        predictions: The predictions table.
        manifest: ``.csv`` or ``.parquet`` with `case_id`; one row per image or case.
        names: Attributes; by default those of `proposed_attributes` that are not targets.
        values: Values to read in place of others, by column of the manifest.
        least: Patients from which a value is named; rarer ones are one group.

    Raises:
        TableError: No case is in both, an attribute is missing or differs within a case.
    """
    cases = predictions.select("case_id").unique()
    if manifest is None:
        if names:
            raise TableError(
                f"--attributes names {listed(names)}, but there is no --manifest to find them in."
            )
        return AttributeTable(cases, ())
    file = read_noted_frame(manifest, ATTRIBUTES, skip=("image",))
    frame = file.frame
    faults = absent_columns(frame, values or {})
    frame, notes = map_values(frame, values or {})
    raise_faults(ATTRIBUTES, manifest, [*check_columns(frame, ATTRIBUTES), *faults])
    frame = typed(frame, ATTRIBUTES)
    chosen, cells = _chosen(frame, manifest, names, target_names(predictions), values or {})
    frame = cells.frame
    frame, ages = with_age_groups(frame, chosen)
    table = case_attributes(frame, chosen)
    matched = cases.join(table, on="case_id", how="semi")
    near = _near_note(cases, table)
    if matched.is_empty():
        raise TableError(
            f'No case_id of the predictions is in "{manifest.name}" '
            f"({plural(len(cases), 'case')} here, {len(table)} there). "
            f"{near or 'Are the ids the same?'}"
        )
    alone = len(cases) - len(matched)
    rest = len(table) - len(matched)
    notes = [
        *notes,
        *file.notes,
        *cells.notes,
        *(f"{finding.sentence}." for finding in _shared_ids(cells.frame)),
        *ages,
        f"{len(matched):,} of {plural(len(cases), 'case')} are in the manifest.",
    ]
    if alone:
        notes.append(f"{plural(alone, 'case')} without a row there.")
    if rest:
        notes.append(f"{plural(rest, 'case')} of the manifest without a prediction.")
    notes += [near] if near else []
    notes.append(f"Reported by: {listed(chosen, 20) or 'nothing'}.")
    notes += _conflicts(frame, table, chosen)
    joined = cases.join(table, on="case_id", how="left")
    joined, merged = merge_rare_groups(joined, predictions, least)
    notes += [f"{sentence}: not named, in group {rest_name(least)}." for sentence in merged]
    for name in chosen:
        if count := joined[name].null_count():
            sentence = f"'{printable(name, 80)}' is not known of {plural(count, 'case')}"
            notes.append(f"{sentence}: counted as group {UNKNOWN}, in no comparison of groups.")
    return AttributeTable(joined, tuple(notes))


def _shared_ids(frame: pl.DataFrame) -> list[Finding]:
    """Patients with both sexes or ages decades apart, if the table says whose cases they are."""
    return shared_ids(frame) if "patient_id" in frame.columns else []


def _chosen(
    frame: pl.DataFrame,
    manifest: Path,
    names: Sequence[str] | None,
    targets: Sequence[str],
    values: ValueMap,
) -> tuple[list[str], ReadCells]:
    """The attributes to report by, and the table with their cells read."""
    free = [name for name in frame.columns if may_be_attribute(frame, name)]
    notes: list[str] = []
    if names is None:
        answers = [*targets, *(TARGET + target for target in targets)]
        names, notes = proposed_names(frame, answers, values)
    faults = [
        f"attribute '{name}' is not a column. {suggestion(name, free)}".rstrip(". ")
        if name not in frame.columns
        else f"'{name}' is no attribute"
        for name in names
        if name not in free
    ]
    chosen = list(dict.fromkeys(names))
    faults += unshowable(chosen)
    faults += [fault for name in chosen if name in free for fault in name_faults(frame, name)]
    raise_faults(ATTRIBUTES, manifest, [*faults, *personal_faults(frame, names)])
    # a sex that is not reported by, as of women alone, is read and named as in every command
    beside = [n for n in free if names_sex(n) and n not in (*chosen, *targets)]
    cells = read_cells(frame, [*chosen, *beside], Roles(attributes=chosen), values)
    return chosen, replace(cells, notes=(*notes, *cells.notes))


def proposed_names(
    frame: pl.DataFrame, answers: Sequence[str], values: ValueMap
) -> tuple[Sequence[str], list[str]]:
    """Attributes that a table is reported by unless the user names others, and notes on the choice.

    Args:
        frame: The table.
        answers: Targets and class columns.
        values: What `map_values` wrote before.
    """
    asked = [n for n in frame.columns if n not in answers and may_be_attribute(frame, n)]
    read = read_cells(frame, asked, Roles(attributes=asked), values).frame
    proposed = proposed_attributes(read, answers, label_tellers())
    return proposed.names, proposed.notes()


def _conflicts(frame: pl.DataFrame, table: pl.DataFrame, names: Sequence[str]) -> list[str]:
    """Notes on attributes that differ between the rows of a case."""
    notes: list[str] = []
    for name in names:
        given = frame.filter(pl.col(name).is_not_null())["case_id"].n_unique()
        if several := given - table[name].count():
            cases = plural(several, "case")
            notes.append(f"'{printable(name, 80)}' differs between the rows of {cases}.")
    return notes


def _near_note(cases: pl.DataFrame, table: pl.DataFrame) -> str:
    """Sentence on unmatched cases of both tables whose ids differ by spelling alone."""
    alone = cases.join(table, on="case_id", how="anti").select(key=plain_id("case_id"))
    rest = table.join(cases, on="case_id", how="anti").select(key=plain_id("case_id"))
    near = alone.unique().join(rest.unique(), on="key", how="semi").height
    if not near:
        return ""
    return (
        f"{plural(near, 'case_id')} would match but for case, leading zeros, blanks or a '.0': "
        "write the ids alike in both tables."
    )
