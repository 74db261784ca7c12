"""Open-i as passed on at Kaggle: a film per view, terms with places, a report that nobody indexed,
a mass outside the lung, a film whose report is missing."""

from pathlib import Path

from tests.data.sources.trees import picture, table

REPORTS = [
    ("1", "normal"),
    ("2", "Cardiomegaly/borderline;Pulmonary Artery/enlarged"),
    ("3", "Opacity/lung/base/left;Thickening/pleura/apex/bilateral;Emphysema"),
    ("4", "Mass/mediastinum/right;Subcutaneous Emphysema;Nodule/lung/lingula"),
    ("5", "No Indexing"),
    ("6", "Opacity/retrocardiac;Thickening/bronchovascular;Airspace Disease/lung/lingula"),
]
FILMS = [
    ("1", "1_IM-0001-4001.dcm.png", "Frontal"),
    ("1", "1_IM-0001-3001.dcm.png", "Lateral"),
    ("2", "2_IM-0652-1001.dcm.png", "Frontal"),
    ("3", "3_IM-1384-1001.dcm.png", "Frontal"),
    ("4", "4_IM-2050-1001.dcm.png", "Frontal"),
    ("5", "5_IM-2117-1003002.dcm.png", "Frontal"),
    ("6", "6_IM-2192-1001.dcm.png", "Lateral"),
    ("7", "7_IM-2263-1001.dcm.png", "Frontal"),
]
HEADER = ("uid", "MeSH", "Problems", "image", "indication", "findings", "impression")


def write(folder: Path) -> None:
    """Both tables and the films."""
    rows = [(uid, mesh, "", "Xray Chest PA and Lateral", "", "XXXX", "") for uid, mesh in REPORTS]
    table(folder / "indiana_reports.csv", HEADER, rows)
    table(folder / "indiana_projections.csv", ("uid", "filename", "projection"), FILMS)
    for number, (_, name, _) in enumerate(FILMS):
        picture(folder / "images" / "images_normalized" / name, number)
