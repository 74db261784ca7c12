"""ISIC 2020 as published: patients with many images, most diagnoses unknown, and a list of pairs
that are the same image, one of them under two patients."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = (
    "image_name",
    "patient_id",
    "lesion_id",
    "sex",
    "age_approx",
    "anatom_site_general_challenge",
    "diagnosis",
    "benign_malignant",
    "target",
)
ROWS = [
    (
        "ISIC_2637011",
        "IP_7279968",
        "IL_7972535",
        "male",
        "45",
        "head/neck",
        "unknown",
        "benign",
        "0",
    ),
    (
        "ISIC_2637012",
        "IP_7279968",
        "IL_7972535",
        "male",
        "45",
        "head/neck",
        "unknown",
        "benign",
        "0",
    ),
    (
        "ISIC_0015719",
        "IP_3075186",
        "IL_4649854",
        "female",
        "45",
        "upper extremity",
        "nevus",
        "benign",
        "0",
    ),
    ("ISIC_0052212", "IP_2842074", "IL_4788767", "female", "50", "", "melanoma", "malignant", "1"),
    ("ISIC_0068279", "IP_6890425", "IL_5075261", "", "", "head/neck", "lentigo NOS", "benign", "0"),
    (
        "ISIC_0074268",
        "IP_8723313",
        "IL_9087444",
        "female",
        "0",
        "torso",
        "seborrheic keratosis",
        "benign",
        "0",
    ),
    (
        "ISIC_0074311",
        "IP_2950485",
        "IL_6498411",
        "female",
        "40",
        "torso",
        "cafe-au-lait macule",
        "benign",
        "0",
    ),
]
PAIRS = [
    ("ISIC_2637011", "ISIC_2637012"),
    ("ISIC_0015719", "ISIC_0074311"),
    ("ISIC_0015719", "ISIC_8888888"),
]


def write(folder: Path) -> None:
    """The second version of the ground truth, with lesions."""
    table(folder / "ISIC_2020_Training_GroundTruth_v2.csv", HEADER, ROWS)
    table(folder / "ISIC_2020_Training_Duplicates.csv", ("image_name_1", "image_name_2"), PAIRS)
    for number, row in enumerate(ROWS):
        picture(folder / "train" / f"{row[0]}.jpg", number)
