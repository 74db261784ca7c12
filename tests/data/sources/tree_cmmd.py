"""CMMD: a row per breast with a lesion, sides not in the files' names, files that are equal."""

from pathlib import Path

from tests.data.sources.trees import picture, table, workbook

HEADER = ("ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype")
ROWS = [
    ("D1-0001", "R", "44", "2", "calcification", "Benign", ""),
    ("D1-0002", "L", "40", "2", "both", "Benign", ""),
    ("D1-0002", "R", "40", "2", "mass", "Malignant", ""),
    ("D2-0003", "L", "95", "4", "mass", "Malignant", "Luminal A"),
]
FILES = {"D1-0001": 2, "D1-0002": 4, "D2-0003": 2}


def write(folder: Path) -> None:
    """The download of TCIA, its workbook saved as CSV."""
    table(folder / "CMMD_clinicaldata_revision.csv", HEADER, ROWS)
    for patient, count in FILES.items():
        for number in range(count):
            # the first file of the first two patients is the same
            seed = 0 if number == 0 and patient != "D2-0003" else number + 7 * int(patient[-1])
            place = folder / "CMMD" / patient / "07-18-2010-NA-NA-79377" / "1.000000-NA-70244"
            picture(place / f"1-{number + 1}.dcm", seed)


def write_named(folder: Path) -> None:
    """A copy as PNG, sides and views in the names, with the workbook."""
    workbook(folder / "CMMD_clinicaldata_revision.xlsx", HEADER, ROWS)
    for number, side in enumerate(("L", "R")):
        picture(folder / "png" / f"D1-0002_1-{number}_{side}_MLO.png", number)
        picture(folder / "png" / f"D2-0003_1-{number}_{side}_CC.png", number + 5)
