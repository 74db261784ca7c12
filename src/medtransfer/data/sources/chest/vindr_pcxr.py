"""VinDr-PCXR (PediCXR): chest radiographs of children under ten, each read by one radiologist."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.header_table import read_headers
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.source import PATH, Download, ImportedSource, Source, Table, Target

SHARED = {
    "No finding": "No Finding",
    "Bronchitis": "",
    "Brocho-pneumonia": "Pneumonia",
    "Other disease": "",
    "Bronchiolitis": "",
    "Situs inversus": "",
    "Pneumonia": "Pneumonia",
    "Pleuro-pneumonia": "Pneumonia",
    "Diagphramatic hernia": "",
    "Tuberculosis": "",
    "Congenital emphysema": "",
    "CPAM": "",
    "Hyaline membrane disease": "",
    "Mediastinal tumor": "",
    "Lung tumor": "",
}
"""The diseases in the tables' own spelling, and their shared names. Hernias and emphysema here are
congenital, and not what the sets of adults mean."""
RULES = odd_rows.labels(tuple(SHARED))
PEOPLE = {"PatientSex": "_sex", "PatientAge": "_age"}
"""Entries of the DICOM headers."""
NOTE = (
    "There is no patient id: each image counts as a patient of its own. `medtransfer check` finds "
    "equal files."
)


def read(download: Download) -> ImportedSource:
    """Rows of both parts with their files; sex and age from the headers."""
    parts = [
        cells.labels(table, [name for name in SHARED if name in table.columns]).with_columns(
            split=pl.lit(split)
        )
        for split in ("train", "test")
        if (table := download.tables.get(split)) is not None
    ]
    rows = pl.concat(parts, how="diagonal")
    twice = rows["image_id"].is_duplicated().sum()
    download.refuse([f"{twice:,} rows name an image that is in both parts"] if twice else [])
    name = pl.col("image_id")
    rows = rows.with_columns(name.alias(KEY), case_id=name, patient_id=name)
    rows, join = locate(rows, download, r"([^/]+)\.(?:dicom|dcm|png|jpe?g)$", "images")
    headers = read_headers(download, rows[PATH], PEOPLE)
    rows = rows.join(headers.frame, on=PATH, how="left", maintain_order="left")
    rows, ages = cells.with_age(rows, pl.col("_age"))
    rows = rows.with_columns(cells.sex("_sex")).drop("_sex", "_age")
    return ImportedSource(rows, (join,), (), (*coverage(join), NOTE, *headers.notes, *ages))


def _table(split: str, holds: str, *, needed: bool) -> Table:
    return Table(
        split,
        (f"image_labels_{split}.csv",),
        ("image_id", "No finding", "Pneumonia"),
        ("image_id",),
        optional=tuple(SHARED),
        rules=RULES,
        needed=needed,
        holds=holds,
    )


SOURCE = Source(
    name="vindr-pcxr",
    title="VinDr-PCXR (PediCXR)",
    domain="chest",
    read=read,
    tables=(
        _table("train", "one row per image: diseases, by one of three radiologists", needed=True),
        _table("test", "the same for its test part", needed=False),
    ),
    targets=tuple(
        Target(name, "said by the radiologist who read the film", shared)
        for name, shared in SHARED.items()
    ),
    access="agreement",
    licence="Restricted access at PhysioNet, by its data use agreement",
    facts_from="https://www.physionet.org/content/vindr-pcxr/ and "
    "https://link.springer.com/article/10.1038/s41597-023-02102-5; columns and layout: "
    "radharmony/harmonizer/vindr_pcxr of github.com/f10409/RadHarmony",
    url="https://physionet.org/content/vindr-pcxr/",
    citation="Pham et al., PediCXR: An open, large-scale chest radiograph dataset for "
    "interpretation of common thoracic diseases in children, Scientific Data 2023",
    images=9_125,
    layout=(
        "image_labels_train.csv, image_labels_test.csv",
        "train/<image_id>.dicom",
    ),
    splits="7,728 images are train and 1,397 are test; it has no tuning part.",
    attributes={**cells.SEX, **cells.AGE_COLUMNS},
    confounders=(
        "All are children under ten: `age_band` has one value, and `age` counts whole years.",
        "Each film has one reader: who reads it moves the label.",
        "Nine of the fifteen diseases have fewer than twenty training films each.",
        "Boxes (annotations_train.csv) name 36 local findings; they are not read.",
    ),
)
