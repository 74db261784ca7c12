"""MIAS: a preface, a line per abnormality, lines without a place, notes in place of numbers."""

from pathlib import Path

from tests.data.sources.trees import picture

LINES = (
    "REFNUM BG CLASS SEVERITY X Y RADIUS",
    "mdb001 G CIRC B 535 425 197",
    "mdb002 G CIRC B 522 280 69",
    "mdb003 D NORM ",
    "mdb004 D NORM",
    "mdb005 F CIRC B 477 133 30",
    "mdb005 F MISC M 500 168 26",
    "mdb006 F NORM",
    "mdb059 F CIRC B *NOTE 3*",
    "mdb060 F NORM",
    "mdb216 D CALC M",
)


def write(folder: Path) -> None:
    """The list and the films."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Info.txt").write_text("\n".join(LINES) + "\n")
    for number, name in enumerate(sorted({line[:6] for line in LINES[1:]})):
        picture(folder / "all-mias" / f"{name}.png", number)
