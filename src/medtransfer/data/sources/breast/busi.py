"""BUSI: ultrasound images of breasts from Cairo, filed as normal, benign or malignant."""

from collections.abc import Iterable

import polars as pl

from medtransfer.data.sources import cells
from medtransfer.data.sources.breast import mammography
from medtransfer.data.sources.source import (
    PATH,
    Download,
    ImportedSource,
    Option,
    Source,
    Target,
    kept_text,
)
from medtransfer.data.sources.vocabulary import ULTRASOUND_CLASSES
from medtransfer.errors import plural

FINDINGS = {"normal": "0", "benign": "0", "malignant": "1"}
"""Folders of the download, and `malignant` for each."""
_WORDS = "|".join(FINDINGS)
IMAGE = rf"(?:^|/)({_WORDS})/((?:{_WORDS}) \(\d+\))\.(?:png|jpe?g)$"
"""Path of an image: its folder, and its name, which begins with the folder's."""
MASK = rf"(?:^|/)(?:{_WORDS})/[^/]+_mask(?:_\d+)?\.(?:png|jpe?g)$"
"""Outline of a lesion, beside its image; a second lesion of the image is in ``_mask_1``."""
LESIONS = ("benign", "malignant")
COLUMNS = ("image_id", PATH, "case_id", "patient_id", "exam_id", "finding", "malignant")
NOTE = (
    "There is no patient id: each image counts as a patient of its own, and many images are near "
    "duplicates of others. `medtransfer check` finds them; a split by chance parts them."
)


def read(download: Download) -> ImportedSource:
    """Images by their names; outlines beside them are counted and left out."""
    path, name = pl.col(PATH), pl.col("image_id")
    pictures = download.pictures.with_columns(
        path.str.extract(IMAGE, 1).alias("finding"), path.str.extract(IMAGE, 2).alias("image_id")
    )
    images = pictures.filter(name.is_not_null()).sort("image_id")
    download.refuse(_faults(images))
    rows = images.with_columns(
        cells.renamed("finding", FINDINGS, "malignant"),
        case_id=name,
        patient_id=name,
        exam_id=name,
    )
    kept: tuple[str, ...] = ()
    if download.options["findings"] == "lesions":
        rows = rows.filter(pl.col("finding").is_in(LESIONS))
        download.refuse([] if len(rows) else ["no image of a lesion is below the folder"])
        kept = (kept_text(len(rows), len(images), "findings = lesions"),)
    masks = int(pictures[PATH].str.contains(MASK).sum())
    others = len(pictures) - len(images) - masks
    notes = [NOTE]
    if masks:
        notes.append(f"{plural(masks, 'outline')} of lesions (`_mask`): left out.")
    if others:
        notes.append(f"{plural(others, 'image')} of other names: left out.")
    return ImportedSource(rows.select(COLUMNS), (), kept, tuple(notes))


def _faults(images: pl.DataFrame) -> Iterable[str]:
    """Faults of a folder without images, with two copies of one, or with images filed anew."""
    if images.is_empty():
        yield "no image such as benign/benign (1).png is below the folder"
    if copies := int(images["image_id"].is_duplicated().sum()):
        yield (
            f"{plural(copies, 'image')} of one name in several folders: choose one with "
            "--option images=FOLDER"
        )
    torn = images.filter(pl.col("image_id").str.extract(r"^(\w+)") != pl.col("finding"))
    if len(torn):
        yield (
            f"{plural(len(torn), 'image')} in the folder of another finding than the name says: "
            "put them back, or take the findings from the folders with `medtransfer import folder`"
        )


SOURCE = Source(
    name="busi",
    title="BUSI (breast ultrasound)",
    domain="breast",
    read=read,
    targets=(Target("malignant", "filed as malignant; benign and normal are 0", "malignant"),),
    licence="Not given in the download; MedMNIST, which holds it, has CC BY 4.0",
    facts_from="counts, people and machine: the card of huggingface.co/datasets/Angelou0516/BUSI; "
    "layout: github.com/OmSDeshmukh/DatasetHub (Vision/Classification/BUSI) and "
    "github.com/sarah-antillia/YOLO-Breast-UltraSound-Images; duplicates, armpits and marks: the "
    "letter of Pawłowska et al. to Data in Brief, "
    "https://pmc.ncbi.nlm.nih.gov/articles/PMC10293973",
    url="https://scholar.cu.edu.eg/?q=afahmy/pages/dataset",
    citation="Al-Dhabyani et al., Dataset of breast ultrasound images, Data in Brief 2020",
    images=780,
    patients=600,
    layout=(
        "Dataset_BUSI_with_GT/benign/benign (1).png (and benign (1)_mask.png, which is not read)",
        "Dataset_BUSI_with_GT/malignant/malignant (1).png, normal/normal (1).png",
    ),
    splits="None.",
    attributes={
        **mammography.EXAMS,
        "finding": "Folder of the image: normal, benign or malignant; it tells the label.",
    },
    class_column="finding",
    classes={name: name for name in ULTRASOUND_CLASSES},
    confounders=(
        "Ultrasound: cohorts of mammograms have the same target, and nothing else in common.",
        (
            "306 of 780 images are near duplicates of others, 8 groups of them under two findings "
            "(counted on the copy in github.com/TongxinWang0405/BMI702_project)."
        ),
        (
            "Many images show callipers, text or Doppler marks, and some an armpit: these may tell "
            "the finding."
        ),
        "27 % of the images are malignant: no screening.",
    ),
    known_as=("busi",),
    options=(
        Option(
            "findings",
            "Images that are cases: all, or those with a lesion, benign against malignant.",
            "all",
            ("all", "lesions"),
        ),
    ),
)
