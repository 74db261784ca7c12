"""EMBED: one row per finding, of a side, of both or of none; pathology on the diagnostic exam only;
two kinds of images; a man; numbers stored with decimals."""

from pathlib import Path

from tests.data.sources.trees import picture, table

CLINICAL = (
    "empi_anon",
    "acc_anon",
    "study_date_anon",
    "desc",
    "age_at_study",
    "tissueden",
    "asses",
    "numfind",
    "side",
    "path_severity",
    "bside",
    "RACE_DESC",
    "ETHNIC_GROUP_DESC",
)
WHITE, BLACK = "Caucasian or White", "African American  or Black"
LOST, DECLINES, UNKNOWN = "Not Recorded", "Patient Declines", "Unknown, Unavailable or Unreported"
NOT, YES = "Non-Hispanic or Latino", "Hispanic or Latino"
SCREEN, DIAGNOSE = "MG Screen Bilateral", "MG Diagnostic Left"
FINDINGS = [
    # screening: something on the left, the right is calm; two months later it is proven
    ("6001", "81001", "2013-01-10", SCREEN, "51", "3.0", "A", "1", "L", "", "", WHITE, NOT),
    ("6001", "81001", "2013-01-10", SCREEN, "51", "3.0", "N", "2", "R", "", "", WHITE, NOT),
    ("6001", "81002", "2013-03-11", DIAGNOSE, "51", "3.0", "S", "1", "L", "4.0", "", WHITE, NOT),
    ("6001", "81002", "2013-03-11", DIAGNOSE, "51", "3.0", "M", "2", "L", "0.0", "", WHITE, NOT),
    # a negative exam: no side
    ("6002", "81003", "2014-05-02", SCREEN, "95.5", "1.0", "N", "0", "", "", "", BLACK, YES),
    # both sides
    ("6003", "81004", "2015-06-03", SCREEN, "", "2.0", "B", "1", "B", "", "", "Unknown", ""),
    ("6003", "81004", "2015-06-03", SCREEN, "", "4.0", "P", "2", "R", "1.0", "", "Unknown", ""),
    # a man, with a cancer of another organ
    ("6004", "81005", "2016-07-04", DIAGNOSE, "60", "5.0", "K", "1", "R", "6.0", "", WHITE, NOT),
    # bilateral, a finding of the left alone; the tissue was of the right
    ("6005", "81006", "2017-08-05", SCREEN, "44", "2.0", "S", "1", "L", "1.0", "R", LOST, DECLINES),
    ("6006", "81007", "2018-09-06", SCREEN, "70", "2.0", "P", "1", "L", "", "", "Asian", UNKNOWN),
]
METADATA = (
    "empi_anon",
    "acc_anon",
    "anon_dicom_path",
    "png_path",
    "png_filename",
    "FinalImageType",
    "ImageLateralityFinal",
    "ViewPosition",
    "spot_mag",
    "num_roi",
    "ROI_coords",
    "Manufacturer",
)
# patient, exam, kind, side, view
IMAGES = [
    ("6001", "81001", "2D", "L", "CC"),
    ("6001", "81001", "cview", "L", "MLO"),
    ("6001", "81001", "2D", "R", "CC"),
    ("6001", "81002", "2D", "L", "ML"),
    ("6002", "81003", "2D", "L", "CC"),
    ("6002", "81003", "2D", "R", "MLO"),
    ("6003", "81004", "2D", "L", "CC"),
    ("6003", "81004", "2D", "R", "CC"),
    ("6004", "81005", "2D", "R", "CC"),
    ("6009", "81009", "2D", "R", "CC"),
    ("6005", "81006", "2D", "L", "CC"),
    ("6005", "81006", "2D", "R", "CC"),
    ("6006", "81007", "2D", "L", "CC"),
    ("6006", "81007", "2D", "R", "CC"),
]
SPECIAL = (3,)
"""Images of a magnified view."""


def write(folder: Path, ending: str = "dcm") -> None:
    """The tables, and the images as DICOM or as PNG files."""
    table(folder / "tables" / "EMBED_OpenData_clinical.csv", CLINICAL, FINDINGS)
    rows: list[tuple[str, ...]] = []
    for number, (patient, exam, kind, side, view) in enumerate(IMAGES):
        path = f"/mnt/NAS2/mammo/anon_dicom/cohort_1/{patient}/{exam}/1.2.84.{number:04}.dcm"
        png = f"{number:08x}c0ffee.png"
        special = "1.0" if number in SPECIAL else "0.0"
        maker = "GE MEDICAL SYSTEMS" if patient == "6002" else "HOLOGIC, Inc."
        cells = (kind, side, view, special, "0", "()", maker)
        rows.append((patient, exam, path, f"/mnt/png/{png}", png, *cells))
        name = png if ending == "png" else f"1.2.84.{number:04}.dcm"
        picture(folder / "images" / "cohort_1" / patient / exam / name, number)
    table(folder / "tables" / "EMBED_OpenData_metadata.csv", METADATA, rows)
