"""Write the miniature's manifests from the shared real images.

python benchmarks/miniature/targets.py SHARED_DATA OUT
"""

import sys
from pathlib import Path

import polars as pl

AGES = [40, 60]
AGE_BANDS = ["under 40", "40 to 60", "over 60"]


def table(folder: Path, name: str, cohort: str | None = None) -> pl.DataFrame:
    frame = pl.read_parquet(folder / f"{name}.parquet")
    return frame.with_columns(
        case_id=pl.col("image_id").cast(pl.String),
        image_id=pl.col("image_id").cast(pl.String),
        patient_id=pl.col("patient_id").cast(pl.String),
        cohort=pl.lit(cohort or name),
        split=pl.col("split").replace("val", "tune"),
    )


def age_band() -> pl.Expr:
    age = pl.when(pl.col("age") > 0).then(pl.col("age"))
    return age.cast(pl.Float64).cut(AGES, labels=AGE_BANDS).cast(pl.String).alias("age_band")


def dermatology(folder: Path) -> pl.DataFrame:
    columns = [
        "image_id",
        "image",
        "case_id",
        "patient_id",
        "cohort",
        "split",
        "malignant",
        "sex",
        "age_band",
    ]
    sites = {"ham10000": "derm_ham10000", "pad_ufes_20": "derm_pad_ufes"}
    parts = [
        table(folder, name, cohort).with_columns(age_band(), pl.col("malignant").cast(pl.Int64))
        for cohort, name in sites.items()
    ]
    # all patients of a shifted cohort are test patients
    parts[1] = parts[1].with_columns(split=pl.lit("test"))
    return pl.concat([part.select(columns) for part in parts])


def chest(folder: Path) -> pl.DataFrame:
    frame = table(folder, "cxr_nih64").with_columns(
        abnormal=(pl.col("label") == "abnormal").cast(pl.Int64)
    )
    return frame.select(
        "image_id", "image", "case_id", "patient_id", "cohort", "split", "abnormal", "sex", "view"
    )


def plain(folder: Path, name: str) -> pl.DataFrame:
    frame = table(folder, name)
    return frame.select("image_id", "image", "case_id", "patient_id", "cohort", "split", "label")


def main() -> None:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    dermatology(folder).write_parquet(out / "dermatology.parquet")
    chest(folder).write_parquet(out / "chest.parquet")
    plain(folder, "us_busi").write_parquet(out / "breast.parquet")
    plain(folder, "blood_bccd").write_parquet(out / "blood.parquet")


if __name__ == "__main__":
    main()
