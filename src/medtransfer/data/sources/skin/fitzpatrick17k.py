"""Fitzpatrick17k: clinical photographs of two atlases on the web, with skin types."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.skin import skin
from medtransfer.data.sources.source import (
    Download,
    ImportedSource,
    Option,
    Source,
    Table,
    Target,
    kept_text,
)

FILE = "fitzpatrick17k.csv"
COLUMNS = (
    "md5hash",
    "fitzpatrick_scale",
    "fitzpatrick_centaur",
    "label",
    "nine_partition_label",
    "three_partition_label",
    "qc",
)
SCALE = ("-1", "1", "2", "3", "4", "5", "6")
THREE = {"malignant": "1", "benign": "0", "non-neoplastic": "0"}
PRECANCER = "actinic keratosis"
CLASSES = {
    "melanoma": "MEL",
    "malignant melanoma": "MEL",
    "superficial spreading melanoma ssm": "MEL",
    "lentigo maligna": "MEL",
    "basal cell carcinoma": "BCC",
    "basal cell carcinoma morpheiform": "BCC",
    "solid cystic basal cell carcinoma": "BCC",
    "actinic keratosis": "AKIEC",
    "squamous cell carcinoma": "AKIEC",
    "seborrheic keratosis": "BKL",
    "dermatofibroma": "DF",
    "nevocytic nevus": "NV",
    "congenital nevus": "NV",
    "halo nevus": "NV",
    "granuloma pyogenic": "VASC",
    "port wine stain": "VASC",
}
WRONG = "3 Wrongly labelled"


def read(download: Download) -> ImportedSource:
    """Rows of the table with the images that could still be had."""
    rows = download.tables["table"]
    wrong = pl.col("qc").eq_missing(WRONG)
    kept: tuple[str, ...] = ()
    if download.options["quality"] == "not-wrong":
        good = rows.filter(~wrong)
        kept = (kept_text(len(good), len(rows), "quality = not-wrong"),)
        rows = good
    unsure = pl.col("label") == PRECANCER
    label = cells.renamed("three_partition_label", THREE, "malignant")
    rows = rows.with_columns(
        pl.col("md5hash").alias(KEY),
        pl.col("label").alias(skin.CLASS),
        pl.col("nine_partition_label").alias("partition"),
        pl.col("qc").alias("quality"),
        pl.when(unsure).then(pl.lit("-1")).otherwise(label).alias("malignant"),
        *skin.fitzpatrick("fitzpatrick_scale"),
        image_id=pl.col("md5hash"),
        case_id=pl.col("md5hash"),
        patient_id=pl.col("md5hash"),
    )
    rows, join = locate(rows, download, r"([0-9a-f]{32})\.(?:jpg|jpeg|png)$")
    notes = "It has no patient ids: each image is taken for a patient. Look for near duplicates."
    return ImportedSource(rows, (join,), kept, (*coverage(join), notes))


SOURCE = Source(
    name="fitzpatrick17k",
    title="Fitzpatrick17k",
    domain="skin",
    read=read,
    tables=(
        Table(
            "table",
            (FILE,),
            COLUMNS,
            ("md5hash",),
            rules=(
                odd_rows.one_of("fitzpatrick_scale", SCALE),
                odd_rows.one_of("three_partition_label", tuple(THREE)),
            ),
            holds="conditions, skin types, addresses",
        ),
    ),
    targets=(
        Target(
            "malignant",
            "malignant by `three_partition_label`; benign and non-neoplastic "
            f"are 0; {skin.PRECANCER} (the table calls it malignant)",
            "malignant",
        ),
    ),
    access="open",
    licence="CC BY-NC-SA 3.0",
    facts_from="fitzpatrick17k.csv and README.md of github.com/mattgroh/fitzpatrick17k",
    url="https://github.com/mattgroh/fitzpatrick17k",
    citation="Groh et al., Evaluating Deep Neural Networks Trained on Clinical Images in "
    "Dermatology with the Fitzpatrick 17k Dataset, CVPR Workshops 2021",
    images=16_577,
    layout=(FILE, "images/5e82a45bc5d78bd24ae9202d194423f8.jpg (named by `md5hash`)"),
    splits="None.",
    tells_label=("partition",),
    attributes={
        **skin.FITZPATRICK,
        "partition": "The condition in nine groups.",
        "quality": "What dermatologists said of the label; empty for nearly all.",
    },
    confounders=(
        "Images are of atlases on the web, and many addresses are dead: a download is partial.",
        "Copies of one image stand under several rows: no split is safe without a search for them.",
        "Skin types are seen on photographs by lay people; -1 is unknown.",
        "Most conditions (114) are no tumours, and labels are not proven by histology.",
    ),
    options=(
        Option(
            "quality",
            "All rows, or those that dermatologists did not call wrongly labelled.",
            "all",
            ("all", "not-wrong"),
        ),
    ),
    class_column=skin.CLASS,
    classes=CLASSES,
)
