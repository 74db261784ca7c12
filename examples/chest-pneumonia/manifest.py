"""Pneumonia on chest radiographs: children in Guangzhou, then adults elsewhere.

python examples/chest-pneumonia/manifest.py FOLDER_OF_SHARED_DATA
"""

import sys
from pathlib import Path

import polars as pl

POSITIVE = ("pneumonia", "COVID-19", "Other pneumonia")
NEGATIVE = ("normal", "No Finding")


def read(path: Path, cohort: str) -> pl.DataFrame:
    table = pl.read_parquet(path)
    label = pl.col("label")
    return table.select(
        image_id=pl.format("{}-{}", pl.lit(cohort), "image_id"),
        # films of several days: each is a case of its own
        case_id=pl.format("{}-{}", pl.lit(cohort), "image_id"),
        patient_id=pl.format("{}-{}", pl.lit(cohort), "patient_id"),
        cohort=pl.lit(cohort),
        pneumonia=pl.when(label.is_in(POSITIVE)).then(1).when(label.is_in(NEGATIVE)).then(0),
        view=pl.col("view"),
        image=pl.col("image"),
    )


def main(shared: Path) -> None:
    cohorts = [
        read(shared / "cxr_kermany.parquet", "guangzhou-children"),
        read(shared / "cxr_actualmed.parquet", "actualmed-adults"),
        read(shared / "cxr_covid.parquet", "covid-adults"),
    ]
    target = Path(__file__).with_name("manifest.parquet")
    pl.concat(cohorts).write_parquet(target)
    print(f"wrote {target.name}: {sum(map(len, cohorts))} images")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
