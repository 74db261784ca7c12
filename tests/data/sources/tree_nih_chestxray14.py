"""NIH ChestX-ray14 as published: commas in brackets make a header of eleven fields, a patient has
several films, findings are joined by ``|``, images lie in numbered folders, ages may be 411."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = (
    "Image Index",
    "Finding Labels",
    "Follow-up #",
    "Patient ID",
    "Patient Age",
    "Patient Gender",
    "View Position",
    "OriginalImage[Width",
    "Height]",
    "OriginalImagePixelSpacing[x",
    "y]",
)
ENTRY = [
    ("00000001_000.png", "Cardiomegaly", "0", "1", "58", "M", "PA"),
    ("00000001_001.png", "Cardiomegaly|Emphysema", "1", "1", "58", "M", "PA"),
    ("00000002_000.png", "No Finding", "0", "2", "81", "M", "AP"),
    ("00000003_000.png", "Hernia", "0", "3", "411", "F", "PA"),
    ("00000003_001.png", "Hernia|Infiltration|Pleural_Thickening", "1", "3", "075Y", "F", "PA"),
    ("00000013_005.png", "Effusion|Pneumothorax", "5", "13", "56", "M", "AP"),
    ("00000014_000.png", "No Finding", "0", "14", "9", "F", "PA"),
    ("00000015_000.png", "Mass|Nodule", "0", "15", "60", "F", "PA"),
]
TRAIN = [row[0] for row in ENTRY if row[3] not in ("3", "14")]
TEST = ["00000003_000.png", "00000003_001.png", "00000014_000.png", "00030000_000.png"]
GOOGLE_HEADER = (
    "Image Index",
    "Patient ID",
    "Fracture",
    "Pneumothorax",
    "Airspace opacity",
    "Nodule or mass",
    "Set Id",
)
GOOGLE = [
    ("00000002_000.png", "2", "NO", "NO", "YES", "NO", "val"),
    ("00000015_000.png", "15", "YES", "NO", "NO", "YES", "val"),
    ("00000014_000.png", "14", "NO", "YES", "NO", "NO", "test"),
    ("00000099_000.png", "99", "NO", "YES", "NO", "NO", "test"),
]


def write(folder: Path) -> None:
    """The archives, unpacked beside the tables."""
    rows = [(*row, "2682", "2749", "0.143", "0.143") for row in ENTRY]
    # the commas of two names are not quoted: eleven fields, as published
    table(folder / "Data_Entry_2017_v2020.csv", HEADER, rows)
    for name, images in (("train_val_list.txt", TRAIN), ("test_list.txt", TEST)):
        table(folder / name, None, [(image,) for image in images])
    table(folder / "google2019_nih-chest-xray-labels.csv", GOOGLE_HEADER, GOOGLE)
    for number, row in enumerate(ENTRY):
        picture(folder / f"images_{number % 3 + 1:03d}" / "images" / row[0], number)
    write_all_findings(folder)


def write_all_findings(folder: Path) -> None:
    """Google's file of all findings, for the first two images."""
    names = ("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule")
    names += ("Pneumonia", "Pneumothorax", "Consolidation", "Edema", "Emphysema", "Fibrosis")
    names += ("Pleural Thickening", "Hernia", "Other")
    rows = [
        (ENTRY[0][0], ENTRY[0][3], "YES", *("YES" if n == "Hernia" else "NO" for n in names)),
        (ENTRY[1][0], ENTRY[1][3], "NO", *("NO" for _ in names)),
    ]
    place = folder / "all_findings_expert_labels" / "test_labels.csv"
    table(place, ("Image ID", "Patient ID", "Abnormal", *names), rows)
