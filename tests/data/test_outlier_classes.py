"""Classes that no network learns: where their cases go, and what is left out."""

from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from medtransfer.data.config import DataConfig, SplitConfig
from medtransfer.data.splits import (
    OUTLIERS,
    assign_splits,
    internal_rows,
    leave_one_cohort_out,
    shifted_cohorts,
)
from medtransfer.errors import TableError
from medtransfer.runs.inputs import read_run_manifest


def config(
    folder: Path, dx: list[str], patients: list[str] | None = None, **more: object
) -> DataConfig:
    count = len(dx)
    frame = pl.DataFrame(
        {
            "image_id": [f"i{n}" for n in range(count)],
            "case_id": [f"c{n}" for n in range(count)],
            "patient_id": patients or [f"p{n}" for n in range(count)],
            "cohort": ["north", "south"] * (count // 2),
            "path": [f"{n}.png" for n in range(count)],
            "dx": dx,
        }
    )
    frame.write_csv(folder / "m.csv")
    settings = {
        "manifest": folder / "m.csv",
        "task": "single-label",
        "class_column": "dx",
        "targets": ["mel", "nv"],
        "outlier_classes": ["rare", "odd"],
    }
    return DataConfig.model_validate(settings | more)


DX = ["mel", "nv", "rare", "nv", "odd", "mel"] * 20


def test_their_cases_are_tested_without_a_label_and_never_trained_on(tmp_path: Path) -> None:
    data = config(tmp_path, DX)
    manifest = read_run_manifest(data)
    frame = assign_splits(manifest, data)
    apart = frame.filter(pl.col("cohort") == OUTLIERS)
    assert apart["image_id"].sort().to_list() == sorted(
        f"i{n}" for n, dx in enumerate(DX) if dx in ("rare", "odd")
    )
    assert {*apart["split"]} == {"test"}
    assert apart["dx"].null_count() == len(apart) == 40
    assert {*frame.filter(pl.col("cohort") != OUTLIERS)["dx"]} == {"mel", "nv"}
    assert not internal_rows(frame, data.split).filter(frame["cohort"] == OUTLIERS).any()
    note = "40 cases of outlier classes (rare, odd) are tested and not trained on."
    assert note in manifest.notes


def test_they_are_no_hospital(tmp_path: Path) -> None:
    data = config(tmp_path, DX)
    frame = read_run_manifest(data).frame
    assert shifted_cohorts(frame, SplitConfig(train_cohorts=("north",))) == ["south"]
    rounds = leave_one_cohort_out(frame, data.split)
    assert [split.train_cohorts for split in rounds] == [("south",), ("north",)]


def test_cases_of_patients_with_other_classes_are_left_out_and_counted(tmp_path: Path) -> None:
    patients = [f"p{n // 3}" for n in range(len(DX))]  # mel, nv, rare; nv, odd, mel
    patients[2] = "alone"
    manifest = read_run_manifest(config(tmp_path, DX, patients))
    assert manifest.frame.filter(pl.col("cohort") == OUTLIERS)["patient_id"].to_list() == ["alone"]
    assert len(manifest.frame) == 81
    assert manifest.notes[-1] == (
        "1 case of outlier classes (rare, odd) is tested and not trained on; 39 more left out, "
        "whose patients have cases of other classes."
    )
    patients[2] = "p0"
    with pytest.raises(TableError, match="no case is left to be tested as an outlier"):
        read_run_manifest(config(tmp_path, DX, patients))


def test_a_split_column_of_the_manifest_does_not_train_on_them(tmp_path: Path) -> None:
    data = config(tmp_path, DX)
    table = pl.read_csv(tmp_path / "m.csv").with_columns(split=pl.lit("train"))
    table.write_csv(tmp_path / "m.csv")
    frame = assign_splits(read_run_manifest(data), data)
    assert dict(frame.group_by("cohort").agg(pl.col("split").unique().first()).iter_rows()) == {
        "north": "train",
        "south": "train",
        OUTLIERS: "test",
    }


def test_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="names strange, which no row of 'dx' has"):
        read_run_manifest(config(tmp_path, DX, outlier_classes=["rare", "odd", "strange"]))
    with pytest.raises(ValidationError, match="nv is in targets and in outlier_classes"):
        config(tmp_path, DX, outlier_classes=["nv"])
    with pytest.raises(ValidationError, match="are classes of class_column, which is not given"):
        config(tmp_path, DX, task="multi-label", class_column=None)
    taken = config(tmp_path, DX)
    table = pl.read_csv(tmp_path / "m.csv").with_columns(cohort=pl.lit(OUTLIERS))
    table.write_csv(tmp_path / "m.csv")
    with pytest.raises(TableError, match="rename it to use outlier_classes"):
        read_run_manifest(taken)
