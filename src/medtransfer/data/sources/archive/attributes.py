"""Columns of a manifest from header entries: what is said of an image, and of no person.

Every column is of a closed list, a number, or a month. Only the model of a device is a text, and
one that could be the name or the number of a person is left empty. What is left empty is counted,
and never quoted.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from medtransfer.data.images.dicom.header import VIEWS
from medtransfer.data.sources import cells
from medtransfer.data.sources.archive.header_words import (
    BODY_PARTS,
    BODY_WORDS,
    DESCRIBED_VIEWS,
    MAKERS,
    VIEW_CODES,
    VIEW_WORDS,
)
from medtransfer.data.sources.archive.selection import INTENT, MODALITY
from medtransfer.errors import plural
from medtransfer.tables.values.ages import MAX_YEARS
from medtransfer.tables.values.personal import CONTENTS

SEXES = {"F": "F", "M": "M", "O": "O"}
SEX_UNKNOWN = ("U", "UNKNOWN", "N", "X")
DESCRIPTIONS = ("ProtocolName", "SeriesDescription", "AcquisitionDeviceProcessingDescription")
OTHER_MAKER = "Other"
MAX_MODEL = 40
"""Letters of a device's model; a longer text is something else."""
MODEL = r"^[\p{L}\d][\p{L}\d .,+/()_®™-]*$"
NO_AGE = "000Y"
"""Age that programs write when they take it out; one under a year is in months or days."""
AGE = r"^0*(\d{1,3})([YMWD])$"
DATE = r"^(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])$"
EXPOSURE = {"kvp": (1.0, 500.0), "exposure_mas": (0.0, 10_000.0)}
"""Columns of exposure, with the range of values that a device can have."""
MODEL_WORDS = ("Manufacturer", "ManufacturerModelName")
"""Header entries that name a device."""
MONTH = "month"
"""Column of the study's month, if it is asked for."""


@dataclass(frozen=True)
class Described:
    """Images with their attributes.

    Attributes:
        frame: The rows, with the columns of `header_words.ATTRIBUTES`, `view` and `laterality`.
        notes: Sentences on what was read from elsewhere, and what was left empty.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...]


def describe_images(headers: pl.DataFrame) -> Described:
    """The columns of a manifest, from the entries of headers.

    Args:
        headers: Rows of `selection.select_images`.
    """
    frame = headers.with_columns(
        pl.col(MODALITY).alias("modality"),
        pl.col(INTENT).alias("intent"),
        study_month().alias(MONTH),
        *(_number(*pair) for pair in (("KVP", "kvp"), ("Exposure", "exposure_mas"))),
        _by_words("PatientSex", SEXES).alias("sex"),
    )
    micro = pl.col("ExposureInuAs").cast(pl.Float64, strict=False) / 1000
    mas = pl.coalesce("exposure_mas", _sane(micro, "exposure_mas")).round(2)
    frame = frame.with_columns(mas.alias("exposure_mas"))
    notes: list[str] = []
    for step in (_with_views, _with_sides, _with_body_parts, with_devices, _with_ages):
        frame, of_step = step(frame)
        notes += of_step
    given = pl.col("PatientSex").str.to_uppercase()
    strange = frame.filter(pl.col("sex").is_null() & given.is_not_null())
    strange = strange.filter(~given.is_in(list(SEX_UNKNOWN)))
    return Described(frame, (*notes, *_emptied("Sex", len(strange), "neither F, M nor O")))


def _emptied(what: str, count: int, why: str) -> list[str]:
    return [f"{what} is left empty in {plural(count, 'image')}: {why}."] if count else []


def _by_words(column: str, words: Mapping[str, str]) -> pl.Expr:
    """An entry in capitals by a closed list; null if it is not on it."""
    text = pl.col(column).str.to_uppercase()
    return text.replace_strict(dict(words), default=None, return_dtype=pl.String)


def _number(column: str, name: str) -> pl.Expr:
    return _sane(pl.col(column).cast(pl.Float64, strict=False), name).round(2).alias(name)


def _sane(number: pl.Expr, name: str) -> pl.Expr:
    low, high = EXPOSURE[name]
    return pl.when(number.is_between(low, high)).then(number)


def study_month() -> pl.Expr:
    """Month of `StudyDate` as ``2019-03``; null for anything that is no date."""
    date = pl.col("StudyDate").str.replace_all(".", "", literal=True)  # 2019.03.07, of ACR-NEMA
    return pl.when(date.str.contains(DATE)).then(
        pl.concat_str(date.str.slice(0, 4), pl.lit("-"), date.str.slice(4, 2))
    )


def _with_views(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The view from its entry, from its code, or else from the words of a description."""
    plain = {**dict.fromkeys(VIEWS, ""), **VIEW_WORDS}
    words = {word: view or word for word, view in plain.items()} | VIEW_WORDS
    position = _by_words("ViewPosition", words)
    code = pl.col("ViewCode").replace_strict(VIEW_CODES, default=None, return_dtype=pl.String)
    stated = pl.coalesce(position, code, _by_words("ViewWord", words))
    frame = frame.with_columns(stated.alias("view"))
    described = _described_views(frame)
    silent = pl.col("view").is_null() & pl.col("ViewPosition").is_null()
    frame = frame.with_columns(described.alias("_described"))
    frame = frame.with_columns(
        pl.when(silent).then("_described").otherwise("view").alias("view"), silent.alias("_silent")
    )
    guessed = len(frame.filter(pl.col("_silent") & pl.col("_described").is_not_null()))
    notes = _emptied(
        "View",
        len(frame.filter(pl.col("view").is_null() & pl.col("ViewPosition").is_not_null())),
        "its entry is not a word of the standard",
    )
    if guessed:
        notes.append(
            f"View of {plural(guessed, 'image')} is read from the words of the series' or the "
            "protocol's description: the entry for it is empty."
        )
    return frame.drop("_described", "_silent"), notes


def _described_views(frame: pl.DataFrame) -> pl.Series:
    """The one view that the descriptions of a series name; null for none or several. [N]"""
    seen = frame.select(MODALITY, *DESCRIPTIONS).unique()
    views = [
        _one_view(DESCRIBED_VIEWS.get(modality or "", {}), texts)
        for modality, *texts in seen.iter_rows()
    ]
    seen = seen.with_columns(pl.Series("_view", views, dtype=pl.String))
    keys = [MODALITY, *DESCRIPTIONS]
    joined = frame.select(keys).join(
        seen, on=keys, how="left", nulls_equal=True, maintain_order="left"
    )
    return joined["_view"]


def _one_view(words: Mapping[str, str], texts: list[str | None]) -> str | None:
    tokens = re.findall(
        r"[^\W\d_]+", " ".join(text or "" for text in texts).upper().replace(".", "")
    )
    views = {words[token] for token in tokens if token in words}
    return views.pop() if len(views) == 1 else None


def _with_sides(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    side = pl.coalesce("ImageLaterality", "Laterality").str.to_uppercase()
    frame = frame.with_columns(pl.when(side.is_in(["L", "R"])).then(side).alias("laterality"))
    odd = frame.filter(side.is_not_null() & ~side.is_in(["L", "R", "B", "U"]))
    return frame, _emptied("Laterality", len(odd), "its entry is not a letter of the standard")


def _with_body_parts(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    words = {**{word: word for word in BODY_PARTS}, **BODY_WORDS}
    coded = pl.col("RegionWord").str.to_uppercase()
    coded = coded.replace_strict(words, default=None, return_dtype=pl.String)
    frame = frame.with_columns(
        pl.coalesce(_by_words("BodyPartExamined", words), coded).alias("body_part")
    )
    odd = frame.filter(pl.col("body_part").is_null() & pl.col("BodyPartExamined").is_not_null())
    return frame, _emptied("Body part", len(odd), "its entry is not a word of the standard")


def with_devices(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """`maker` and `model` of images, and what was left empty.

    Args:
        frame: `Manufacturer` and `ManufacturerModelName`.
    """
    text = pl.col("Manufacturer").str.to_uppercase()
    maker = pl.when(pl.lit(value=False)).then(pl.lit(""))
    for word, name in MAKERS.items():
        maker = maker.when(text.str.contains(rf"\b{word}")).then(pl.lit(name))
    maker = maker.when(text.is_not_null()).then(pl.lit(OTHER_MAKER)).otherwise(None)
    model = pl.col("ManufacturerModelName").str.replace_all(r"\s+", " ").str.strip_chars()
    personal = model.str.contains("|".join(f"(?:{shape})" for shape in CONTENTS.values()))
    plain = model.str.contains(MODEL) & (model.str.len_chars() <= MAX_MODEL) & ~personal
    frame = frame.with_columns(maker.alias("maker"), pl.when(plain).then(model).alias("model"))
    odd = frame.filter(pl.col("model").is_null() & pl.col("ManufacturerModelName").is_not_null())
    return frame, _emptied("Model", len(odd), "its entry could be of a person, or is too long")


def _with_ages(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Age from its entry, else from the dates of birth and study, which stay here."""
    text = pl.col("PatientAge").str.to_uppercase()
    stated = pl.when(text.str.contains(AGE) & (text.str.strip_chars_start("0") != "Y")).then(text)
    birth, study = (_date(name) for name in ("PatientBirthDate", "StudyDate"))
    days = (study - birth).dt.total_days()
    years = pl.when(days.is_between(0, MAX_YEARS * 366)).then((days / 365.2425).floor())
    computed = pl.concat_str(years.cast(pl.Int64), pl.lit("Y"))
    frame = frame.with_columns(stated.alias("_stated"), computed.alias("_computed"))
    odd = frame.filter(pl.col("_stated").is_null() & pl.col("PatientAge").is_not_null())
    used = frame.filter(pl.col("_stated").is_null() & pl.col("_computed").is_not_null())
    frame, notes = cells.with_age(frame, pl.coalesce("_stated", "_computed"))
    if len(odd):
        notes.append(
            f"The age of {plural(len(odd), 'image')} is no age of the standard, or {NO_AGE}, which "
            "programs write that take it out: not used."
        )
    if len(used):
        notes.append(
            f"Age of {plural(len(used), 'image')} is computed from the dates of birth and study."
        )
    return frame.drop("_stated", "_computed"), notes


def _date(column: str) -> pl.Expr:
    text = pl.col(column).str.replace_all(".", "", literal=True)
    return pl.when(text.str.contains(DATE)).then(text).str.to_date("%Y%m%d", strict=False)
