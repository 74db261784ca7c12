"""ISIC 2019 as published: a column per class, UNK only in the test, lesions of HAM10000 and others,
images without a lesion, and `_downsampled` copies."""

from pathlib import Path

from tests.data.sources.trees import picture, table

CLASSES = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
# image, class, age, site, lesion, sex
ROWS = [
    ("ISIC_0000000", "NV", "55", "anterior torso", "", "female"),
    ("ISIC_0000022_downsampled", "MEL", "55", "lower extremity", "", "female"),
    ("ISIC_0000022", "MEL", "55", "lower extremity", "", "female"),
    ("ISIC_0024306", "NV", "45", "", "HAM_0000550", "male"),
    ("ISIC_0024307", "NV", "50", "lower extremity", "HAM_0000550", "male"),
    ("ISIC_0025030", "BKL", "80", "head/neck", "HAM_0000118", "male"),
    ("ISIC_0053453", "BCC", "70", "head/neck", "BCN_0003884", "female"),
    ("ISIC_0053454", "BCC", "70", "head/neck", "BCN_0003884", "female"),
    ("ISIC_0053455", "AK", "", "head/neck", "BCN_0003885", ""),
    ("ISIC_0053456", "SCC", "85", "upper extremity", "BCN_0003886", "male"),
    ("ISIC_0012086", "DF", "60", "lower extremity", "MSK4_0011169", "male"),
    ("ISIC_0012087_downsampled", "VASC", "60", "", "MSK4_0011170", "male"),
]
TEST = [
    ("ISIC_0034321", "UNK", "35", "anterior torso", "male"),
    ("ISIC_0034322", "MEL", "65", "", "female"),
]


def one_hot(chosen: str) -> list[str]:
    return ["1.0" if name == chosen else "0.0" for name in CLASSES]


def write(folder: Path) -> None:
    """Training and test images with their tables; one image has no metadata, one row no image."""
    head = ("image", "age_approx", "anatom_site_general", "lesion_id", "sex")
    rows = [(image, age, site, lesion, sex) for image, _, age, site, lesion, sex in ROWS]
    other = ("ISIC_0099999", "20", "", "BCN_0009999", "male")
    table(folder / "ISIC_2019_Training_Metadata.csv", head, [*rows[1:], other])
    table(
        folder / "ISIC_2019_Training_GroundTruth.csv",
        ("image", *CLASSES),
        [(row[0], *one_hot(row[1])) for row in ROWS],
    )
    table(
        folder / "ISIC_2019_Test_Metadata.csv",
        ("image", "age_approx", "anatom_site_general", "sex"),
        [(image, *rest) for image, _, *rest in TEST],
    )
    table(
        folder / "ISIC_2019_Test_GroundTruth.csv",
        ("image", *CLASSES, "score_weight", "validation_weight"),
        [(row[0], *one_hot(row[1]), "1.0", "0.0") for row in TEST],
    )
    for number, row in enumerate(ROWS):
        picture(folder / "ISIC_2019_Training_Input" / f"{row[0]}.jpg", number)
    for number, row in enumerate(TEST):
        picture(folder / "ISIC_2019_Test_Input" / f"{row[0]}.jpg", 30 + number)
