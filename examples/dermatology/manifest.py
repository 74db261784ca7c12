"""Skin lesions of two hospitals under one vocabulary: HAM10000 and PAD-UFES-20.

python examples/dermatology/manifest.py FOLDER_OF_SHARED_DATA
"""

import sys
from pathlib import Path

import polars as pl

SHARED_CLASSES = {
    "mel": "MEL", "nv": "NV", "bcc": "BCC", "akiec": "AKIEC", "bkl": "BKL", "df": "DF",
    "vasc": "VASC",
    # PAD-UFES-20: actinic keratosis and squamous carcinoma are what HAM10000 calls akiec
    "MEL": "MEL", "NEV": "NV", "BCC": "BCC", "ACK": "AKIEC", "SCC": "AKIEC", "SEK": "BKL",
}  # fmt: skip


def age_band() -> pl.Expr:
    age = pl.col("age")
    young, middle = pl.lit("under 40"), pl.lit("40 to 59")
    band = (
        pl.when(age < 40).then(young).when(age < 60).then(middle).otherwise(pl.lit("60 and over"))
    )
    # age 0 stands for unknown in HAM10000
    return pl.when(age > 0).then(band)


def read(path: Path, cohort: str) -> pl.DataFrame:
    table = pl.read_parquet(path)
    skin = pl.col("fitzpatrick") if "fitzpatrick" in table.columns else pl.lit(None, pl.Float64)
    # one lesion is one case, with all its photographs
    lesion = pl.format("{}-{}", "patient_id", "lesion_id")
    return table.select(
        image_id=pl.format("{}-{}", pl.lit(cohort), "image_id"),
        case_id=pl.format("{}-{}", pl.lit(cohort), lesion),
        patient_id=pl.format("{}-{}", pl.lit(cohort), "patient_id"),
        lesion_id=pl.format("{}-{}", pl.lit(cohort), lesion),
        cohort=pl.lit(cohort),
        diagnosis=pl.col("label").replace_strict(SHARED_CLASSES),
        sex=pl.col("sex"),
        age_band=age_band(),
        skin_type=pl.when(skin <= 2)
        .then(pl.lit("I-II"))
        .when(skin <= 4)
        .then(pl.lit("III-IV"))
        .when(skin <= 6)
        .then(pl.lit("V-VI")),
        image=pl.col("image"),
    )


def main(shared: Path) -> None:
    cohorts = [
        read(shared / "derm_ham10000.parquet", "ham10000"),
        read(shared / "derm_pad_ufes.parquet", "pad-ufes"),
    ]
    target = Path(__file__).with_name("manifest.parquet")
    pl.concat(cohorts).write_parquet(target)
    print(f"wrote {target.name}: {sum(map(len, cohorts))} images")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
