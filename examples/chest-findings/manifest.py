"""Findings on chest radiographs of the NIH set, several at once.

python examples/chest-findings/manifest.py FOLDER_OF_SHARED_DATA
"""

import sys
from pathlib import Path

import polars as pl

FINDINGS = ("Atelectasis", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumothorax")
"""Those with a few dozen positives or more in this subset."""


def age_band() -> pl.Expr:
    age = pl.col("age")
    young, middle, old = pl.lit("under 40"), pl.lit("40 to 59"), pl.lit("60 and over")
    band = pl.when(age < 40).then(young).when(age < 60).then(middle).otherwise(old)
    return pl.when(age.is_not_null()).then(band)


def main(shared: Path) -> None:
    table = pl.read_parquet(shared / "cxr_nih64.parquet")
    manifest = table.select(
        "image_id",
        *FINDINGS,
        case_id=pl.col("image_id"),
        patient_id=pl.col("patient_id"),
        cohort=pl.lit("nih"),
        view=pl.col("view"),
        sex=pl.col("sex"),
        age_band=age_band(),
        image=pl.col("image"),
    )
    target = Path(__file__).with_name("manifest.parquet")
    manifest.write_parquet(target)
    print(f"wrote {target.name}: {len(manifest)} images")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
