"""HAM10000 as published, with the table of the ISIC 2018 test: a lesion has several photographs,
`dx_type` gives the label away, age 0 is missing, masks lie beside the images."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset")
ROWS = [
    ("HAM_0000118", "ISIC_0027419", "bkl", "histo", "80.0", "male", "scalp", "vidir_modern"),
    ("HAM_0000118", "ISIC_0025030", "bkl", "histo", "80.0", "male", "scalp", "vidir_modern"),
    ("HAM_0001466", "ISIC_0031633", "mel", "histo", "75.0", "male", "ear", "rosendahl"),
    ("HAM_0002761", "ISIC_0029176", "akiec", "histo", "60.0", "female", "face", "rosendahl"),
    (
        "HAM_0005132",
        "ISIC_0025837",
        "nv",
        "follow_up",
        "0.0",
        "unknown",
        "unknown",
        "vidir_molemax",
    ),
    ("HAM_0004234", "ISIC_0029396", "bcc", "histo", "85.0", "female", "chest", "rosendahl"),
    ("HAM_0004235", "ISIC_0029397", "vasc", "consensus", "", "female", "chest", "vienna_dias"),
    (
        "HAM_0004236",
        "ISIC_0029398",
        "df",
        "confocal",
        "50.0",
        "male",
        "lower extremity",
        "vidir_modern",
    ),
]
CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
TEST = [("ISIC_0034524", "NV"), ("ISIC_0034525", "MEL"), ("ISIC_0034526", "AKIEC")]


def one_hot(chosen: str) -> list[str]:
    return ["1.0" if name == chosen else "0.0" for name in CLASSES]


def write(folder: Path) -> None:
    """Both parts of the images, the masks, and the test set in the form of the challenge."""
    table(folder / "HAM10000_metadata.csv", HEADER, ROWS)
    test = [(image, *one_hot(name)) for image, name in TEST]
    table(folder / "ISIC2018_Task3_Test_GroundTruth.csv", ("image", *CLASSES), test)
    for number, row in enumerate(ROWS):
        picture(folder / f"HAM10000_images_part_{number % 2 + 1}" / f"{row[1]}.jpg", number)
        picture(folder / "HAM10000_segmentations" / f"{row[1]}_segmentation.png", number)
    for number, (image, _) in enumerate(TEST):
        picture(folder / "ISIC2018_Task3_Test_Images" / f"{image}.jpg", 20 + number)
