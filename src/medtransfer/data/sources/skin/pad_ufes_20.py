"""PAD-UFES-20: photographs of skin lesions by smartphone, from Espírito Santo, Brazil."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.skin import skin
from medtransfer.data.sources.source import Download, ImportedSource, Source, Table, Target

COLUMNS = (
    "img_id",
    "patient_id",
    "lesion_id",
    "diagnostic",
    "age",
    "gender",
    "fitspatrick",
    "region",
    "biopsed",
)
CLASSES = {"MEL": "MEL", "NEV": "NV", "BCC": "BCC", "ACK": "AKIEC", "SCC": "AKIEC", "SEK": "BKL"}
MALIGNANT = {"MEL": "1", "BCC": "1", "SCC": "1", "ACK": "-1", "NEV": "0", "SEK": "0"}


def read(download: Download) -> ImportedSource:
    """Rows of the metadata with their files; `biopsed` gives the label away and is left out."""
    rows = download.tables["metadata"]
    lesion = pl.concat_str("patient_id", "lesion_id", separator="_")
    rows = rows.with_columns(
        pl.col("img_id").alias(KEY),
        image_id=pl.col("img_id").str.replace(r"\.[A-Za-z]+$", ""),
    )
    rows, notes = skin.with_lesions(rows, lesion, pl.col("patient_id"))
    rows, ages = cells.with_age(rows, pl.col("age"))
    rows = rows.with_columns(
        pl.col("diagnostic").alias(skin.CLASS),
        skin.malignant(MALIGNANT, "diagnostic"),
        cells.sex("gender"),
        skin.body_site("region"),
        *skin.fitzpatrick("fitspatrick"),
    )
    notes += cells.emptied(rows["fitspatrick"], rows["fitzpatrick"], "Skin type")
    rows, join = locate(rows, download, r"([^/]+\.png)$")
    return ImportedSource(rows, (join,), (), (*coverage(join), *notes, *ages))


SOURCE = Source(
    name="pad-ufes-20",
    title="PAD-UFES-20",
    domain="skin",
    read=read,
    tables=(
        Table(
            "metadata",
            ("metadata.csv",),
            COLUMNS,
            ("img_id",),
            rules=(odd_rows.one_of("diagnostic", tuple(CLASSES)),),
            holds="patients, lesions, diagnoses, skin types",
        ),
    ),
    targets=(
        Target(
            "malignant",
            f"melanoma, basal or squamous cell carcinoma; {skin.PRECANCER}",
            "malignant",
        ),
    ),
    access="open",
    licence="CC BY 4.0",
    facts_from="columns, values and counts: metadata_withmasks.csv in "
    "github.com/sanderengel/fyp2023",
    url="https://doi.org/10.17632/zr7vgbcyr2.1",
    citation="Pacheco et al., PAD-UFES-20: A skin lesion dataset composed of patient data and "
    "clinical images collected from smartphones, Data in Brief 2020",
    images=2_298,
    patients=1_373,
    layout=("metadata.csv", "images/imgs_part_1/PAT_1516_1765_530.png"),
    splits="None.",
    attributes={**skin.COMMON, **skin.FITZPATRICK},
    confounders=(
        "Lesion numbers restart with the patient: 1,891 lesions, 250 numbers belong to two people.",
        "Whether a lesion was biopsied (`biopsed`) gives the malignant ones away: left out.",
        "Sex and skin type are missing for benign lesions alone: that they are there tells.",
        "Photographs by smartphone: no shift of dermatoscopy in people alone.",
    ),
    class_column=skin.CLASS,
    classes=CLASSES,
)
