"""CMMD: mammograms of two hospitals in Guangdong, every lesion proven by biopsy."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.breast import mammography
from medtransfer.data.sources.breast.mammography import EXAM
from medtransfer.data.sources.header_table import read_headers
from medtransfer.data.sources.source import (
    PATH,
    Download,
    ImportedSource,
    Join,
    Option,
    Source,
    Table,
)
from medtransfer.data.sources.source import Target as Label
from medtransfer.errors import ConfigError, plural

FILE = "CMMD_clinicaldata_revision"
COLUMNS = ("ID1", "LeftRight", "Age", "abnormality", "classification")
CLASSES = {"Malignant": "1", "Benign": "0"}
FOUND = {"mass": ("1", "0"), "calcification": ("0", "1"), "both": ("1", "1")}
"""`abnormality` → whether there is a mass, and a calcification."""
TARGETS = ("malignant", "mass", "calcification")
PATIENT = r"(?:^|[/_])(D[12]-\d{4})(?:[/_.]|$)"
SIDE = r"(?:^|[_-])([LR])(?:[_.-])"
ENTRIES = {"ImageLaterality": "_side", "ViewPosition": "_view", "ViewCodeSequence": "_code"}
"""Entries of the DICOM headers: side, view, and the view as a code."""
TWINS = (
    "Files equal byte by byte are known under several patients here, some with different labels: "
    "`medtransfer check` finds them."
)
SIDELESS = (
    "The sides of {} are neither in the files' names nor in DICOM headers: such an image has its "
    "exam's label, 1 if any breast of the patient is malignant."
)


def read(download: Download) -> ImportedSource:
    """Images by the patient in their path, with what the table says of patient and side."""
    table = download.tables["clinical"]
    images = _images(download)
    breasts = table.with_columns(
        pl.col("ID1").alias("patient_id"),
        pl.col("LeftRight").alias("laterality"),
        cells.renamed("classification", CLASSES, "malignant"),
        cells.renamed("abnormality", {k: v[0] for k, v in FOUND.items()}, "mass"),
        cells.renamed("abnormality", {k: v[1] for k, v in FOUND.items()}, "calcification"),
    )
    biopsied = images.join(breasts, on="patient_id", how="semi")
    biopsied, unreadable = _with_headers(biopsied, download)
    if biopsied.is_empty():
        download.refuse([f"none of the {len(images):,} image files is of a patient of the table"])
    missing = breasts.join(images, on="patient_id", how="anti")["patient_id"].n_unique()
    patients = biopsied["patient_id"].n_unique()
    join = Join(
        left="patients",
        right="image files",
        key="patient in the path",
        matched=patients,
        left_only=missing,
        right_only=len(images) - len(biopsied),
    )
    notes = [TWINS, *unreadable]
    if missing:
        notes.append(
            f"The download is partial: {patients:,} of {plural(patients + missing, 'patient')} "
            "have image files here; the others are left out."
        )
    sideless = biopsied["laterality"].null_count()
    if sideless and download.options["case"] == "breast":
        raise ConfigError(
            f"{SIDELESS.format(plural(sideless, 'image'))} Import with --option case=exam."
        )
    if sideless:
        notes.append(SIDELESS.format(plural(sideless, "image")))
    rows, ages = cells.with_age(_labelled(biopsied, breasts), pl.col("Age"))
    rows = rows.with_columns(
        pl.col("patient_id").alias(EXAM), pl.col("patient_id").str.slice(0, 2).alias("part")
    )
    rows = mammography.with_cases(rows, TARGETS, download.options["case"])
    return ImportedSource(rows, (join,), (), (*notes, *ages))


def _images(download: Download) -> pl.DataFrame:
    """Image files with a patient in their path; side and view where the name says them."""
    path = pl.col(PATH)
    name = path.str.extract(r"([^/]+)$")
    films = download.pictures.with_columns(
        path.str.extract(PATIENT).alias("patient_id"),
        path.str.extract(r"(?:^|[/_])(D[12]-\d{4}(?:[/_].*)?)\.[A-Za-z]+$").alias("image_id"),
        name.str.extract(SIDE).alias("laterality"),
        name.str.extract(r"(?:^|[_-])(CC|MLO)(?:[_.-])").alias("view"),
    )
    films = films.filter(pl.col("patient_id").is_not_null())
    if films.is_empty():
        download.refuse(["no image file with a patient such as D1-0001 in its path is there"])
    return films


def _with_headers(images: pl.DataFrame, download: Download) -> tuple[pl.DataFrame, list[str]]:
    """Side and view from the DICOM headers where the file's name does not say them."""
    sideless = images.filter(pl.col("laterality").is_null() | pl.col("view").is_null())
    headers = read_headers(download, sideless[PATH], ENTRIES)
    code = pl.col("_code")
    view = pl.when(code.str.contains("OBLIQUE")).then(pl.lit("MLO"))
    view = view.when(code.str.contains(r"CRANIO.?CAUDAL")).then(pl.lit("CC")).otherwise("_view")
    entries = headers.frame.select(
        PATH,
        _side=pl.when(pl.col("_side").is_in(["L", "R"])).then("_side"),
        _view=view,
    )
    joined = images.join(entries, on=PATH, how="left", maintain_order="left").with_columns(
        pl.coalesce("laterality", "_side").alias("laterality"),
        pl.coalesce("view", "_view").alias("view"),
    )
    return joined.drop("_side", "_view"), headers.notes


def _labelled(images: pl.DataFrame, breasts: pl.DataFrame) -> pl.DataFrame:
    """Labels of an image's breast where its side is known, of its patient where it is not."""
    wanted = [name for name in (*TARGETS, "subtype") if name in breasts.columns]
    sides = breasts.select("patient_id", "laterality", *wanted)
    both = breasts.group_by("patient_id").agg(
        *(mammography.strongest(name) for name in TARGETS),
        *(pl.col(name).drop_nulls().sort().first() for name in wanted if name not in TARGETS),
    )
    ages = breasts.group_by("patient_id").agg(pl.col("Age").drop_nulls().sort().first())
    sided = images.filter(pl.col("laterality").is_not_null())
    sided = sided.join(sides, on=["patient_id", "laterality"], how="left")
    rest = images.filter(pl.col("laterality").is_null()).join(both, on="patient_id", how="left")
    rows = pl.concat([sided, rest.select(sided.columns)]).join(ages, on="patient_id", how="left")
    return rows.sort("image_id")


SOURCE = Source(
    name="cmmd",
    title="CMMD (Chinese Mammography Database)",
    domain="breast",
    read=read,
    tables=(
        Table(
            "clinical",
            (f"{FILE}.xlsx", f"{FILE}.csv"),
            COLUMNS,
            ("ID1", "LeftRight"),
            optional=("subtype",),
            rules=(
                odd_rows.one_of("LeftRight", ("L", "R")),
                odd_rows.one_of("classification", tuple(CLASSES)),
                odd_rows.one_of("abnormality", tuple(FOUND)),
            ),
            unit=("ID1",),
            holds="one row per breast with a lesion: kind, classification, subtype",
        ),
    ),
    targets=(
        Label("malignant", "the lesion is malignant by biopsy", "malignant"),
        Label("mass", "the lesion is a mass"),
        Label("calcification", "the lesion is a calcification"),
    ),
    licence="CC BY 4.0",
    facts_from="columns: assets/data/cmmd_raw_label.csv, counts: docs/DATASETS.md of "
    "github.com/dangnh0611/kaggle_rsna_breast_cancer",
    url="https://doi.org/10.7937/tcia.eqde-4b16",
    citation="Cui et al., The Chinese Mammography Database (CMMD), The Cancer Imaging Archive 2021",
    images=5_202,
    patients=1_775,
    layout=(
        "CMMD_clinicaldata_revision.xlsx (or saved as .csv)",
        "CMMD/D1-0001/<study>/<series>/1-1.dcm",
    ),
    splits="None.",
    tells_label=("subtype",),
    attributes={
        **mammography.EXAMS,
        **cells.AGE_COLUMNS,
        "subtype": "Molecular subtype of a cancer: it tells the label, never a group to report by.",
        "part": "D1 or D2, as the id begins.",
    },
    confounders=(
        "Molecular subtypes are of one part of the patients: `part` may tell the label.",
        TWINS,
        "Files are 8-bit, made for display, with a SIGMOID VOI function.",
        "Every patient has a lesion: a breast that is not in the table has no label.",
    ),
    options=(
        Option(
            "case",
            "What gets a prediction: each exam (1 where either breast is 1), each "
            "breast (where the DICOM headers or the files' names say the side), or each image.",
            "exam",
            mammography.CASE.allowed,
        ),
    ),
)
