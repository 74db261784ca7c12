"""PAD-UFES-20 as published: the spellings `fitspatrick` and `biopsed`, UNK for what is not known,
lesion numbers that two patients share, up to six photographs of a lesion."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = (
    "patient_id",
    "lesion_id",
    "smoke",
    "drink",
    "background_father",
    "background_mother",
    "age",
    "pesticide",
    "gender",
    "skin_cancer_history",
    "cancer_history",
    "has_piped_water",
    "has_sewage_system",
    "fitspatrick",
    "region",
    "diameter_1",
    "diameter_2",
    "diagnostic",
    "itch",
    "grew",
    "hurt",
    "changed",
    "bleed",
    "elevation",
    "img_id",
    "biopsed",
)
# patient, lesion, age, gender, skin type, region, diagnostic, number, biopsed
ROWS = [
    ("PAT_1516", "1765", "8", "", "", "ARM", "NEV", "530", "False"),
    ("PAT_46", "881", "55", "FEMALE", "3.0", "NECK", "BCC", "939", "True"),
    ("PAT_46", "881", "55", "FEMALE", "3.0", "NECK", "BCC", "940", "True"),
    ("PAT_46", "881", "55", "FEMALE", "3.0", "NECK", "BCC", "941", "True"),
    ("PAT_46", "881", "55", "FEMALE", "3.0", "NECK", "BCC", "942", "True"),
    ("PAT_46", "881", "55", "FEMALE", "3.0", "NECK", "BCC", "943", "True"),
    ("PAT_46", "881", "55", "FEMALE", "3.0", "NECK", "BCC", "944", "True"),
    ("PAT_46", "882", "55", "FEMALE", "3.0", "FACE", "ACK", "945", "False"),
    ("PAT_1545", "881", "77", "MALE", "UNK", "UNK", "ACK", "547", "False"),
    ("PAT_1989", "4061", "75", "MALE", "2.0", "HAND", "SCC", "934", "True"),
    ("PAT_684", "1302", "79", "MALE", "6.0", "FOREARM", "MEL", "588", "True"),
    ("PAT_1549", "1882", "53", "", "", "CHEST", "SEK", "230", "False"),
]


def full(row: tuple[str, ...]) -> list[str]:
    patient, lesion, age, gender, skin, region, diagnostic, number, biopsed = row
    given = {
        "patient_id": patient,
        "lesion_id": lesion,
        "age": age,
        "gender": gender,
        "fitspatrick": skin,
        "region": region,
        "diagnostic": diagnostic,
        "biopsed": biopsed,
        "img_id": f"{patient}_{lesion}_{number}.png",
        "itch": "UNK",
        "smoke": "False",
    }
    return [given.get(name, "") for name in HEADER]


def write(folder: Path) -> None:
    """The three parts of the images beside the metadata."""
    table(folder / "metadata.csv", HEADER, [full(row) for row in ROWS])
    for number, row in enumerate(ROWS):
        name = full(row)[HEADER.index("img_id")]
        picture(folder / "images" / f"imgs_part_{number % 3 + 1}" / name, number)
