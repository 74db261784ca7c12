"""A hospital's own DICOM files, as its archive exports them, with no table of ours beside them."""

from medtransfer.data.sources.archive.header_words import ATTRIBUTES
from medtransfer.data.sources.generic.own_table import DELIMITERS
from medtransfer.data.sources.source import Download, ImportedSource, Option, Source


def read(download: Download) -> ImportedSource:
    """The images of an export, by their headers."""
    from medtransfer.data.sources.archive.read_export import read_export  # pydicom is slow to load

    return read_export(download)


OPTIONS = (
    Option("labels", "Table of labels: CSV in any spelling, .xlsx or .parquet; also `--labels`."),
    Option(
        "on",
        "Entry that labels are joined by: `AccessionNumber`, `StudyInstanceUID` or `PatientID`; "
        "`AccessionNumber=COLUMN` if the table calls it otherwise; also `--on`.",
        "AccessionNumber",
    ),
    Option("targets", "Columns of the table that are labels."),
    Option("columns", "Further columns of the table, our names to theirs: `race=Ethnicity`."),
    Option(
        "keys",
        "Whether keys must be equal, or may differ by zeros, blanks and case.",
        "exact",
        ("exact", "loose"),
    ),
    Option(
        "unlabelled",
        "Whether images without a row of the table are taken.",
        "drop",
        ("drop", "keep"),
    ),
    Option(
        "delimiter",
        "What stands between two columns of the table; found in the file by default.",
        allowed=tuple(DELIMITERS),
    ),
    Option("encoding", "Encoding of the table; found in the file by default."),
    Option(
        "secret",
        "File with the secret of the pseudonyms; by default one is made, once, in your folder of "
        "settings; also `--secret`.",
    ),
    Option(
        "cohort_by",
        "What a cohort is: the whole export, an institution or a device (as pseudonyms), an "
        "institution by its name, or a model of device.",
        "export",
        ("export", "institution", "institution-name", "device", "model"),
    ),
    Option(
        "patient_by",
        "What tells patients apart: the id, or the id with its issuer or institution, where "
        "several give out the same ids.",
        "id",
        ("id", "id+issuer", "id+institution"),
    ),
    Option(
        "no_patient",
        "Whether images without a patient id are left out, or each study is a patient.",
        "drop",
        ("drop", "study"),
    ),
    Option(
        "dates", "Whether the study's month is written; a day never is.", "none", ("none", "month")
    ),
    Option("modality", "Modalities to keep: `DX,CR`; all but CT, MR, PT and NM by default."),
    Option("sop_class", "SOP classes to keep, by identifier or by name; all by default."),
    Option(
        "intent",
        "Presentation intent to keep, where both are in an export of mammograms.",
        "presentation",
        ("presentation", "processing", "any"),
    ),
    Option(
        "captures",
        "Whether secondary captures are kept: some scanned films are such.",
        "drop",
        ("drop", "keep"),
    ),
    Option(
        "burned_in",
        "Whether images that say they have text burned in are kept.",
        "keep",
        ("keep", "drop"),
    ),
)
"""Options of an import from an archive."""
CONFOUNDERS = (
    "Maker, model, exposure and view often tell the ward, and with it the diagnosis.",
    "Text burned into the pixels is not seen by any entry of the header.",
)

SOURCE = Source(
    name="dicom",
    title="A folder of DICOM files",
    domain="any",
    read=read,
    licence="yours",
    layout=("any folders, any names, with or without an ending: DICOM files are told by content",),
    splits="None; the study draws its own by patient.",
    attributes=ATTRIBUTES,
    confounders=CONFOUNDERS,
    options=OPTIONS,
)
