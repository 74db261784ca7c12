"""PadChest: chest radiographs of San Juan Hospital, Alicante, with findings as lists of terms."""

import polars as pl

from medtransfer.data.sources import cells
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
from medtransfer.errors import plural
from medtransfer.tables.schema import rows_of

TERMS = {
    "Atelectasis": (
        "atelectasis",
        "laminar atelectasis",
        "lobar atelectasis",
        "total atelectasis",
        "atelectasis basal",
        "segmental atelectasis",
        "round atelectasis",
    ),
    "Consolidation": ("consolidation", "air bronchogram"),
    "Infiltration": (
        "infiltrates",
        "interstitial pattern",
        "ground glass pattern",
        "reticular interstitial pattern",
        "reticulonodular interstitial pattern",
        "miliary opacities",
        "alveolar pattern",
        "consolidation",
        "air bronchogram",
    ),
    "Pneumothorax": ("pneumothorax", "hydropneumothorax"),
    "Edema": ("pulmonary edema",),
    "Emphysema": ("emphysema",),
    "Fibrosis": ("pulmonary fibrosis",),
    "Effusion": (
        "pleural effusion",
        "loculated pleural effusion",
        "hydropneumothorax",
        "loculated fissural effusion",
    ),
    "Pneumonia": ("pneumonia", "atypical pneumonia"),
    "Pleural_Thickening": (
        "pleural thickening",
        "apical pleural thickening",
        "calcified pleural thickening",
    ),
    "Cardiomegaly": ("cardiomegaly",),
    "Nodule": ("nodule", "multiple nodules"),
    "Mass": ("mass", "pulmonary mass", "mediastinal mass"),
    "Hernia": ("hiatal hernia",),
    "Fracture": (
        "rib fracture",
        "callus rib fracture",
        "vertebral fracture",
        "fracture",
        "clavicle fracture",
        "humeral fracture",
    ),
    "No Finding": ("normal",),
}
"""Target → the terms of PadChest's tree that make it 1, whole terms, no parts of words."""
NO_ANSWER = ("exclude", "suboptimal study")
"""Terms that say that a film was not judged: its labels are empty."""
COLUMNS = (
    "ImageID",
    "StudyDate_DICOM",
    "StudyID",
    "PatientID",
    "PatientBirth",
    "PatientSex_DICOM",
    "Projection",
    "MethodLabel",
    "Labels",
)
VIEWS = {"AP_horizontal": "AP Supine", "EXCLUDE": None}
"""Projections that are written otherwise."""
FILE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"


def read(download: Download) -> ImportedSource:
    """Rows with their files; lists of terms become a column per target."""
    rows = download.tables["labels"]
    download.refuse(
        _list_faults(rows)
        + cells.value_faults(rows, "MethodLabel", ("Physician", "RNN_model"), FILE)
    )
    total = len(rows)
    kept: tuple[str, ...] = ()
    if download.options["labels"] == "physician":
        rows = rows.filter(pl.col("MethodLabel") == "Physician")
        kept = (kept_text(len(rows), total, "labels = physician"),)
    rows = rows.hstack(_targets(rows["Labels"]))
    unjudged = int(rows["No Finding"].null_count())
    year = pl.col("StudyDate_DICOM").str.slice(0, 4).cast(pl.Float64, strict=False)
    born = pl.col("PatientBirth").cast(pl.Float64, strict=False)
    rows, ages = cells.with_age(rows, year - born)
    rows = rows.with_columns(
        pl.col("ImageID").alias(KEY),
        cells.sex("PatientSex_DICOM"),
        image_id=pl.col("ImageID").str.replace(r"\.png$", ""),
        case_id=pl.col("StudyID"),
        patient_id=pl.col("PatientID"),
        view=pl.col("Projection").replace(VIEWS),
        label_by=pl.col("MethodLabel").replace({"RNN_model": "network", "Physician": "physician"}),
    )
    rows, join = locate(rows, download, r"([^/]+\.png)$")
    notes = [*coverage(join), *ages]
    if unjudged:
        notes.append(f"{plural(unjudged, 'row')} without a judgement: labels empty, not normal.")
    empty = _empty_files(rows, download)
    if len(empty):
        rows = rows.join(empty, on="path", how="anti")
        notes.append(f"{plural(len(empty), 'image file')} without content: left out.")
    return ImportedSource(rows, (join,), kept, tuple(notes))


def _list_faults(rows: pl.DataFrame) -> list[str]:
    """Cells that are no list of terms in quotes."""
    term = r"""(?:'[^']*'|"[^"]*"|nan)"""
    shape = rf"^\[(?:\s*{term}\s*,)*\s*{term}?\s*\]$"
    odd = rows.filter(pl.col("Labels").is_not_null() & ~pl.col("Labels").str.contains(shape))
    if odd.is_empty():
        return []
    return [f"{FILE}: 'Labels' is no list such as ['normal'] in {rows_of(odd)}"]


def _targets(lists: pl.Series) -> pl.DataFrame:
    """``1`` and ``0`` by term; empty where there is no list, an empty one, or no judgement."""
    terms = pl.DataFrame({"terms": lists}).select(
        pl.col("terms")
        .str.extract_all(r"""'[^']*'|"[^"]*\"""")
        .list.eval(
            pl.element()
            .str.slice(1, pl.element().str.len_chars() - 2)
            .str.strip_chars()
            .str.to_lowercase()
        )
    )["terms"]
    terms = terms.list.set_difference([""])
    judged = terms.is_not_null() & (terms.list.len() > 0).fill_null(value=False)
    for word in NO_ANSWER:
        judged &= ~terms.list.contains(word).fill_null(value=False)
    frame = pl.DataFrame({"terms": terms, "judged": judged})
    mentions = {
        name: pl.col("terms").list.set_intersection(list(words)).list.len() > 0
        for name, words in TERMS.items()
    }
    return frame.select(
        pl.when("judged").then(mentioned.cast(pl.Int8)).cast(pl.String).alias(name)
        for name, mentioned in mentions.items()
    )


def _empty_files(rows: pl.DataFrame, download: Download) -> pl.DataFrame:
    """Files of no bytes: the archive holds some."""
    paths = [path for path in rows["path"] if not (download.folder / path).stat().st_size]
    return pl.DataFrame({"path": paths}, schema={"path": pl.String})


SOURCE = Source(
    name="padchest",
    title="PadChest",
    domain="chest",
    read=read,
    tables=(
        Table(
            "labels",
            (FILE + ".gz", "PADCHEST_chest_x_ray_images_labels*.csv.gz"),
            COLUMNS,
            ("ImageID",),
            holds="terms, views, dates",
        ),
    ),
    targets=tuple(
        Target(name, f"any of: {', '.join(words)}", name) for name, words in TERMS.items()
    ),
    access="registration",
    licence="PadChest Dataset Research Use Agreement; no redistribution",
    url="https://bimcv.cipf.es/bimcv-projects/padchest/",
    citation="Bustos et al., PadChest: A large chest x-ray image dataset with multi-label "
    "annotated reports, Medical Image Analysis 2020",
    images=160_868,
    patients=67_000,
    layout=(FILE, "0/216840111366964012283393834152009033102258826_00-059-087.png"),
    splits="None.",
    attributes={
        **cells.SEX,
        **cells.AGE_COLUMNS,
        "label_by": "physician or network: who labelled the report.",
    },
    confounders=(
        "About three quarters of the reports were labelled by a network.",
        "An empty list is a film without a judgement, not a normal one.",
        "Images are 16-bit PNG of very different ranges.",
        "Age is the year of the study less the year of birth.",
    ),
    options=(
        Option(
            "labels", "All reports, or those that physicians labelled.", "all", ("all", "physician")
        ),
    ),
)
