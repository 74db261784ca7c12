"""PadChest: chest radiographs of San Juan Hospital, Alicante, with findings as lists of terms."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
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
UNCHANGED = "unchanged"
"""Term that compares with an earlier film, which is not named: 3,705 of 14,334 films have no other
term. Alone it is no judgement: in most of these the film before was abnormal."""
NORMAL = "normal"
TERM = r"""(?:'[^']*'|"[^"]*"|nan)"""
LIST = rf"^\[(?:\s*{TERM}\s*,)*\s*{TERM}?\s*\]$"
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
VIEWS = {"AP_horizontal": "AP Supine", "EXCLUDE": None, "UNK": None}
"""Projections that are written otherwise."""
FILE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"


def read(download: Download) -> ImportedSource:
    """Rows with their files; lists of terms become a column per target."""
    rows = download.tables["labels"]
    total = len(rows)
    kept: tuple[str, ...] = ()
    if download.options["labels"] == "physician":
        rows = rows.filter(pl.col("MethodLabel") == "Physician")
        kept = (kept_text(len(rows), total, "labels = physician"),)
    lists = _judged(rows["Labels"].unique())  # a tenth of the rows: many films have the same terms
    rows = rows.join(lists, on="Labels", how="left", nulls_equal=True, maintain_order="left")
    notes = _term_notes(rows)
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
    notes += [
        *ages,
        *cells.emptied(rows["PatientSex_DICOM"], rows["sex"], "Sex"),
        *cells.emptied(rows["Projection"], rows["view"], "View"),
    ]
    rows, join = locate(rows.drop(COLUMNS), download, r"([^/]+\.png)$")
    notes = [*coverage(join), *notes]
    empty = _empty_files(rows, download)
    if len(empty):
        rows = rows.join(empty, on="path", how="anti")
        notes.append(f"{plural(len(empty), 'image file')} without content: left out.")
    return ImportedSource(rows, (join,), kept, tuple(notes))


def _judged(lists: pl.Series) -> pl.DataFrame:
    """Lists of terms with a column per target, and what the terms say together.

    A target is empty where nothing is said of it: no list, an empty one, a film that was not
    judged, ``unchanged`` alone. Beside other terms ``unchanged`` leaves the absence of a term
    unsaid, and ``normal`` beside another term is no statement on `No Finding`.

    Args:
        lists: Texts such as ``['normal']``, each once. [N]

    Returns:
        The list, the targets, and `silent`: no judgement; `compared`: ``unchanged`` is among the
        terms; `alone`: it is the only one; `torn`: ``normal`` stands beside another term.
    """
    term = pl.col("terms")
    statements = term.list.set_difference([UNCHANGED])
    barred = term.list.set_intersection(list(NO_ANSWER)).list.len() > 0
    others = statements.list.set_difference([NORMAL]).list.len() > 0
    frame = pl.DataFrame({lists.name: lists, "terms": _terms(lists)}).with_columns(
        silent=((statements.list.len() == 0) | barred).fill_null(value=True),
        compared=term.list.contains(UNCHANGED).fill_null(value=False),
        torn=(term.list.contains(NORMAL) & others & ~barred).fill_null(value=False),
    )
    return frame.select(
        lists.name,
        *(_target(name, words) for name, words in TERMS.items()),
        "silent",
        "torn",
        alone=pl.col("compared") & (statements.list.len() == 0),
        compared=pl.col("compared") & ~pl.col("silent"),
    )


def _terms(lists: pl.Series) -> pl.Series:
    """Terms of each text, in small letters and without blanks."""
    term = pl.element().str.slice(1, pl.element().str.len_chars() - 2)
    term = term.str.strip_chars().str.to_lowercase()
    terms = lists.str.extract_all(r"""'[^']*'|"[^"]*\"""").list.eval(term)
    return terms.list.set_difference(pl.Series([[""]]))


def _target(name: str, words: tuple[str, ...]) -> pl.Expr:
    """``1`` or ``0`` where a list says it."""
    stated = pl.col("terms").list.set_intersection(list(words)).list.len() > 0
    said = ~pl.col("silent") & (stated | ~pl.col("compared"))
    if name == "No Finding":
        said &= ~pl.col("torn")
    return pl.when(said).then(stated.cast(pl.Int8)).cast(pl.String).alias(name)


def _term_notes(rows: pl.DataFrame) -> list[str]:
    """Counts of rows whose labels are empty in all or in part."""
    silent, alone, beside, torn = (
        int(rows[name].sum()) for name in ("silent", "alone", "compared", "torn")
    )
    notes: list[str] = []
    if silent:
        notes.append(
            f"{plural(silent, 'row')} without a judgement (of these {alone:,} say 'unchanged' and "
            "no more): labels empty, not normal."
        )
    if beside:
        notes.append(
            f"{plural(beside, 'row')} with 'unchanged' beside other terms: labels are 1 or empty, "
            "since findings of the earlier film are not repeated."
        )
    if torn:
        notes.append(
            f"{plural(torn, 'row')} with 'normal' beside a finding contradict themselves: "
            "'No Finding' is empty."
        )
    return notes


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
            rules=(
                odd_rows.shaped("Labels", LIST, "is no list such as ['normal']"),
                odd_rows.one_of("MethodLabel", ("Physician", "RNN_model")),
            ),
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
    facts_from="its table, as it comes with torchxrayvision 1.5.7",
    images=160_861,
    patients=67_625,
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
        "`unchanged` compares with an earlier film: findings of that film are not repeated.",
        "Images are 16-bit PNG of very different ranges.",
        "Age is the year of the study less the year of birth.",
    ),
    options=(
        Option(
            "labels", "All reports, or those that physicians labelled.", "all", ("all", "physician")
        ),
    ),
)
