"""CBIS-DDSM in three layouts: a film per folder, one row per abnormality, patients in both tables
and in both parts, two spellings of the density, an assessment that is incomplete."""

from collections.abc import Iterator
from pathlib import Path

from tests.data.sources.trees import picture, table

MASS = (
    "patient_id",
    "breast_density",
    "left or right breast",
    "image view",
    "abnormality id",
    "abnormality type",
    "mass shape",
    "mass margins",
    "assessment",
    "pathology",
    "subtlety",
    "image file path",
    "cropped image file path",
    "ROI mask file path",
)
CALC = (*MASS[:1], "breast density", *MASS[2:6], "calc type", "calc distribution", *MASS[8:])
# patient, density, side, view, abnormality, assessment, pathology
TABLES = {
    ("mass", "Training", "train"): [
        ("P_00001", "3", "LEFT", "CC", "1", "2", "BENIGN_WITHOUT_CALLBACK"),
        ("P_00001", "3", "LEFT", "CC", "2", "4", "MALIGNANT"),
        ("P_00001", "3", "LEFT", "MLO", "1", "3", "BENIGN"),
        ("P_00001", "3", "RIGHT", "CC", "1", "3", "BENIGN"),
        ("P_00002", "1", "RIGHT", "MLO", "1", "0", "BENIGN"),
    ],
    ("mass", "Test", "test"): [("P_00016", "2", "LEFT", "CC", "1", "5", "MALIGNANT")],
    ("calc", "Training", "train"): [
        ("P_00016", "2", "LEFT", "MLO", "1", "4", "BENIGN"),
        ("P_00005", "4", "RIGHT", "CC", "1", "3", "BENIGN"),
    ],
    ("calc", "Test", "test"): [
        ("P_00038", "2", "LEFT", "CC", "1", "2", "BENIGN_WITHOUT_CALLBACK"),
        ("P_00038", "2", "LEFT", "MLO", "1", "2", "BENIGN"),
    ],
}


def names() -> Iterator[tuple[str, str]]:
    """Each film's name and series."""
    seen: dict[str, str] = {}
    for (kind, part, _), rows in TABLES.items():
        for row in rows:
            name = f"{kind.capitalize()}-{part}_{row[0]}_{row[2]}_{row[3]}"
            seen.setdefault(name, f"1.3.6.1.4.1.9590.{100 + len(seen)}")
    yield from seen.items()


def write_tables(folder: Path) -> None:
    """The four tables."""
    series = dict(names())
    for (kind, part, file), rows in TABLES.items():
        lines: list[tuple[str, ...]] = []
        for patient, density, side, view, number, assessment, pathology in rows:
            name = f"{kind.capitalize()}-{part}_{patient}_{side}_{view}"
            path = f"{name}/1.3.6.1.4.1.9590.1/{series[name]}/000000.dcm"
            crop = f"{name}_{number}/1.3.6.1.4.1.9590.2/1.3.6.1.4.1.9590.9/000000.dcm\n"
            lines.append(
                (
                    patient,
                    density,
                    side,
                    view,
                    number,
                    kind,
                    "OVAL",
                    "N/A",
                    assessment,
                    pathology,
                    "4",
                    path,
                    crop,
                    crop,
                )
            )
        header = CALC if kind == "calc" else MASS
        table(folder / "csv" / f"{kind}_case_description_{file}_set.csv", header, lines)


def write(folder: Path) -> None:
    """As on Kaggle: JPEG files in folders called as the series, and a table of what they are."""
    write_tables(folder)
    rows: list[tuple[str, ...]] = []
    for number, (name, series) in enumerate(names()):
        picture(folder / "jpeg" / series / f"1-{number:03}.jpg", number)
        described = "" if number == 1 else "full mammogram images"
        rows.append((f"CBIS-DDSM/jpeg/{series}/1-{number:03}.jpg", name, described, series))
    series = next(series for _, series in names())
    picture(folder / "jpeg" / series / "2-999.jpg", 99)
    rows.append((f"CBIS-DDSM/jpeg/{series}/2-999.jpg", "x", "cropped images", series))
    header = ("image_path", "PatientID", "SeriesDescription", "SeriesInstanceUID")
    table(folder / "csv" / "dicom_info.csv", header, rows)


def write_classic(folder: Path) -> None:
    """As at TCIA, folders called as the series."""
    write_tables(folder)
    for number, (name, series) in enumerate(names()):
        picture(folder / "CBIS-DDSM" / name / "1.3.6.1.4.1.9590.1" / series / "1-1.dcm", number)


def write_described(folder: Path) -> None:
    """As at TCIA, folders called as the series' descriptions."""
    write_tables(folder)
    for number, (name, series) in enumerate(names()):
        place = folder / "CBIS-DDSM" / name / "07-20-2016-DDSM-96009"
        picture(place / f"1.000000-full mammogram images-{series[-5:]}" / "1-1.dcm", number)
        crops = folder / "CBIS-DDSM" / f"{name}_1" / "07-20-2016-DDSM-96009"
        picture(crops / "1.000000-cropped images-9" / "1-1.dcm", number + 100)
