"""VinDr-CXR: chest radiographs of two hospitals in Hanoi, each read by three radiologists."""

import polars as pl

from medtransfer.data.sources import odd_rows
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.source import Download, ImportedSource, Option, Source, Table, Target

SHARED = {
    "Aortic enlargement": "",
    "Atelectasis": "Atelectasis",
    "Calcification": "",
    "Cardiomegaly": "Cardiomegaly",
    "Clavicle fracture": "Fracture",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
    "Emphysema": "Emphysema",
    "Enlarged PA": "",
    "ILD": "",
    "Infiltration": "Infiltration",
    "Lung Opacity": "Lung Opacity",
    "Lung cavity": "",
    "Lung cyst": "",
    "Mediastinal shift": "",
    "Nodule/Mass": "Lung Lesion",
    "Pleural effusion": "Effusion",
    "Pleural thickening": "Pleural_Thickening",
    "Pneumothorax": "Pneumothorax",
    "Pulmonary fibrosis": "Fibrosis",
    "Rib fracture": "Fracture",
    "Other lesion": "",
    "COPD": "",
    "Lung tumor": "",
    "Pneumonia": "Pneumonia",
    "Tuberculosis": "",
    "Other disease": "",
    "No finding": "No Finding",
}
"""Findings of both editions, and their shared names."""
KAGGLE = (
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Consolidation",
    "ILD",
    "Infiltration",
    "Lung Opacity",
    "Nodule/Mass",
    "Other lesion",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
    "No finding",
)
"""The fifteen classes of the challenge."""
SPELLINGS = {"Other diseases": "Other disease", "Other disease(s)": "Other disease"}
FLAGS = (*SHARED, *SPELLINGS)
FLAG_RULES = tuple(odd_rows.one_of(name, ("0", "1")) for name in FLAGS)
NOTE = (
    "There is no patient id: each image counts as a patient of its own. `medtransfer check` finds "
    "equal files."
)


def read(download: Download) -> ImportedSource:
    """One row per image, its readers' statements made one."""
    boxes, train = download.tables.get("boxes"), download.tables.get("train")
    if boxes is None and train is None:
        download.refuse(["neither train.csv nor image_labels_train.csv is below the folder"])
    parts: list[pl.DataFrame] = []
    rule = download.options["readers"]
    if train is not None:
        parts.append(_agreed(_flags(train), rule, "train"))
        if (test := download.tables.get("test")) is not None:
            parts.append(_agreed(_flags(test), rule, "test"))
    elif boxes is not None:
        read_by = boxes.group_by("image_id", "rad_id").agg(
            (pl.col("class_name") == name).any().cast(pl.Int64).alias(name) for name in KAGGLE
        )
        parts.append(_agreed(read_by, rule, ""))
    rows = pl.concat(parts, how="diagonal").with_columns(pl.col("image_id").alias(KEY))
    rows = rows.with_columns(case_id=pl.col("image_id"), patient_id=pl.col("image_id"))
    rows, join = locate(rows, download, r"([^/]+)\.(?:dicom|dcm|png|jpg)$", "images")
    return ImportedSource(rows, (join,), (), (*coverage(join), NOTE))


def _flags(table: pl.DataFrame) -> pl.DataFrame:
    """The findings of a table as numbers, under one spelling."""
    table = table.rename({a: b for a, b in SPELLINGS.items() if a in table.columns})
    named = [name for name in SHARED if name in table.columns]
    return table.select("image_id", *(pl.col(name).cast(pl.Int64) for name in named))


def _agreed(read_by: pl.DataFrame, rule: str, split: str) -> pl.DataFrame:
    """One row per image from one row per image and reader."""
    named = [name for name in SHARED if name in read_by.columns]
    share = [pl.col(name).mean().alias(name) for name in named]
    shares = read_by.group_by("image_id").agg(share).sort("image_id")
    match rule:
        case "any":
            cell = [pl.when(pl.col(n) > 0).then(1).otherwise(0).alias(n) for n in named]
        case "all":
            cell = [
                pl.when(pl.col(n) == 1).then(1).when(pl.col(n) == 0).then(0).otherwise(-1).alias(n)
                for n in named
            ]
        case _:
            cell = [pl.when(pl.col(n) > 0.5).then(1).otherwise(0).alias(n) for n in named]
    rows = shares.with_columns(cell).with_columns(pl.col(named).cast(pl.String))
    return rows.with_columns(split=pl.lit(split)) if split else rows


SOURCE = Source(
    name="vindr-cxr",
    title="VinDr-CXR",
    domain="chest",
    read=read,
    tables=(
        Table(
            "boxes",
            ("train.csv",),
            ("image_id", "class_name", "rad_id"),
            rules=(odd_rows.one_of("class_name", KAGGLE),),
            unit=("image_id",),
            needed=False,
            holds="the edition of Kaggle: a row per box and reader",
        ),
        Table(
            "train",
            ("image_labels_train.csv",),
            ("image_id", "rad_id", "No finding"),
            ("image_id", "rad_id"),
            optional=FLAGS,
            rules=FLAG_RULES,
            unit=("image_id",),
            needed=False,
            holds="the edition of PhysioNet: a row per image and reader",
        ),
        Table(
            "test",
            ("image_labels_test.csv",),
            ("image_id", "No finding"),
            ("image_id",),
            optional=FLAGS,
            rules=FLAG_RULES,
            unit=("image_id",),
            needed=False,
            holds="its test part: the consensus of five",
        ),
    ),
    targets=tuple(
        Target(name, "said by the readers, as option readers tells", shared)
        for name, shared in SHARED.items()
    ),
    access="credentialed",
    licence="PhysioNet Credentialed Health Data License 1.5.0",
    url="https://physionet.org/content/vindr-cxr/",
    citation="Nguyen et al., VinDr-CXR: An open dataset of chest X-rays with radiologist's "
    "annotations, Scientific Data 2022",
    facts_from="train.csv of Kaggle, as it comes with torchxrayvision 1.5.7",
    images=18_000,
    layout=(
        "train.csv, or annotations/image_labels_train.csv and …_test.csv",
        "train/000434271f63a053c4128a0ba6352c7f.dicom",
    ),
    splits="PhysioNet's train and test; it has no tuning part. Kaggle's test part has no labels.",
    confounders=(
        "Seventeen readers, three to an image: who reads it moves the label.",
        "Images of the two hospitals are not told apart.",
        "Without a patient id the split is by image.",
    ),
    options=(
        Option(
            "readers",
            "How three readers become one label: the majority, any of them, or "
            "all of them (else -1, uncertain).",
            "majority",
            ("majority", "any", "all"),
        ),
    ),
)
