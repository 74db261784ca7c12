"""VinDr-CXR as Kaggle gives it out: a row per box and reader, three readers an image."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = ("image_id", "class_name", "class_id", "rad_id", "x_min", "y_min", "x_max", "y_max")
# image, reader -> findings
READ = {
    ("00aa", "R1"): ["Cardiomegaly", "Aortic enlargement"],
    ("00aa", "R2"): ["Cardiomegaly"],
    ("00aa", "R3"): ["No finding"],
    ("00bb", "R8"): ["No finding"],
    ("00bb", "R9"): ["No finding"],
    ("00bb", "R10"): ["No finding"],
    ("00cc", "R8"): ["Pleural effusion", "Pleural effusion"],
    ("00cc", "R9"): ["Pleural effusion"],
    ("00cc", "R10"): ["Pleural effusion", "Nodule/Mass"],
}


def write(folder: Path) -> None:
    """The training part of the challenge."""
    rows = [
        (image, finding, "0", reader, "1", "1", "5", "5")
        for (image, reader), findings in READ.items()
        for finding in findings
    ]
    table(folder / "train.csv", HEADER, rows)
    for number, image in enumerate(("00aa", "00bb", "00cc")):
        picture(folder / "train" / f"{image}.dicom", number)
