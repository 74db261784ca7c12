"""DDI: lesions proven by biopsy on diverse skin, from Stanford."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.skin import skin
from medtransfer.data.sources.source import Download, ImportedSource, Source, Table, Target
from medtransfer.errors import listed, plural

FILE = "ddi_metadata.csv"
COLUMNS = ("DDI_file", "skin_tone", "malignant", "disease")
TONES = {"12": "I-II", "34": "III-IV", "56": "V-VI"}
TRUTH = {"True": "1", "TRUE": "1", "1": "1", "False": "0", "FALSE": "0", "0": "0"}
CLASSES = {
    "melanoma": "MEL",
    "melanoma-in-situ": "MEL",
    "melanoma-acral-lentiginous": "MEL",
    "nodular-melanoma-(nm)": "MEL",
    "melanocytic-nevi": "NV",
    "dysplastic-nevus": "NV",
    "blue-nevus": "NV",
    "atypical-spindle-cell-nevus-of-reed": "NV",
    "pigmented-spindle-cell-nevus-of-reed": "NV",
    "basal-cell-carcinoma": "BCC",
    "basal-cell-carcinoma-superficial": "BCC",
    "basal-cell-carcinoma-nodular": "BCC",
    "actinic-keratosis": "AKIEC",
    "squamous-cell-carcinoma": "AKIEC",
    "squamous-cell-carcinoma-in-situ": "AKIEC",
    "squamous-cell-carcinoma-keratoacanthoma": "AKIEC",
    "seborrheic-keratosis": "BKL",
    "seborrheic-keratosis-irritated": "BKL",
    "benign-keratosis": "BKL",
    "solar-lentigo": "BKL",
    "lichenoid-keratosis": "BKL",
    "dermatofibroma": "DF",
    "angioma": "VASC",
    "pyogenic-granuloma": "VASC",
    "arteriovenous-hemangioma": "VASC",
    "hematoma": "VASC",
}


def read(download: Download) -> ImportedSource:
    """Rows of the metadata with their files."""
    rows = download.tables["metadata"]
    stem = pl.col("DDI_file").str.replace(r"\.[A-Za-z]+$", "")
    unsure = pl.col("disease").eq_missing("actinic-keratosis")
    label = cells.renamed("malignant", TRUTH, "malignant")
    rows = rows.with_columns(
        pl.col("DDI_file").alias(KEY),
        pl.col("disease").alias(skin.CLASS),
        pl.when(unsure).then(pl.lit("-1")).otherwise(label).alias("malignant"),
        cells.renamed("skin_tone", TONES, "skin_type"),
        image_id=stem,
        case_id=stem,
        patient_id=stem,
    )
    rows, join = locate(rows, download, r"([^/]+\.png)$")
    notes = ["It has no patient ids: each image is taken for a patient."]
    benign = [name for name, group in CLASSES.items() if group in ("NV", "BKL", "DF", "VASC")]
    torn = rows.filter(pl.col(skin.CLASS).is_in(benign) & (pl.col("malignant") == "1"))
    if len(torn):
        named = listed(torn[skin.CLASS].unique().sort())
        notes.append(
            f"{plural(len(torn), 'image')} called malignant with a diagnosis of a benign class "
            f"({named}): both are kept as they stand."
        )
    return ImportedSource(rows, (join,), (), (*coverage(join), *notes))


SOURCE = Source(
    name="ddi",
    title="Diverse Dermatology Images",
    domain="skin",
    read=read,
    tables=(
        Table(
            "metadata",
            (FILE,),
            COLUMNS,
            ("DDI_file",),
            rules=(
                odd_rows.one_of("skin_tone", tuple(TONES)),
                odd_rows.one_of("malignant", tuple(TRUTH)),
            ),
            holds="skin tones, labels",
        ),
    ),
    targets=(
        Target(
            "malignant",
            f"malignant by biopsy; {skin.PRECANCER} (the table calls it "
            "benign or malignant, case by case)",
            "malignant",
        ),
    ),
    access="registration",
    licence="Stanford University Dataset Research Use Agreement; no redistribution",
    facts_from="columns and values: ddi_metadata.csv in "
    "github.com/rizwanswati/SkinLesionClassification; size: its page",
    url="https://ddi-dataset.github.io/",
    citation="Daneshjou et al., Disparities in dermatology AI performance on a diverse, curated "
    "clinical image set, Science Advances 2022",
    images=656,
    patients=570,
    layout=(FILE, "images/000001.png"),
    splits="None: it was made to test on, of skin tones that are foreign to most sets.",
    attributes=skin.TYPE,
    confounders=(
        "Light and dark skin were matched on purpose: prevalence is not that of a clinic.",
        "Few images of a tone are malignant: intervals are wide.",
        "Some patients have several images, and which is not told.",
    ),
    class_column=skin.CLASS,
    classes=CLASSES,
)
