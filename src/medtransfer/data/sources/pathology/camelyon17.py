"""Camelyon17-WILDS: patches of lymph nodes from five hospitals, with tumour or not."""

import polars as pl

from medtransfer.data.sources import odd_rows
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.source import Download, ImportedSource, Source, Table, Target

CENTERS = ("0", "1", "2", "3", "4")
PLACE = ("patient", "node", "x_coord", "y_coord")
"""Columns that name a patch, and its file."""


def read(download: Download) -> ImportedSource:
    """Rows of ``metadata.csv`` with their patches; a hospital is a cohort."""
    name = pl.format("patch_patient_{}_node_{}_x_{}_y_{}", *PLACE)
    rows = download.tables["metadata"].with_columns(
        name.alias(KEY),
        image_id=name,
        case_id=name,
        patient_id=pl.col("patient"),
        slide=pl.format("patient_{}_node_{}", "patient", "node"),
    )
    if not download.options["cohort"]:
        rows = rows.with_columns(cohort=pl.format("camelyon17-center{}", "center"))
    rows, join = locate(rows, download, r"([^/]+)\.png$")
    return ImportedSource(rows, (join,), (), coverage(join))


SOURCE = Source(
    name="camelyon17-wilds",
    title="Camelyon17-WILDS",
    domain="pathology",
    read=read,
    tables=(
        Table(
            "metadata",
            ("metadata.csv",),
            (*PLACE, "tumor", "center"),
            PLACE,
            rules=(odd_rows.one_of("tumor", ("0", "1")), odd_rows.one_of("center", CENTERS)),
            holds="one row per patch: patient, place, hospital, label",
        ),
    ),
    targets=(Target("tumor", "any tumour in the central 32 x 32 pixels", "tumor"),),
    access="open",
    licence="CC0",
    facts_from="wilds/datasets/camelyon17_dataset.py and "
    "dataset_preprocessing/camelyon17/generate_final_metadata.py of github.com/p-lambda/wilds",
    url="https://camelyon17.grand-challenge.org",
    citation="Bandi et al., From detection of individual metastases to classification of lymph "
    "node status at the patient level: the CAMELYON17 challenge, IEEE Transactions on Medical "
    "Imaging 2018",
    layout=(
        "metadata.csv",
        "patches/patient_004_node_4/patch_patient_004_node_4_x_3328_y_21792.png",
    ),
    splits="Left out: WILDS draws its validation part from the patches, so that a slide is in both "
    "parts. Train on some hospitals with `train_cohorts`; WILDS trains on 0, 3 and 4, validates "
    "on 1 and tests on 2.",
    attributes={"slide": "The slide that a patch was cut from."},
    confounders=(
        "Stains and scanners differ between hospitals and are what the set was made for.",
        "Half of each hospital's patches have tumour, which is no prevalence of a clinic.",
        "Patches of a slide look alike: resample patients, not patches.",
    ),
    known_as=("camelyon17",),
)
