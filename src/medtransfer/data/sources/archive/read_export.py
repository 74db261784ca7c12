"""From the headers of an export to the rows of a manifest; ids leave as pseudonyms alone."""

from collections.abc import Mapping

import polars as pl

from medtransfer.data.sources.archive.attributes import MONTH, describe_images
from medtransfer.data.sources.archive.header_words import ATTRIBUTES
from medtransfer.data.sources.archive.headers import read_header_frame
from medtransfer.data.sources.archive.label_table import LabelledImages, join_labels, read_labels
from medtransfer.data.sources.archive.places import with_cohorts
from medtransfer.data.sources.archive.pseudonyms import Secret, open_secret, pseudonyms
from medtransfer.data.sources.archive.selection import MODALITY, read_filters, select_images
from medtransfer.data.sources.source import PATH, Download, ImportedSource
from medtransfer.errors import TableError, plural
from medtransfer.tables.values.value_map import absent_columns, map_values

IDS = ("image_id", "path", "case_id", "patient_id")
PERSON = "_person"
"""Column that tells patients apart, before it becomes a pseudonym."""
RISKY = ("US", "SC", "OT", "ES", "XC")
"""Modalities whose pixels often hold text."""
PATHS = (
    "The manifest names files on this disk, and their names may hold patients: do not pass it on."
)


def read_export(download: Download) -> ImportedSource:
    """The images of an export, by their headers.

    Args:
        download: Its folder, files and options.

    Raises:
        ConfigError: A filter is not of the standard, or the secret is missing or not safe.
        TableError: No image is there, or the table of labels cannot be joined.
    """
    options = download.options
    filters = read_filters(options)
    table = read_labels(download) if options["labels"] else None
    secret = open_secret(options["secret"], download.folder)
    files = download.files[PATH]
    below = options["images"].strip("/")
    if below:
        files = files.filter(files.str.starts_with(below + "/"))
    headers = read_header_frame(download.folder, files.to_list(), download.progress)
    selection = select_images(headers.with_columns(files), filters)
    if selection.frame.is_empty():
        raise TableError(f"No image is left of {download.folder}. {' '.join(selection.notes)}")
    described = describe_images(selection.frame)
    rows, patient_notes = _with_people(described.frame, options)
    labelled = LabelledImages(rows, None, ())
    if table is not None:
        loose, keep = options["keys"] == "loose", options["unlabelled"] == "keep"
        labelled = join_labels(rows, table, loose=loose, keep=keep)
    rows, cohort_notes = with_cohorts(labelled.frame, options["cohort_by"], secret, download.values)
    columns = [*(table.targets if table else ()), *(table.attributes if table else ())]
    frame = _manifest_rows(rows, secret, [*columns, *_attributes(options, columns)])
    frame, value_notes = _with_values(frame, download, columns)
    notes = (
        *selection.notes,
        *(table.notes if table else ()),
        *labelled.notes,
        *patient_notes,
        *described.notes,
        *cohort_notes,
        *value_notes,
        *_privacy_notes(rows),
        secret.sentence(),
        PATHS,
    )
    joins = (labelled.join,) if labelled.join else ()
    return ImportedSource(frame, joins, (), notes, is_read=True, secrets=(secret.path,))


def _attributes(options: Mapping[str, str], given: list[str]) -> list[str]:
    """Attributes of the headers that are written; the table's own take the place of theirs."""
    wanted = [name for name in ATTRIBUTES if name not in given]
    return [name for name in wanted if name != MONTH or options["dates"] == "month"]


def _with_values(
    frame: pl.DataFrame, download: Download, given: list[str]
) -> tuple[pl.DataFrame, list[str]]:
    """The rows with the values of ``--values`` in columns of the headers, and notes.

    Columns of the table of labels and the names of institutions are mapped before.
    """
    before = {*given, *(["cohort"] if download.options["cohort_by"] != "export" else [])}
    values = {name: pairs for name, pairs in download.values.items() if name not in before}
    download.refuse(absent_columns(frame.drop(IDS), values))
    return map_values(frame, values)


def _with_people(
    images: pl.DataFrame, options: Mapping[str, str]
) -> tuple[pl.DataFrame, list[str]]:
    """The rows with `PERSON`; images without a patient are left out, or their study is one."""
    beside = {"id": None, "id+issuer": "IssuerOfPatientID", "id+institution": "InstitutionName"}
    second = beside[options["patient_by"]]
    person = pl.col("PatientID")
    if second is not None:
        person = pl.concat_str(person, pl.lit("\0"), pl.col(second).fill_null(""))
    images = images.with_columns(person.alias(PERSON))
    nobody = images.filter(pl.col(PERSON).is_null())
    notes = _twin_notes(images, options["patient_by"])
    if nobody.is_empty():
        return images, notes
    count = plural(len(nobody), "image")
    if options["no_patient"] == "drop":
        images = images.filter(pl.col(PERSON).is_not_null())
        if images.is_empty():
            raise TableError(
                "No image has a patient id, so nothing keeps a patient's images together. If "
                "each study is of another patient, say --option no_patient=study."
            )
        notes.append(
            f"{count} without a patient id: left out (--option no_patient=study takes each study "
            "as a patient)."
        )
        return images, notes
    study = pl.concat_str(
        pl.lit("study\0"), pl.coalesce("StudyInstanceUID", "SOPInstanceUID", PATH)
    )
    notes.append(f"{count} without a patient id: each study is taken as a patient of its own.")
    return images.with_columns(pl.coalesce(PERSON, study).alias(PERSON)), notes


def _twin_notes(images: pl.DataFrame, patient_by: str) -> list[str]:
    """Ids that may be of two people, and people who may have two ids; pseudonyms would hide it."""
    notes: list[str] = []
    people = images.filter(pl.col(PERSON).is_not_null()).group_by(PERSON)
    facts = people.agg(pl.col(name).drop_nulls().n_unique() for name in ("PatientBirthDate", "sex"))
    torn = facts.filter(pl.any_horizontal(pl.exclude(PERSON) > 1))
    if len(torn):
        count = plural(len(torn), "patient id")
        hint = " (see --option patient_by)" if patient_by == "id" else ""
        notes.append(
            f"{count} with several birth dates or sexes: two people may share an id{hint}."
        )
    plain = pl.col(PERSON).str.to_lowercase().str.replace_all(r"[\s_-]+", "")
    alike = facts.select(plain.str.replace(r"^0+(.)", "$1").alias("plain"))
    if spelled := int(alike["plain"].is_duplicated().sum()):
        notes.append(
            f"{plural(spelled, 'patient id')} that differ by zeros, blanks or case alone: each is "
            "a patient of its own here."
        )
    return notes


def _privacy_notes(rows: pl.DataFrame) -> list[str]:
    """Counts of images with burned-in text, and of those not marked as de-identified."""
    total = plural(len(rows), "image")
    burned = pl.col("BurnedInAnnotation").str.to_uppercase()
    says = {word: len(rows.filter(burned == word)) for word in ("YES", "NO")}
    silent = len(rows) - sum(says.values())
    risky = len(rows.filter(pl.col(MODALITY).is_in(RISKY) & (burned != "NO").fill_null(value=True)))
    notes: list[str] = []
    if says["YES"] or silent:
        notes.append(
            f"Burned In Annotation of {total}: YES {says['YES']:,}, NO {says['NO']:,}, not said "
            f"{silent:,}. The entry is not reliable: look at the pictures"
            + (f", first at {risky:,} of modalities that often hold text." if risky else ".")
        )
    removed = len(rows.filter(pl.col("PatientIdentityRemoved").str.to_uppercase() == "YES"))
    if removed < len(rows):
        notes.append(
            f"{len(rows) - removed:,} of {total} do not say that they were de-identified (Patient "
            "Identity Removed): their files hold what the hospital wrote."
        )
    return notes


def _manifest_rows(rows: pl.DataFrame, secret: Secret, columns: list[str]) -> pl.DataFrame:
    """Rows of a manifest: pseudonyms, places, views, and the named columns."""
    instance = pl.coalesce("SOPInstanceUID", pl.concat_str(pl.lit("path\0"), PATH))
    study = pl.coalesce("StudyInstanceUID", pl.concat_str(pl.lit("image\0"), instance))
    ids = rows.select(image=instance, study=study, patient=PERSON)
    return rows.select(
        pseudonyms(secret, "image", ids["image"]).alias("image_id"),
        PATH,
        pseudonyms(secret, "study", ids["study"]).alias("case_id"),
        pseudonyms(secret, "patient", ids["patient"]).alias("patient_id"),
        "cohort",
        "view",
        "laterality",
        *columns,
        *(["age_band"] if "age" in columns and "age_band" not in columns else []),
    )
