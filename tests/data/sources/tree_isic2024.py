"""ISIC 2024 as Kaggle gives it out: crops of many lesions per patient, ages and sexes that are
missing, columns that tell the label."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = (
    "isic_id",
    "target",
    "patient_id",
    "age_approx",
    "sex",
    "anatom_site_general",
    "clin_size_long_diam_mm",
    "image_type",
    "tbp_tile_type",
    "attribution",
    "copyright_license",
    "lesion_id",
    "iddx_full",
    "iddx_1",
)
TYPE, WHITE, XP = "TBP tile: close-up", "3D: white", "3D: XP"
BENIGN = ("", "Benign", "Benign")
MALIGNANT = ("IL_1", "Malignant::Melanoma", "Malignant")
PATIENTS = {
    "IP_1235828": ("60.0", "male"),
    "IP_8170065": ("60.0", "male"),
    "IP_6724798": ("", ""),
    "IP_3249371": ("80.0", "female"),
}
CROPS = [
    ("ISIC_0015670", "0", "IP_1235828", "lower extremity", "3.04", WHITE, BENIGN),
    ("ISIC_0015845", "0", "IP_8170065", "head/neck", "1.1", WHITE, BENIGN),
    ("ISIC_0015864", "0", "IP_6724798", "posterior torso", "3.4", XP, BENIGN),
    ("ISIC_0082829", "1", "IP_3249371", "anterior torso", "9.27", XP, MALIGNANT),
    ("ISIC_0096034", "0", "IP_3249371", "", "2.7", XP, BENIGN),
]
ROWS = [
    (name, target, patient, *PATIENTS[patient], site, size, TYPE, light, "Centre A", "CC-BY", *rest)
    for name, target, patient, site, size, light, rest in CROPS
]


def write(folder: Path) -> None:
    """The table and the crops."""
    table(folder / "train-metadata.csv", HEADER, ROWS)
    for number, row in enumerate(ROWS):
        picture(folder / "train-image" / "image" / f"{row[0]}.jpg", number)
