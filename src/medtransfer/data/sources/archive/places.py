"""Cohorts of an export: its institutions or devices, as pseudonyms unless names are asked for."""

import polars as pl

from medtransfer.data.sources.archive.pseudonyms import Secret, pseudonyms
from medtransfer.errors import plural, printable
from medtransfer.tables.values.folding import plain_word
from medtransfer.tables.values.missing_words import value_counts
from medtransfer.tables.values.value_map import ValueMap

UNKNOWN = "unknown"
PLACE = "_place"
PARTS = {
    "institution": ("InstitutionName",),
    "institution-name": ("InstitutionName",),
    "model": ("maker", "model"),
    "device": ("maker", "model", "DeviceSerialNumber", "StationName"),
}
"""Entries that tell one cohort from another."""
MAX_NAMED = 20


def with_cohorts(
    images: pl.DataFrame, cohort_by: str, secret: Secret, values: ValueMap
) -> tuple[pl.DataFrame, list[str]]:
    """The rows with their cohort, the same for all images of a case, and notes.

    Args:
        images: Rows with the entries of headers and their attributes.
        cohort_by: ``export`` for no column, or a key of `PARTS`.
        secret: Key of the pseudonyms.
        values: Names for institutions and devices, as ``cohort``: theirs to ours.
    """
    if "cohort" in images.columns:  # the table of labels gave it
        return images, []
    if cohort_by == "export":
        return images.with_columns(cohort=pl.lit("dicom")), []
    parts = PARTS[cohort_by]
    text = pl.concat_str(
        *(pl.col(name).fill_null("") for name in parts), separator=" "
    ).str.strip_chars()
    places = images.select(pl.when(text != "").then(text).alias(PLACE))[PLACE]
    folded = places.replace_strict(
        {place: " ".join(plain_word(place).split()) for place in places.drop_nulls().unique()},
        default=None,
        return_dtype=pl.String,
    )
    named = {plain_word(theirs): ours for theirs, ours in values.get("cohort", {}).items()}
    given = folded.replace_strict(named, default=None, return_dtype=pl.String)
    if cohort_by in ("institution", "device"):
        name = pseudonyms(secret, cohort_by, folded, prefix=f"{cohort_by}-")
    else:
        name = places
    name = given.fill_null(name).fill_null(f"{cohort_by.removesuffix('-name')}-{UNKNOWN}")
    images = images.with_columns(name.alias("cohort"))
    images, moved = _one_per_case(images)
    notes = [_counts(images["cohort"])]
    absent = [
        theirs for theirs in values.get("cohort", {}) if plain_word(theirs) not in set(folded)
    ]
    if absent:
        words = ", ".join(f"'{printable(theirs)}'" for theirs in absent)
        notes.append(f"'cohort': no image is of {words}, which --values names.")
    if moved:
        notes.append(
            f"{plural(moved, 'image')} of studies with several cohorts: each study is of the "
            "cohort of most of its images."
        )
    return images, notes


def _one_per_case(images: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """The rows with one cohort per study, that of most of its images; images that changed."""
    counts = images.group_by("StudyInstanceUID", "cohort").len()
    most = counts.sort("len", "cohort", descending=[True, False]).unique(
        "StudyInstanceUID", keep="first", maintain_order=True
    )
    most = most.filter(pl.col("StudyInstanceUID").is_not_null())
    joined = images.join(
        most.select("StudyInstanceUID", common="cohort"),
        on="StudyInstanceUID",
        how="left",
        maintain_order="left",
    ).with_columns(pl.coalesce("common", "cohort").alias("common"))
    moved = int((joined["common"] != joined["cohort"]).sum())
    return joined.with_columns(cohort=pl.col("common")).drop("common"), moved


def _counts(cohorts: pl.Series) -> str:
    counts = sorted(value_counts(cohorts).items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} {count:,}" for name, count in counts[:MAX_NAMED])
    rest = f" and {len(counts) - MAX_NAMED:,} more" if len(counts) > MAX_NAMED else ""
    return f"Cohorts: {shown}{rest}."
