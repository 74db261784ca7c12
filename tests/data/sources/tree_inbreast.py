"""INbreast: semicolons, removed patients, blank densities, BI-RADS 4a to 4c."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = (
    "Patient ID",
    "Patient age",
    "Laterality",
    "View",
    "Acquisition date",
    "File Name",
    "ACR",
    "Bi-Rads",
)
# patient, side, view, date, file, ACR, BI-RADS
IMAGES = [
    ("6c613a14b80a8591", "R", "CC", "201001", "20586908", "3", "4a"),
    ("6c613a14b80a8591", "R", "MLO", "201001", "20586934", "3", "3"),
    ("6c613a14b80a8591", "L", "CC", "201001", "20586960", "3", "2"),
    ("6c613a14b80a8591", "R", "CC", "201107", "20588046", "2", "6"),
    ("8d0b9620c53c0268", "L", "MLO", "200804", "20587080", "    ", "1"),
    ("8d0b9620c53c0268", "L", "CC", "200804", "20587054", "4", "5"),
]


def write(folder: Path) -> None:
    """The release as unpacked."""
    rows = [
        ("removed", "removed", side, view, date, name, acr, birads)
        for _, side, view, date, name, acr, birads in IMAGES
    ]
    table(folder / "INbreast.csv", HEADER, rows, ";")
    for number, (patient, side, view, _, name, *_) in enumerate(IMAGES):
        picture(folder / "AllDICOMs" / f"{name}_{patient}_MG_{side}_{view}_ANON.dcm", number)
