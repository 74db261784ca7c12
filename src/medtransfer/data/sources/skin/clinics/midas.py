"""MIDAS: lesions with pathology, each photographed through a dermatoscope and from afar."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.skin import skin
from medtransfer.data.sources.source import (
    PATH,
    Download,
    ImportedSource,
    Option,
    Source,
    Table,
    Target,
    kept_text,
)
from medtransfer.errors import plural

VIEWS = {
    "dscope": "dermoscopic",
    "6in": "clinical-15cm",
    "1ft": "clinical-30cm",
    "n/a - virtual": "virtual",
}
ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6"}
"""First word of a skin type, in small letters → Fitzpatrick's number."""
CLASSES = {
    "malignant-melanoma": "MEL",
    "malignant-bcc": "BCC",
    "malignant-scc": "AKIEC",
    "malignant-sccis": "AKIEC",
    "malignant-ak": "AKIEC",
    "benign-melanocytic nevus": "NV",
    "benign-seborrheic keratosis": "BKL",
    "benign-dermatofibroma": "DF",
    "benign-hemangioma": "VASC",
    "benign-fibrous papule": "OTHER",
}
PRECANCER = "malignant-ak"
STEM = r"(?i)([^/]+)\.(?:jpe?g|png)$"


def read(download: Download) -> ImportedSource:
    """Rows of the table with their files, those of lesions with pathology if nothing else."""
    table = download.tables["release"]
    rows, kept = table, tuple[str, ...]()
    if download.options["controls"] == "without":
        rows = table.filter(pl.col("midas_iscontrol") != "yes")
        kept = (kept_text(len(rows), len(table), "controls = without"),)
    name = pl.col("midas_file_name").str.replace(r"\.\w+$", "")
    roman = pl.col("midas_fitzpatrick").str.to_lowercase().str.extract(r"^\s*(vi|iv|v|i{1,3})\b")
    # readers of the table write a blank after the hyphen or none
    pathology = pl.col("midas_path").str.to_lowercase().str.replace(r"^(\w+)-\s+", "$1-")
    rows = rows.with_columns(
        pathology.alias(skin.CLASS),
        roman.replace_strict(ROMAN, default=None, return_dtype=pl.String).alias("_type"),
        cells.renamed("midas_distance", VIEWS, "view"),
        image_id=name,
        case_id=name,
        patient_id=pl.col("midas_record_id"),
    )
    rows = rows.with_columns(
        _label(),
        *skin.fitzpatrick("_type"),
        cells.sex("midas_gender"),
        skin.body_site("midas_location"),
    )
    rows, ages = cells.with_age(rows, pl.col("midas_age"))
    unnamed = rows.filter(pl.col(skin.CLASS).is_not_null() & pl.col("malignant").is_null())
    notes: list[str] = []
    if len(unnamed):
        notes.append(
            f"{plural(len(unnamed), 'image')} whose pathology is named neither benign nor "
            "malignant: the label is empty."
        )
    rows, join = locate(_keyed(rows, download), download, STEM)
    return ImportedSource(rows, (join,), kept, (*coverage(join), *notes, *ages))


def _label() -> pl.Expr:
    """`malignant` by the first word of the pathology; null for any other."""
    pathology = pl.col(skin.CLASS)
    label = pl.when(pathology == PRECANCER).then(pl.lit("-1"))
    label = label.when(pathology.str.starts_with("malignant-")).then(pl.lit("1"))
    return label.when(pathology.str.starts_with("benign-")).then(pl.lit("0")).alias("malignant")


def _keyed(rows: pl.DataFrame, download: Download) -> pl.DataFrame:
    """The rows with the name of their file as it is spelt on disk, whatever its case and ending."""
    files = download.pictures.select(pl.col(PATH).str.extract(STEM).alias("_file")).drop_nulls()
    files = files.unique().with_columns(_low=pl.col("_file").str.to_lowercase())
    files = files.filter(~pl.col("_low").is_duplicated())
    rows = rows.with_columns(_low=pl.col("image_id").str.to_lowercase())
    rows = rows.join(files, on="_low", how="left", maintain_order="left")
    return rows.with_columns(pl.coalesce("_file", "image_id").alias(KEY))


SOURCE = Source(
    name="midas",
    title="MIDAS (MRA-MIDAS)",
    domain="skin",
    read=read,
    tables=(
        Table(
            "release",
            ("release_midas.csv", "release_midas.xlsx"),
            (
                *("midas_record_id", "midas_file_name", "midas_iscontrol", "midas_distance"),
                *("midas_path", "midas_gender", "midas_age", "midas_fitzpatrick"),
                "midas_location",
            ),
            ("midas_file_name",),
            rules=(
                odd_rows.one_of("midas_distance", tuple(VIEWS)),
                odd_rows.one_of("midas_iscontrol", ("yes", "no")),
            ),
            holds="one row per photograph: patient, distance, pathology, person",
        ),
    ),
    targets=(
        Target(
            "malignant",
            f"named malignant by the pathologist; {skin.PRECANCER}; what is named neither benign "
            "nor malignant is empty",
            "malignant",
        ),
    ),
    access="agreement",
    licence="Not known: see the agreement at its address",
    facts_from="columns, distances, spelling of pathologies and counts, checked there against a "
    "digest of the table: ml/evaluation/mra_midas.py of github.com/aozbas/CLEAR; "
    "patients: https://www.medrxiv.org/content/10.1101/2024.06.27.24309562v1",
    url="https://doi.org/10.71718/15nz-jv40",
    citation="Chiou et al., Multimodal Image Dataset for AI-based Skin Cancer (MIDAS) "
    "benchmarking, NEJM AI 2025, https://doi.org/10.1056/aidbp2400732",
    images=3_416,
    layout=("release_midas.csv (or .xlsx)", "images/s-prd-462542531.jpg"),
    splits="None.",
    attributes={**skin.COMMON, **skin.FITZPATRICK},
    confounders=(
        (
            "A lesion has up to three photographs or more (`view`): each is a case, since the "
            "table does not number lesions. Keep one with --view."
        ),
        "The paper has 3,830 photographs of 796 patients, the released table 3,416.",
        "About 50 names in the table fit no file, or only its beginning: these rows are left out.",
        "Controls (503 rows) are lesions without a biopsy: no label, left out by default.",
        "Nine of ten patients have skin of type I or II.",
        "Sexes differ within some patients.",
    ),
    options=(
        Option(
            "controls",
            "Lesions without a biopsy, which have no label: left out, or kept.",
            "without",
            ("without", "with"),
        ),
    ),
    class_column=skin.CLASS,
    classes=CLASSES,
)
