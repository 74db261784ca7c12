"""CDD-CESM: contrast-enhanced mammograms from Egypt, each with its low-energy image."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.breast import mammography
from medtransfer.data.sources.breast.mammography import EXAM
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.source import (
    Download,
    ImportedSource,
    Option,
    Source,
    Table,
    Target,
    kept_text,
)

NAME, OUTCOME = "Image_name", "Pathology Classification/ Follow up"
OUTCOMES = {"Malignant": "1", "Benign": "0", "Normal": "0"}
KINDS = {"DM": "low-energy", "CESM": "subtracted"}
"""`Type` in the table → what the image shows."""
FILE = r"([^/]+?)\s*\.jpe?g$"
"""Name of an image; some have a blank before the ending."""
TARGETS = ("malignant", "birads_high")


def read(download: Download) -> ImportedSource:
    """Rows of the annotations of the asked kind, with their files."""
    table = download.tables["annotations"].with_columns(cells.renamed("Type", KINDS, "kind"))
    chosen = download.options["kind"]
    rows = table if chosen == "both" else table.filter(pl.col("kind") == chosen)
    kept: tuple[str, ...] = ()
    if len(rows) < len(table):
        kept = (kept_text(len(rows), len(table), f"kind = {chosen}"),)
    name = pl.col(NAME)
    highest = pl.col("BIRADS").str.extract_all(r"\d").list.max()
    rows = rows.with_columns(
        name.alias(KEY),
        pl.col("Patient_ID").alias(EXAM),
        cells.renamed(OUTCOME, OUTCOMES, "malignant"),
        highest.alias("birads"),
        image_id=name,
        patient_id=pl.col("Patient_ID"),
        laterality=name.str.extract(r"_([LR])_"),
        view=name.str.extract(r"_(CC|MLO)"),
        machine=pl.col("Machine"),
    )
    rows, ages = cells.with_age(rows.with_columns(mammography.high("birads")), pl.col("Age"))
    rows, join = locate(rows, download, FILE, "images")
    rows = mammography.with_cases(rows, TARGETS, download.options["case"])
    return ImportedSource(rows, (join,), kept, (*coverage(join), *ages))


SOURCE = Source(
    name="cdd-cesm",
    title="CDD-CESM",
    domain="breast",
    read=read,
    tables=(
        Table(
            "annotations",
            (
                "Radiology-manual-annotations.xlsx",
                "Radiology manual annotations.xlsx",
                "Radiology-manual-annotations.csv",
            ),
            (NAME, "Patient_ID", "Type", "Age", "BIRADS", "Machine", OUTCOME),
            (NAME,),
            rules=(
                odd_rows.shaped(NAME, r"_[LR]_", "names no side as P1_L_DM_MLO does"),
                odd_rows.one_of("Type", tuple(KINDS)),
                odd_rows.one_of(OUTCOME, tuple(OUTCOMES)),
                odd_rows.shaped("BIRADS", r"^\s*[0-6](?:\s*\$\s*[0-6])*\s*$", "is no BI-RADS"),
            ),
            holds="one row per image: patient, kind, BI-RADS, outcome (its first sheet)",
        ),
    ),
    targets=(
        Target("malignant", "malignant by pathology; normal by follow-up is 0", "malignant"),
        mammography.HIGH,
    ),
    licence="CC BY 4.0",
    facts_from="columns and values: stage1_process_cddcesm of github.com/dangnh0611/"
    "kaggle_rsna_breast_cancer; that BI-RADS of several findings are joined by $ and that names "
    "hold blanks: other public readers of the sheet",
    url="https://www.cancerimagingarchive.net/collection/cdd-cesm/",
    citation="Khaled et al., Categorized contrast enhanced mammography dataset for diagnostic and "
    "artificial intelligence research, Scientific Data 2022",
    images=2_006,
    patients=326,
    layout=(
        "Radiology-manual-annotations.xlsx",
        "Low energy images of CDD-CESM/P1_L_DM_MLO.jpg",
    ),
    splits="None.",
    tells_label=("birads",),
    attributes={
        **mammography.EXAMS,
        **cells.AGE_COLUMNS,
        **mammography.BIRADS,
        "kind": "`low-energy`, which is like a plain mammogram, or `subtracted`.",
        "machine": "Machine, in the set's own words.",
    },
    confounders=(
        "A third of the images is malignant: no screening.",
        "A breast with several findings has its highest BI-RADS.",
        "Density is not imported: its spelling could not be read anywhere.",
    ),
    options=(
        mammography.CASE,
        Option(
            "kind",
            "Which images: low-energy ones, which are like plain mammograms, subtracted ones, or "
            "both.",
            "low-energy",
            ("low-energy", "subtracted", "both"),
        ),
    ),
)
