"""VinDr-CXR as PhysioNet gives it out: a column per finding, a row per image and reader."""

from pathlib import Path

from tests.data.sources.trees import picture, table

from medtransfer.data.sources.chest.vindr_cxr import SHARED

FINDINGS = tuple(name.replace("Other disease", "Other diseases") for name in SHARED)
TRAIN = {
    ("00dd", "R1"): "ILD",
    ("00dd", "R2"): "ILD",
    ("00dd", "R3"): "No finding",
    ("00ee", "R1"): "No finding",
    ("00ee", "R2"): "No finding",
    ("00ee", "R3"): "No finding",
}


def write(folder: Path) -> None:
    """Both parts."""
    place = folder / "annotations"
    table(
        place / "image_labels_train.csv",
        ("image_id", "rad_id", *FINDINGS),
        [(i, r, *("1" if f == name else "0" for f in FINDINGS)) for (i, r), name in TRAIN.items()],
    )
    table(
        place / "image_labels_test.csv",
        ("image_id", *FINDINGS),
        [("00ff", *("1" if f == "Pneumonia" else "0" for f in FINDINGS))],
    )
    for number, name in enumerate(("train/00dd", "train/00ee", "test/00ff")):
        picture(folder / f"{name}.dicom", number)
