"""Manifest of mammogram regions of the mini-MIAS set, with the target `abnormal`.

python examples/mammography/manifest.py FOLDER_OF_SHARED_DATA
"""

import sys
from pathlib import Path

import polars as pl

DENSITY = {"F": "fatty", "G": "fatty-glandular", "D": "dense"}


def main(shared: Path) -> None:
    table = pl.read_parquet(shared / "mammo_mias_roi.parquet")
    manifest = table.select(
        "image_id",
        "laterality",
        "view",
        # the breast is the case: two lesions on one film are two images of one case
        case_id=pl.col("source_image"),
        patient_id=pl.col("patient_id"),
        cohort=pl.lit("mini-mias"),
        abnormal=(pl.col("label") != "normal").cast(pl.Int8),
        density=pl.col("tissue").replace_strict(DENSITY),
        image=pl.col("image"),
    )
    target = Path(__file__).with_name("manifest.parquet")
    manifest.write_parquet(target)
    print(f"wrote {target.name}: {len(manifest)} images")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
