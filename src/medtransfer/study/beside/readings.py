"""Readings of a study's cases by several readers, beside the labels that it trains on."""

from dataclasses import replace

from medtransfer.errors import plural
from medtransfer.evaluation.comparison.readers.table import (
    CASE_ID,
    READER,
    READINGS_CONTRACT,
    Readings,
    missing_targets,
    read_readings,
)
from medtransfer.settings import digest
from medtransfer.study.config import Study
from medtransfer.tables.manifest import Manifest
from medtransfer.tables.schema import raise_faults


def study_readings(study: Study, manifest: Manifest) -> Readings | None:
    """Readings that a study names, of the cases of its manifest; None if it names none.

    Args:
        study: Names the table, and the targets.
        manifest: Its images.

    Returns:
        With sentences on the cases that were read and on readings of other cases.

    Raises:
        TableError: The table breaks its contract, lacks a target, or no case is in both.
    """
    if study.readings is None:
        return None
    readings = read_readings(study.readings)
    cases = manifest.frame.select(CASE_ID).unique()
    readings_here = readings.frame.join(cases, on=CASE_ID, how="semi", maintain_order="left")
    faults = [missing_targets(readings, list(study.data.names)) or ""]
    if readings_here.is_empty():
        faults.append("no case of the manifest is in it; are the case_ids the same?")
    raise_faults(READINGS_CONTRACT, study.readings, [f for f in faults if f])
    read, foreign = readings_here[CASE_ID].n_unique(), len(readings.frame) - len(readings_here)
    notes = [
        *readings.notes,
        f"{plural(len(readings.readers), 'reader')} read {plural(read, 'case')} of {len(cases):,}.",
    ]
    if foreign:
        notes.append(f"{plural(foreign, 'reading')} of cases that the manifest lacks: left out.")
    return replace(readings, frame=readings_here, notes=tuple(notes))


def readings_digest(readings: Readings | None) -> str | None:
    """Digest of what was read, whatever the order of the rows; None without readings."""
    if readings is None:
        return None
    frame = readings.frame.sort(CASE_ID, READER)
    return digest({"columns": frame.columns, "rows": frame.rows()})
