"""SCIN: photographs of skin sent in by users of a search engine, labelled from the picture."""

import re
from dataclasses import dataclass

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.joins import KEY, coverage, join_tables, locate
from medtransfer.data.sources.skin import skin
from medtransfer.data.sources.source import (
    Download,
    ImportedSource,
    Option,
    Source,
    Table,
)
from medtransfer.errors import ConfigError, plural

AGES = {
    "AGE_18_TO_29": "18-29",
    "AGE_30_TO_39": "30-39",
    "AGE_40_TO_49": "40-49",
    "AGE_50_TO_59": "50-59",
    "AGE_60_TO_69": "60-69",
    "AGE_70_TO_79": "70-79",
    "AGE_80_OR_ABOVE": "80+",
}
SEXES = {"FEMALE": "F", "MALE": "M"}
TYPES = tuple(f"FST{number}" for number in range(1, 7))
NO_TYPE = ("NONE_SELECTED", "NONE_IDENTIFIED")
"""Skin types that a user did not find among the answers; the schema has the one, the table the
other."""
SHOTS = {"CLOSE_UP": "close-up", "AT_AN_ANGLE": "angle", "AT_DISTANCE": "distance"}
IMAGES = (1, 2, 3)
RACES = {
    "race_ethnicity_american_indian_or_alaska_native": "Native",
    "race_ethnicity_asian": "Asian",
    "race_ethnicity_black_or_african_american": "Black",
    "race_ethnicity_hispanic_latino_or_spanish_origin": "Hispanic",
    "race_ethnicity_middle_eastern_or_north_african": "Other",
    "race_ethnicity_native_hawaiian_or_pacific_islander": "Pacific",
    "race_ethnicity_white": "White",
    "race_ethnicity_other_race": "Other",
    "race_ethnicity_two_or_more_after_mitigation": "Other",
}
WEIGHTED = "weighted_skin_condition_label"
ESTIMATES = tuple(f"dermatologist_fitzpatrick_skin_type_label_{reader}" for reader in IMAGES)
CLASSES = {
    "Melanoma": "MEL",
    "Melanocytic Nevus": "NV",
    "Basal Cell Carcinoma": "BCC",
    "SCC/SCCIS": "AKIEC",
    "Actinic Keratosis": "AKIEC",
    "SK/ISK": "BKL",
    "Dermatofibroma": "DF",
    "Hemangioma": "VASC",
}
"""Conditions of lesions, of 211 in all. None was proven by pathology."""
PAIR = re.compile(r"""(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*:\s*([0-9.]+(?:e-?\d+)?)""")
"""A condition and its weight in a cell such as ``{'Eczema': 0.69, 'Psoriasis': 0.31}``."""
LIST = r"^\{.*\}$"


@dataclass(frozen=True)
class Leading:
    """The condition with the largest weight.

    Attributes:
        name: The condition; None where there is none, or several have that weight.
        weight: Its weight, from 0 to 1.
        tied: True if several conditions have that weight.
    """

    name: str | None
    weight: float = 0.0
    tied: bool = False


def leading(text: str) -> Leading:
    """The leading condition of a weighted list; none of an empty list."""
    weights = {
        (match[1] or match[2] or "").strip(): float(match[3]) for match in PAIR.finditer(text)
    }
    if not weights:
        return Leading(None)
    largest = max(weights.values())
    names = [name for name, weight in weights.items() if weight == largest]
    return Leading(names[0] if len(names) == 1 else None, largest, len(names) > 1)


def least_weight(options: dict[str, str]) -> float:
    """Option ``weight`` as a number.

    Raises:
        ConfigError: It is none from 0 to 1.
    """
    given = options["weight"]
    try:
        weight = float(given)
    except ValueError:
        weight = -1.0
    if not 0 <= weight <= 1:
        raise ConfigError(f"Option 'weight' holds '{given}' (allowed: a number from 0 to 1).")
    return weight


def read(download: Download) -> ImportedSource:
    """Images of all cases with the leading condition of their case."""
    floor = least_weight(dict(download.options))
    names = ("cases", "cases with labels")
    rows, labels = join_tables(
        download.tables["cases"], download.tables["labels"], "case_id", names
    )
    rows, notes = _with_condition(rows, floor)
    rows, unsure = _with_people(rows)
    rows, ages = cells.with_age(rows, cells.renamed("age_group", AGES, "_age"))
    rows = rows.with_columns(cells.renamed("age_group", AGES, "age_group"))
    images = pl.concat([_images(rows, number) for number in IMAGES])
    images, join = locate(images, download, r"([^/]+)\.(?:png|jpe?g)$", "images of the table")
    more = "It has no patient ids: each contribution is taken for a patient."
    return ImportedSource(
        images, (join, labels), (), (*coverage(join), more, *notes, *unsure, *ages)
    )


def _with_condition(rows: pl.DataFrame, floor: float) -> tuple[pl.DataFrame, list[str]]:
    """The class column, empty where no condition leads with at least a weight; and notes."""
    text = rows[WEIGHTED].fill_null("")
    first_of = {cell: leading(cell) for cell in text.unique()}
    firsts = [first_of[cell] for cell in text]
    named = [first.name if first.weight >= floor else None for first in firsts]
    tied = sum(first.tied for first in firsts)
    none = sum(first.name is None and not first.tied for first in firsts)
    light = sum(first.name is not None and first.weight < floor for first in firsts)
    reasons = (
        (none, "without a condition"),
        (tied, "whose first conditions weigh the same"),
        (light, f"whose first condition weighs less than {floor:g}"),
    )
    notes = [f"{plural(n, 'case')} {why}: the class is left empty." for n, why in reasons if n]
    return rows.with_columns(pl.Series(skin.CLASS, named, dtype=pl.String)), notes


def _with_people(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Sex, skin types and race; and a note on skin types that the dermatologists see apart."""
    digits = [pl.col(name).str.extract(r"^FST([1-6])$") for name in ESTIMATES]
    rows = rows.with_columns(pl.concat_list(digits).list.drop_nulls().list.unique().alias("_seen"))
    agreed = pl.when(pl.col("_seen").list.len() == 1).then(pl.col("_seen").list.first())
    rows = rows.with_columns(agreed.alias("_agreed"))
    apart = int((rows["_seen"].list.len() > 1).sum())
    groups = [
        pl.when(pl.col(name).eq_missing("YES")).then(pl.lit(group))
        for name, group in RACES.items()
        if name in rows.columns
    ] or [pl.lit(None, dtype=pl.String)]
    rows = rows.with_columns(pl.concat_list(groups).list.drop_nulls().alias("_races"))
    several = pl.when(pl.col("_races").list.len() > 1).then(pl.lit("Other"))
    rows = rows.with_columns(
        *skin.fitzpatrick("_agreed"),
        pl.col("fitzpatrick_skin_type").str.extract(r"^FST([1-6])$").alias("fitzpatrick_self"),
        several.otherwise(pl.col("_races").list.first()).alias("race"),
        cells.renamed("sex_at_birth", SEXES, "sex"),
    )
    note = f"{plural(apart, 'case')} whose dermatologists see several skin types: left empty."
    return rows, [note] if apart else []


def _images(rows: pl.DataFrame, number: int) -> pl.DataFrame:
    """Rows of the cases' first, second or third images, where they have one."""
    path = pl.col(f"image_{number}_path")
    case = pl.col("case_id")
    return rows.filter(path.is_not_null()).with_columns(
        path.str.extract(r"([^/]+?)(?:\.\w+)?$").alias(KEY),
        cells.renamed(f"image_{number}_shot_type", SHOTS, "view"),
        image_id=pl.concat_str(case, pl.lit(f"_{number}")),
        patient_id=case,
    )


PATHS = tuple(f"image_{number}_path" for number in IMAGES)
SHOT_TYPES = tuple(f"image_{number}_shot_type" for number in IMAGES)
SOURCE = Source(
    name="scin",
    title="SCIN (Skin Condition Image Network)",
    domain="skin",
    read=read,
    tables=(
        Table(
            "cases",
            ("scin_cases.csv", "dataset_scin_cases.csv"),
            (
                *("case_id", "age_group", "sex_at_birth", "fitzpatrick_skin_type"),
                *PATHS,
                *SHOT_TYPES,
            ),
            ("case_id",),
            optional=tuple(RACES),
            rules=(
                odd_rows.one_of("age_group", (*AGES, "AGE_UNKNOWN")),
                odd_rows.one_of("sex_at_birth", (*SEXES, "OTHER_OR_UNSPECIFIED")),
                odd_rows.one_of("fitzpatrick_skin_type", (*TYPES, *NO_TYPE)),
            ),
            holds="one row per contribution: people, symptoms, up to three images",
        ),
        Table(
            "labels",
            ("scin_labels.csv", "dataset_scin_labels.csv"),
            ("case_id", WEIGHTED, *ESTIMATES),
            ("case_id",),
            optional=tuple(RACES),
            rules=(
                odd_rows.shaped(WEIGHTED, LIST, "is no list such as {'Eczema': 1.0}"),
                *(odd_rows.one_of(name, TYPES) for name in ESTIMATES),
            ),
            holds="one row per contribution: weighted conditions, skin types as seen",
        ),
    ),
    access="open",
    licence="SCIN Data Use License",
    terms="Whoever shares the data or what is adapted from it names its source and licence; "
    "nobody may try to find out who a contributor is.",
    facts_from="dataset_schema.md, README.md, LICENSE and scin_demo.ipynb (columns, answers, "
    "counts) of github.com/google-research-datasets/scin; https://arxiv.org/abs/2402.18545; "
    "names of conditions: public readers of the table",
    url="https://github.com/google-research-datasets/scin",
    citation="Ward et al., Crowdsourcing dermatology images with Google Search ads: creating a "
    "real-world skin condition dataset, arXiv 2402.18545, 2024",
    images=10_408,
    layout=(
        "dataset/scin_cases.csv, dataset/scin_labels.csv",
        "dataset/images/-3205742176803893704.png",
    ),
    splits="None.",
    attributes={
        **cells.SEX,
        "age_group": "Age as it was asked: 18-29, 30-39, …, 80+; empty where it is not known.",
        "age_band": "The same in bands of twenty years; empty for 18-29, which crosses two.",
        **skin.FITZPATRICK,
        "fitzpatrick_self": "Fitzpatrick's skin type by the contributor's own answers.",
        "race": "Race in a few groups; Other stands for several and for the Middle East.",
    },
    confounders=(
        (
            "Labels are what one to three dermatologists saw on the photograph: no pathology, and "
            "so no target `malignant`."
        ),
        (
            "The class is the condition with the largest weight; most of 211 have a few cases, and "
            "89 % are allergies, infections and inflammations."
        ),
        (
            "`fitzpatrick` is what the dermatologists saw, where they agree; half of the "
            "contributors gave neither sex nor skin type."
        ),
        "Photographs were taken by the patients: cameras, light and distance differ.",
        "15 images stand under several contributions (42 times in all).",
    ),
    options=(
        Option(
            "weight",
            "Least weight, from 0 to 1, of a case's first condition; below it the class is empty.",
            "0",
        ),
    ),
    class_column=skin.CLASS,
    classes=CLASSES,
)
