"""Month and device of cases: of a table's columns, or of DICOM headers. `monitor` goes by them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.data.images.decode import dicom_words, is_dicom_file

MONTHS = ("month", "study_month")
DATES = ("date", "study_date", "studydate", "exam_date", "acquisition_date")
DEVICES = ("device", "scanner")
MODELS = ("model", "manufacturer_model_name", "manufacturermodelname")
MAKERS = ("maker", "manufacturer")
"""Columns that are looked for, in this order; small and capital letters are the same."""
MONTH_SHAPE = r"^((?:19|20)\d\d)[-/.]?(0[1-9]|1[0-2])(?:$|[-/. T]|\d\d)"
"""A month, or a date that begins with the year; the day is not kept."""


@dataclass(frozen=True)
class Occasion:
    """Month and device of a case.

    Attributes:
        month: As ``2026-03``; the day is not kept.
        device: Maker and model.
    """

    month: str | None = None
    device: str | None = None


NO_OCCASION = Occasion()


def table_occasions(frame: pl.DataFrame) -> list[Occasion]:
    """Month and device of each row of a table, from the columns that name them."""
    names = {name.lower(): name for name in reversed(frame.columns)}
    month = _first(frame, names, (*MONTHS, *DATES))
    devices = {
        name: _first(frame, names, columns)
        for name, columns in (("device", DEVICES), ("model", MODELS), ("maker", MAKERS))
    }
    months = month.str.extract_groups(MONTH_SHAPE).struct.unnest()
    tidy = pl.DataFrame(devices).with_columns(
        pl.concat_str(months["1"], pl.lit("-"), months["2"]).alias("month"),
        pl.concat_str("maker", "model", separator=" ", ignore_nulls=True).alias("named"),
    )
    devices = tidy.select(pl.coalesce("device", pl.col("named").replace("", None)))
    pairs = zip(tidy["month"].to_list(), devices.to_series().to_list(), strict=True)
    return [Occasion(*pair) for pair in pairs]


def header_occasions(paths: Sequence[Path]) -> list[Occasion]:
    """Month and device of files, from DICOM headers; empty of other files."""
    if not any(is_dicom_file(path) for path in paths):
        return [NO_OCCASION] * len(paths)
    from medtransfer.data.sources.archive.attributes import (  # with the reader of DICOM
        MODEL_WORDS,
        study_month,
        with_devices,
    )

    words: list[Mapping[str, str]] = [
        dicom_words(path, ["StudyDate", *MODEL_WORDS]) or {} for path in paths
    ]
    columns = {name: [texts.get(name) for texts in words] for name in ("StudyDate", *MODEL_WORDS)}
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    described, _ = with_devices(frame.with_columns(study_month().alias("month")))
    return table_occasions(described.select("month", "maker", "model"))


def occasion_columns(occasions: Iterable[Occasion]) -> dict[str, pl.Series]:
    """`month` and `device` of cases, each only if a case has one."""
    listed = list(occasions)
    columns = {
        "month": pl.Series([occasion.month for occasion in listed], dtype=pl.String),
        "device": pl.Series([occasion.device for occasion in listed], dtype=pl.String),
    }
    return {name: cells for name, cells in columns.items() if cells.null_count() < len(cells)}


def _first(frame: pl.DataFrame, names: Mapping[str, str], wanted: Sequence[str]) -> pl.Series:
    """The first of some columns that is there, as text; else nulls. [N]"""
    for name in wanted:
        if name in names:
            return frame[names[name]].cast(pl.String, strict=False)
    return pl.Series([None] * len(frame), dtype=pl.String)
