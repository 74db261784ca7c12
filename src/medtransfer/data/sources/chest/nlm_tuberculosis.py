"""Shenzhen and Montgomery County: films of tuberculosis and of healthy people, two hospitals."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from medtransfer.data.sources import cells
from medtransfer.data.sources.joins import join_tables
from medtransfer.data.sources.source import (
    PATH,
    Download,
    ImportedSource,
    Join,
    Source,
    Target,
)
from medtransfer.errors import plural

FILM = r"(?:^|/)CXR_png/(((?:CHN|MCU)CXR_\d+)_([01]))\.png$"
"""Path of a film: its name, its patient, and 1 for tuberculosis. Masks elsewhere have its name."""
READING = r"(?:^|/)ClinicalReadings/((?:CHN|MCU)CXR_\d+_[01])\.txt$"
COHORTS = {"CHN": "nlm-tuberculosis-shenzhen", "MCU": "nlm-tuberculosis-montgomery"}
OPPOSITE = {"0": "1", "1": "0"}
SEX = re.compile(r"\b(female|male|F|M)\b", re.IGNORECASE)
AGE = re.compile(r"\b0*(\d{1,3})\s*(y(?:ea)?rs?|y|months?|m|weeks?|w|days?|d)\b", re.IGNORECASE)
AGE_LINE = re.compile(r"\s*patient'?s\s+age\b", re.IGNORECASE)


@dataclass(frozen=True)
class Person:
    """Sex and age in the words of a clinical reading; None where it does not say them."""

    sex: str | None
    age: str | None


def person(text: str) -> Person:
    """Sex and age from the head of a reading.

    Shenzhen writes ``male 45yrs`` in the first line, Montgomery ``Patient's Sex: F`` and
    ``Patient's Age: 027Y`` in the first two; what follows is a report in free words, whose numbers
    are no age of the patient.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return Person(None, None)
    sex = SEX.search(lines[0])
    head = next((line for line in lines[:2] if AGE_LINE.match(line)), lines[0])
    age = AGE.search(head)
    return Person(sex and sex.group(1), age and f"{age.group(1)} {_unit(age.group(2))}")


def _unit(word: str) -> str:
    """Unit of an age as `tables.values.ages` reads it."""
    return {"y": "years", "m": "months", "w": "weeks", "d": "days"}[word[0].lower()]


def read(download: Download) -> ImportedSource:
    """Films by the names of their files; sex and age from the clinical readings beside them."""
    path = pl.col(PATH)
    parts = {"image_id": 1, "patient_id": 2, "Tuberculosis": 3}
    pictures = download.pictures.with_columns(
        path.str.extract(FILM, group).alias(name) for name, group in parts.items()
    )
    films = pictures.filter(pl.col("image_id").is_not_null()).sort("image_id")
    download.refuse(_faults(films))
    rows = films.with_columns(
        cells.renamed("Tuberculosis", OPPOSITE, "No Finding"),
        case_id=pl.col("patient_id"),
    )
    if not download.options["cohort"]:
        name = pl.col("image_id").str.slice(0, 3).replace_strict(COHORTS, return_dtype=pl.String)
        rows = rows.with_columns(name.alias("cohort"))
    rows, join, unsaid = _with_people(rows, download)
    notes = [f"{plural(unsaid, 'film')} whose reading says no age: left empty."] if unsaid else []
    if others := len(pictures) - len(films):
        notes.append(f"{plural(others, 'image')} outside CXR_png, such as masks: left out.")
    rows, ages = cells.with_age(rows, pl.col("_age"))
    rows = rows.with_columns(cells.sex("_sex")).drop("_sex", "_age")
    return ImportedSource(rows, (join,), (), (*notes, *ages))


def _faults(films: pl.DataFrame) -> Iterable[str]:
    """Faults of a folder without films, or with two copies of one."""
    if films.is_empty():
        yield "no image such as CXR_png/CHNCXR_0001_0.png is below the folder"
    if copies := int(films["image_id"].is_duplicated().sum()):
        yield (
            f"{plural(copies, 'image')} of one name in several folders CXR_png: choose one with "
            "--option images=FOLDER"
        )


def _with_people(rows: pl.DataFrame, download: Download) -> tuple[pl.DataFrame, Join, int]:
    """`_sex` and `_age` from the readings, and how many films have a reading without an age."""
    readings = download.files.with_columns(pl.col(PATH).str.extract(READING).alias("image_id"))
    readings = readings.filter(pl.col("image_id").is_not_null()).unique("image_id", keep="first")
    people = [
        person((download.folder / path).read_text(encoding="utf-8", errors="replace"))
        for path in readings[PATH]
    ]
    named = readings.select(
        "image_id",
        _sex=pl.Series([human.sex for human in people], dtype=pl.String),
        _age=pl.Series([human.age for human in people], dtype=pl.String),
        _read=pl.lit(value=True),
    )
    rows, join = join_tables(rows, named, "image_id", ("films", "clinical readings"))
    unsaid = rows.filter(pl.col("_read") & pl.col("_age").is_null()).height
    return rows.drop("_read"), join, unsaid


SOURCE = Source(
    name="nlm-tuberculosis",
    title="Shenzhen and Montgomery County (NLM tuberculosis films)",
    domain="chest",
    read=read,
    targets=(
        Target("Tuberculosis", "a film of a patient with tuberculosis, by the name of its file"),
        Target("No Finding", "a film filed as normal", "No Finding"),
    ),
    licence="Not known: see the readme files of the downloads (NLM-…-ReadMe)",
    facts_from="radharmony/harmonizer/shenzhen_cxr and montgomery_cxr of "
    "github.com/f10409/RadHarmony",
    url="https://data.lhncbc.nlm.nih.gov/public/Tuberculosis-Chest-X-ray-Datasets/",
    citation="Jaeger et al., Two public chest X-ray datasets for computer-aided screening of "
    "pulmonary diseases, Quantitative Imaging in Medicine and Surgery 2014",
    images=800,
    patients=800,
    layout=(
        "Shenzhen-Hospital-CXR-Set/CXR_png/CHNCXR_0001_0.png, ClinicalReadings/CHNCXR_0001_0.txt",
        "MontgomerySet/CXR_png/MCUCXR_0001_0.png, ClinicalReadings/MCUCXR_0001_0.txt",
    ),
    splits="None: the two hospitals are cohorts, `nlm-tuberculosis-shenzhen` (662 films, 336 of "
    "tuberculosis) and `nlm-tuberculosis-montgomery` (138, 58).",
    attributes={**cells.SEX, **cells.AGE_COLUMNS},
    confounders=(
        "The hospitals differ in machines, in the size of films and in prevalence.",
        "Shenzhen's films are saved with a palette or in colour, Montgomery's in grey.",
        "Some of Montgomery's films have wide black borders, and one is an apical view.",
        "A film of tuberculosis may show no sign of it.",
    ),
)
