"""VinDr-Mammo: BI-RADS of the breast, findings as a list in one text, one row per box."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = (
    "study_id",
    "series_id",
    "image_id",
    "laterality",
    "view_position",
    "height",
    "width",
    "breast_birads",
    "breast_density",
    "split",
)
# study, image, side, view, birads, density, split
IMAGES = [
    ("b8d27321", "d8125545a2", "L", "CC", "4", "C", "training"),
    ("b8d27321", "290c658f4e", "L", "MLO", "4", "C", "training"),
    ("b8d27321", "cd0fc7bc53", "R", "CC", "2", "C", "training"),
    ("8269f5971e", "0025a5dc99", "R", "CC", "1", "B", "training"),
    ("48f30e2c7e", "8d1a7d5ef9", "L", "MLO", "5", "D", "test"),
    ("48f30e2c7e", "4f5a7d5ef0", "R", "MLO", "3", "D", "test"),
]
BOXES = [
    ("d8125545a2", "['Mass', 'Skin Retraction']"),
    ("d8125545a2", "['Suspicious Calcification']"),
    ("290c658f4e", "['Mass']"),
    ("cd0fc7bc53", "['No Finding']"),
    ("0025a5dc99", "['No Finding']"),
    ("8d1a7d5ef9", "['Focal Asymmetry']"),
]


def write(folder: Path) -> None:
    """The archive of PhysioNet."""
    rows = [
        (
            study,
            "s" + image,
            image,
            side,
            view,
            "3518",
            "2800",
            f"BI-RADS {birads}",
            f"DENSITY {density}",
            split,
        )
        for study, image, side, view, birads, density, split in IMAGES
    ]
    table(folder / "breast-level_annotations.csv", HEADER, rows)
    by_image = {row[2]: row for row in rows}
    finding = (
        *HEADER[:9],
        "finding_categories",
        "finding_birads",
        "xmin",
        "ymin",
        "xmax",
        "ymax",
        "split",
    )
    boxes = [
        (*by_image[image][:9], categories, "BI-RADS 4", "1", "1", "5", "5", by_image[image][9])
        for image, categories in BOXES
    ]
    table(folder / "finding_annotations.csv", finding, boxes)
    metadata = ("SOP Instance UID", "Patient's Age", "Manufacturer", "Manufacturer's Model Name")
    ages = ("053Y", "053Y", "053Y", "000Y", "", "061Y")
    header_rows = [
        (row[2], age, "SIEMENS", "Mammomat Inspiration")
        for row, age in zip(rows, ages, strict=True)
    ]
    table(folder / "metadata.csv", metadata, header_rows)
    for number, row in enumerate(rows):
        picture(folder / "images" / row[0] / f"{row[2]}.dicom", number)
