"""NLBS as it unpacks: paths of Windows, three folders, a view taken twice, one file name under
several women, a woman with images of two ages."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = (
    *("File Path", "Image Laterality", "View Position", "Age", "Window Center", "Window Width"),
    *("Cancer", "Hard to State Negative"),
)
# folder at the top, woman, side with a cancer, ages of left and right
WOMEN = [
    ("normal", "p_1024", "", ("55", "55")),
    ("normal", "p_0787", "", ("67", "69")),
    ("False Positive", "p_3001", "", ("61", "61")),
    ("abnormal", "p_4478", "right", ("58", "58")),
    ("abnormal", "p_4363", "left", ("nan", "nan")),
]


def write(folder: Path) -> None:
    """The table and the images."""
    rows: list[tuple[object, ...]] = []
    for top, woman, sick, ages in WOMEN:
        number = 0
        for side, letter, age in zip(("left", "right"), "LR", ages, strict=True):
            for view in ("CC", "CC", "MLO") if woman == "p_1024" else ("CC", "MLO"):
                number += 1
                place = f"{side}-c" if side == sick else side
                name = f"IM-0100-{number:04d}-0001.dcm"
                flags = (int(side == sick), int(top == "False Positive"))
                path = (top, woman, place, view, name)
                rows.append(("\\".join(path), letter, view, age, 2000, 1500, *flags))
                picture(folder.joinpath(*path), len(rows))
    table(folder / "NLBSD_Metadata.csv", HEADER, rows)
