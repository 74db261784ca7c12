"""CXR-LT 2024: forty labels of the films of MIMIC-CXR-JPG, many of them rare."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.chest.mimic_cxr import FILE, LATERAL_SPELLINGS
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.source import (
    Download,
    ImportedSource,
    Option,
    Overlap,
    Source,
    Table,
    Target,
)

SHARED = {
    "Adenopathy": "",
    "Atelectasis": "Atelectasis",
    "Azygos Lobe": "",
    "Calcification of the Aorta": "",
    "Cardiomegaly": "Cardiomegaly",
    "Clavicle Fracture": "",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
    "Emphysema": "Emphysema",
    "Enlarged Cardiomediastinum": "Enlarged Cardiomediastinum",
    "Fibrosis": "Fibrosis",
    "Fissure": "",
    "Fracture": "Fracture",
    "Granuloma": "",
    "Hernia": "Hernia",
    "Hydropneumothorax": "",
    "Infarction": "",
    "Infiltration": "Infiltration",
    "Kyphosis": "",
    "Lobar Atelectasis": "",
    "Lung Lesion": "Lung Lesion",
    "Lung Opacity": "Lung Opacity",
    "Mass": "Mass",
    "Nodule": "Nodule",
    "Normal": "",
    "Pleural Effusion": "Effusion",
    "Pleural Other": "",
    "Pleural Thickening": "Pleural_Thickening",
    "Pneumomediastinum": "",
    "Pneumonia": "Pneumonia",
    "Pneumoperitoneum": "",
    "Pneumothorax": "Pneumothorax",
    "Pulmonary Embolism": "",
    "Pulmonary Hypertension": "",
    "Rib Fracture": "",
    "Round(ed) Atelectasis": "",
    "Subcutaneous Emphysema": "",
    "Support Devices": "Support Devices",
    "Tortuous Aorta": "",
    "Tuberculosis": "",
}
"""The labels of task 1 in the tables' own spelling, and their shared names. `Normal` took the place
of `No Finding` of 2023, and no page says what differs: it is not shared."""
RARE = frozenset(
    {
        *("Adenopathy", "Azygos Lobe", "Clavicle Fracture", "Fissure", "Granuloma"),
        *("Hydropneumothorax", "Infarction", "Kyphosis", "Lobar Atelectasis"),
        *("Pulmonary Embolism", "Pulmonary Hypertension", "Rib Fracture"),
        *("Round(ed) Atelectasis", "Tuberculosis"),
    }
)
"""Labels of task 1 that the radiologists of task 2 did not read for."""
READ = tuple(name for name in SHARED if name not in RARE)
PARTS = {"train": "train", "development": "tune", "test": "test"}
"""Tables of task 1, and the split of each."""
GOLD = ("development_gold", "test_gold")
PATH_TAIL = r"p\d+/s\d+/[^/]+\.(?:jpg|png|dcm)$"


def read(download: Download) -> ImportedSource:
    """Rows of the tables of one task with their films; ids from the films' paths."""
    by_people = download.options["labels"] == "radiologists"
    names = READ if by_people else tuple(SHARED)
    parts = [
        cells.labels(table, names).with_columns(split=pl.lit("test" if by_people else split))
        for part, split in (dict.fromkeys(GOLD, "test") if by_people else PARTS).items()
        if (table := download.tables.get(part)) is not None
    ]
    wanted = "test_labeled_task2.csv" if by_people else "train_labeled.csv"
    download.refuse([] if parts else [f"{wanted} is not below the folder"])
    path = pl.col("fpath")
    rows = pl.concat(parts, how="diagonal").with_columns(
        path.str.extract(FILE).alias(KEY),
        image_id=path.str.extract(FILE),
        case_id=path.str.extract(r"/(s\d+)/"),
        patient_id=path.str.extract(r"/(p\d+)/s\d+/"),
    )
    twice = int(rows["image_id"].is_duplicated().sum())
    download.refuse([f"{twice:,} rows name a film that is in several parts"] if twice else [])
    if "ViewPosition" in rows.columns:
        rows = rows.with_columns(view=pl.col("ViewPosition").replace(LATERAL_SPELLINGS))
    rows, join = locate(rows, download, FILE)
    return ImportedSource(rows, (join,), (), coverage(join))


def _table(part: str, file: str, names: tuple[str, ...], holds: str) -> Table:
    return Table(
        part,
        (file,),
        ("fpath", *names),
        ("fpath",),
        optional=("ViewPosition",),
        rules=(
            odd_rows.shaped("fpath", PATH_TAIL, "is no path such as files/p10/p100…/s50…/…jpg"),
            *odd_rows.labels(names),
        ),
        needed=False,
        holds=holds,
    )


_ALL = tuple(SHARED)
SOURCE = Source(
    name="cxr-lt",
    title="CXR-LT 2024",
    domain="chest",
    read=read,
    tables=(
        _table("train", "train_labeled.csv", _ALL, "labels of the training part"),
        _table("development", "development_labeled_task1.csv", _ALL, "labels of the tuning part"),
        _table("test", "test_labeled_task1.csv", _ALL, "labels of the test part"),
        _table(
            GOLD[0],
            "development_labeled_task2.csv",
            READ,
            "labels of task 2, for labels=radiologists",
        ),
        _table(GOLD[1], "test_labeled_task2.csv", READ, "labels of task 2, likewise"),
    ),
    targets=tuple(
        Target(name, "found in the study's report, or by labels=radiologists", shared)
        for name, shared in SHARED.items()
    ),
    access="credentialed",
    licence="Credentialed access at PhysioNet; the films have the licence of MIMIC-CXR-JPG",
    facts_from="the page of version 2.0.0 at PhysioNet; columns, tables and 258,871 rows of "
    "training: prelim_analysis.ipynb and configs/ of github.com/UoS-HDS/cxr-lt-diss; columns of "
    "task 2: code/config.py of github.com/yamagishi0824/cxrlt24-multiview-pp",
    url="https://physionet.org/content/cxr-lt-iccv-workshop-cvamd/2.0.0/",
    citation="Holste et al., CXR-LT: Multi-Label Long-Tailed Classification on Chest X-Rays 2.0.0, "
    "PhysioNet 2025, doi 10.13026/ryj9-x506; Lin et al., CXR-LT 2024, Medical Image Analysis 2025",
    images=377_110,
    layout=(
        "cxr-lt-2024/train_labeled.csv, development_labeled_task1.csv, test_labeled_task1.csv",
        "files/p10/p10000032/s50414267/02aa804e-bde0afdd.jpg of MIMIC-CXR-JPG",
    ),
    splits="Of task 1: development is tune. With labels=radiologists all films are test.",
    confounders=(
        "Labels are of the study: a finding seen from one side is also the label of the other.",
        "Labels of task 1 are mined from reports by text; every label is 1 or 0, none uncertain.",
        "`Normal` is no shared name: what tells it from `No Finding` of 2023 is not published.",
    ),
    known_as=("cxrlt",),
    overlaps=(
        Overlap("cxrlt", "mimic", "CXR-LT gives other labels to the films of MIMIC-CXR-JPG"),
    ),
    options=(
        Option(
            "labels",
            "Which labels: 40 mined from reports, or the 26 of task 2 that radiologists gave to a "
            "part of the films.",
            "reports",
            ("reports", "radiologists"),
        ),
    ),
)
