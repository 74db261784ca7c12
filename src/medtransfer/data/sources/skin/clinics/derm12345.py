"""DERM12345: dermatoscopic images of clinics in Turkey, in 40 subclasses."""

import polars as pl

from medtransfer.data.sources import odd_rows
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.skin import skin
from medtransfer.data.sources.source import Download, ImportedSource, Source, Table, Target
from medtransfer.errors import plural

NEVI = (
    *("acb", "ccb", "mcb", "cb", "bdb", "db", "ajb", "cjb", "jb"),
    *("acd", "ccd", "cd", "ajd", "jd", "srjd", "rd"),
)
"""Banal and dysplastic nevi: compound, dermal, junctional, recurrent."""
MELANOMAS = ("anm", "alm", "lm", "lmm", "mel")
VESSELS = ("angk", "ha", "la", "pg", "sa")
LENTIGINES = ("isl", "ls")
"""Ink spot lentigo and lentigo simplex; solar lentigo (`sl`) has a shared class."""
CANCERS = ("bcc", "bd", "ch", "mpd", "scc", "dfsp", "ks")
"""Malignant and not melanocytic in the set's own tree; `ch`, the cutaneous horn, among them."""
BENIGN = (*NEVI, *LENTIGINES, *VESSELS, "sl", "sk", "lk", "df")
MALIGNANT = {
    **dict.fromkeys(BENIGN, "0"),
    **dict.fromkeys((*MELANOMAS, *CANCERS), "1"),
    "ak": "-1",
}
"""Every label of the set, by its own tree."""
CLASSES = {
    **dict.fromkeys(MELANOMAS, "MEL"),
    **dict.fromkeys(NEVI, "NV"),
    **dict.fromkeys(("sk", "lk", "sl"), "BKL"),
    **dict.fromkeys(("ak", "bd", "scc"), "AKIEC"),
    **dict.fromkeys(VESSELS, "VASC"),
    **dict.fromkeys(("mpd", "dfsp", "ks"), "OTHER"),
    "bcc": "BCC",
    "df": "DF",
}
COLUMNS = ("image_id", "patient_id", "label")


def read(download: Download) -> ImportedSource:
    """Rows of both tables with their files; no patient of the test part trains."""
    parts = [
        table.with_columns(split=pl.lit(split))
        for split in ("train", "test")
        if (table := download.tables.get(split)) is not None
    ]
    rows = pl.concat(parts)
    twice = int(rows["image_id"].is_duplicated().sum())
    download.refuse([f"{twice:,} rows name an image that is in both parts"] if twice else [])
    rows, notes = _parted(rows)
    name = pl.col("image_id")
    rows = rows.with_columns(
        name.alias(KEY), pl.col("label").alias(skin.CLASS), case_id=name
    ).with_columns(skin.malignant(MALIGNANT))
    rows, join = locate(rows, download, r"(DERM_\d+)\.jpe?g$", "images")
    return ImportedSource(rows, (join,), (), (*coverage(join), *notes))


def _parted(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The rows without training images of patients who are tested too, and a note on them."""
    tested = rows.filter(pl.col("split") == "test").select("patient_id").unique()
    torn = rows.filter(pl.col("split") == "train").join(tested, on="patient_id", how="semi")
    if torn.is_empty():
        return rows, []
    whose = plural(torn["patient_id"].n_unique(), "patient")
    note = f"{plural(len(torn), 'training image')} of {whose} who are in the test part: left out."
    return rows.join(torn, on="image_id", how="anti", maintain_order="left"), [note]


def _table(split: str, *, needed: bool) -> Table:
    return Table(
        split,
        (f"derm12345_metadata_{split}.csv",),
        COLUMNS,
        ("image_id",),
        rules=(odd_rows.one_of("label", tuple(MALIGNANT)),),
        needed=needed,
        holds=f"one row per {split} image: patient, label",
    )


SOURCE = Source(
    name="derm12345",
    title="DERM12345",
    domain="skin",
    read=read,
    tables=(_table("train", needed=True), _table("test", needed=False)),
    targets=(
        Target(
            "malignant",
            "melanoma, or malignant in the set's own tree (Bowen's disease and the cutaneous horn "
            f"among it); {skin.PRECANCER}",
            "malignant",
        ),
    ),
    access="open",
    licence="CC BY 4.0",
    facts_from="columns, ids and folders: outputs/EfficientNetV2L/csv_results/train_loaded.csv and "
    "README.md (patients in both parts) of github.com/amolbedade08/derm12345-efficientnetv2l; the "
    "tree of classes: README.md of github.com/abdurrahimyilmaz/derm12345, by its owner; letters of "
    "melanomas and carcinomas: c01_build_expanded_dataset.py of "
    "github.com/naeemsarker02/multimodal_skin_disease_classifications",
    url="https://doi.org/10.7910/DVN/DAXZ7P",
    citation="Yilmaz et al., DERM12345: a large, multisource dermatoscopic skin lesion dataset "
    "with 40 subclasses, Scientific Data 2024",
    images=12_345,
    patients=1_627,
    layout=(
        "derm12345_metadata_train.csv, derm12345_metadata_test.csv (the original format, not .tab)",
        "derm12345_train_part_1/acb/DERM_125494.jpg, derm12345_train_part_2/…, derm12345_test/…",
    ),
    splits="9,860 images are train and 2,485 are test; it has no tuning part. Three patients are "
    "in both: their training images are left out.",
    confounders=(
        "A patient has many images: split by patient. Lesions are not numbered.",
        "Age, sex and site are not given.",
        "Most benign lesions were never biopsied.",
        "`ch` and the two lentigines `isl` and `ls` have no shared class.",
    ),
    class_column=skin.CLASS,
    classes=CLASSES,
)
