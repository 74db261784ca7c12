"""Shenzhen and Montgomery as published: readings of two forms, masks that are called like films, a
film without a reading, a reading without an age."""

from pathlib import Path

from tests.data.sources.trees import picture

SHENZHEN, MONTGOMERY = "Shenzhen-Hospital-CXR-Set", "MontgomerySet"
READINGS = {
    f"{SHENZHEN}/CHNCXR_0001_0": "male 45yrs\nnormal",
    f"{SHENZHEN}/CHNCXR_0002_0": "Female  \nnormal, 12 months after a fall",
    f"{SHENZHEN}/CHNCXR_0327_1": "female 8yrs\nright PTB, male relative",
    f"{SHENZHEN}/CHNCXR_0328_1": None,
    f"{MONTGOMERY}/MCUCXR_0001_0": "Patient's Sex: F\nPatient's Age: 027Y\nnormal",
    f"{MONTGOMERY}/MCUCXR_0104_1": "Patient's Sex: M\nPatient's Age: 040Y\ncavity, 3 Y old",
}


def write(folder: Path) -> None:
    """Both sets side by side, with masks."""
    for number, (place, text) in enumerate(READINGS.items()):
        home, name = place.split("/")
        picture(folder / home / "CXR_png" / f"{name}.png", number)
        if text is not None:
            path = folder / home / "ClinicalReadings" / f"{name}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    picture(folder / MONTGOMERY / "ManualMask" / "leftMask" / "MCUCXR_0001_0.png", 90)
    picture(folder / SHENZHEN / "mask" / "CHNCXR_0327_1_mask.png", 91)
