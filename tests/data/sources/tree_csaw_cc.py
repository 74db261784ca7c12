"""CSAW-CC as it is given out: four views an exam, a cancer found at screening, one between two
screenings and one later, a cancer without a side, women without cancer."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = (
    *("anon_patientid", "exam_year", "anon_filename", "x_age", "x_case", "x_cancer_laterality"),
    *("x_type", "x_lymphnode_met", "rad_timing", "rad_r1", "rad_r2", "rad_recall"),
    *("rad_recall_type_right", "rad_recall_type_left", "imagelaterality", "viewposition"),
    *("libra_breastarea", "libra_densearea", "libra_percentdensity"),
)
# woman, year, age, case, side, timing
EXAMS = [
    (2, 2015, 1, 1, "Left", 2),
    (4, 2012, 1, 0, "NA", ""),
    (4, 2014, 1, 0, "NA", ""),
    (12, 2009, 1, 1, "Right", 3),
    (12, 2012, 1, 1, "Right", 2),
    (21, 2010, 2, 1, "Left", 1),
    (30, 2011, 2, 1, "Both", 1),
]
SIDES = {"L": "Left", "R": "Right"}


def write(folder: Path) -> None:
    """The table and the images."""
    rows: list[tuple[object, ...]] = []
    for exam, (woman, year, age, case, cancer, timing) in enumerate(EXAMS):
        for side, word in SIDES.items():
            for view in ("CC", "MLO"):
                name = f"{woman:05d}_20990909_{side}_{view}_{exam}.dcm"
                facts = (woman, year, name, age, case, cancer, "", "", timing, 0, 0, 0, "", "")
                rows.append((*facts, word, view, 127.2, 29.5, 23.2))
    table(folder / "CSAW-CC_breast_cancer_screening_data.csv", HEADER, rows)
    for number, row in enumerate(rows):
        picture(folder / "images" / str(row[2]), number)
