"""Derm7pt as published: two images a case, lists that hold positions from 0, case numbers with ten
after nine."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = (
    "case_num",
    "diagnosis",
    "seven_point_score",
    "pigment_network",
    "streaks",
    "pigmentation",
    "regression_structures",
    "dots_and_globules",
    "blue_whitish_veil",
    "vascular_structures",
    "level_of_diagnostic_difficulty",
    "elevation",
    "location",
    "sex",
    "management",
    "clinic",
    "derm",
    "case_id",
    "notes",
)
DIAGNOSES = (
    "basal cell carcinoma",
    "blue nevus",
    "clark nevus",
    "dermatofibroma",
    "lentigo",
    "melanoma (in situ)",
    "melanoma metastasis",
    "melanosis",
    "miscellaneous",
    "seborrheic keratosis",
    "vascular lesion",
)
CLINIC = [f"NEL/Nel{number:03d}.jpg" for number in range(len(DIAGNOSES))]
DERM = [f"NEL/NEL{100 + number:03d}.jpg" for number in range(len(DIAGNOSES))]
LISTS = {"train": [0, 1, 2, 5, 9], "valid": [3, 6], "test": [4, 7, 8, 10]}


def write(folder: Path) -> None:
    """The release as unpacked."""
    rows = [
        (
            i + 1,
            diagnosis,
            "1",
            *["absent"] * 7,
            "low",
            "flat",
            "back" if i else "",
            "female" if i % 2 else "male",
            "excision",
            CLINIC[i],
            DERM[i],
            "",
            "",
        )
        for i, diagnosis in enumerate(DIAGNOSES)
    ]
    table(folder / "meta" / "meta.csv", HEADER, rows)
    for name, places in LISTS.items():
        table(folder / "meta" / f"{name}_indexes.csv", ("indexes",), [(place,) for place in places])
    for number, path in enumerate([*CLINIC, *DERM]):
        picture(folder / "images" / path, number)
