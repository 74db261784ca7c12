"""BCN20000: dermatoscopic images of one hospital in Barcelona, also in hard places."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.skin import skin
from medtransfer.data.sources.skin.isic2019 import MALIGNANT, NAMED
from medtransfer.data.sources.source import Download, ImportedSource, Source, Table, Target

DIAGNOSES = tuple(MALIGNANT)
"""Letters of the eight classes, as in ISIC 2019."""
SITE = "anatom_site_general"


def read(download: Download) -> ImportedSource:
    """Rows of the training table with their files; all photographs of a lesion are one case."""
    name = pl.col("bcn_filename").str.replace(r"\.\w+$", "")
    rows = download.tables["train"].with_columns(name.alias(KEY), image_id=name)
    rows, notes = skin.with_lesions(rows, pl.col("lesion_id"))
    rows, ages = cells.with_age(rows, pl.col("age_approx"), zero_is_missing=True)
    rows = rows.with_columns(skin.malignant(MALIGNANT), cells.sex("sex"), skin.body_site(SITE))
    rows, join = locate(rows, download, r"([^/]+)\.jpe?g$")
    return ImportedSource(rows, (join,), (), (*coverage(join), *notes, *ages))


SOURCE = Source(
    name="bcn20000",
    title="BCN20000",
    domain="skin",
    read=read,
    tables=(
        Table(
            "train",
            ("bcn_20k_train.csv",),
            ("bcn_filename", "diagnosis", "lesion_id", "age_approx", "sex", SITE),
            ("bcn_filename",),
            rules=(odd_rows.one_of("diagnosis", DIAGNOSES),),
            holds="one row per image: diagnosis, lesion, age, sex, site",
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
    licence="CC BY-NC 4.0, by the owners' tools",
    facts_from="README.md and preparation/dataset_functions.py (columns, classes) of "
    "github.com/imatge-upc/BCN20000; https://doi.org/10.1038/s41597-024-03387-w (size); a row "
    "of the table in public readers (ages, sexes, sites)",
    url="https://figshare.com/articles/journal_contribution/"
    "BCN20000_Dermoscopic_Lesions_in_the_Wild/24140028/1",
    citation="Hernández-Pérez et al., BCN20000: dermoscopic lesions in the wild, Scientific Data "
    "2024",
    images=18_946,
    layout=("bcn_20k_train.csv", "bcn_20k_train/BCN_0000000001.jpg"),
    splits="None: about 12,400 images have a diagnosis, and the test images are given out without.",
    attributes=skin.COMMON,
    confounders=(
        "Several images show one lesion: split by lesion. There is no patient.",
        "Many lesions lie on nails, mucosa or scars, or are larger than the lens.",
        "ISIC 2019 holds these images under other names: never test one on the other.",
        "The archive of ISIC gives the set out with another table, which is not read.",
    ),
    known_as=("bcn",),
    class_column=skin.CLASS,
    classes={name: NAMED[name] for name in DIAGNOSES},
)
