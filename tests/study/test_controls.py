"""Negative controls of a study: rungs that should fail, and a sentence where they do not."""

from pathlib import Path

import polars as pl
import pytest
from tests.in_process import run_here

from medtransfer import export_bundle, recommend
from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.errors import ConfigError, StudyError
from medtransfer.models.ladder import find_rung
from medtransfer.report.questions.controls import control_cautions
from medtransfer.study.config import Study
from medtransfer.study.yaml_file import read_study

CONTROLS = ("shuffled_labels", "border_only", "patch_shuffled")
RUNG = "tiny-100k/r26x0.25"


def settings(manifest: Path) -> dict[str, object]:
    return {
        "name": "controls",
        "data": {
            "manifest": manifest,
            "task": "binary",
            "targets": ["malignant"],
            "image": {"resize": 36, "crop": 32},
            "split": {"train_cohorts": ["a"], "test_fraction": 0.4},
        },
        "rungs": [RUNG, "scratch/r14x0.5"],
        "controls": CONTROLS,
        "seeds": [0],
        "training": {"tuning": {"mode": "linear", "penalties": [1.0, 0.01]}},
        "evaluation": {"replicates": 100, "permutations": 0},
    }


def test_controls_are_rungs_of_the_reference_however_often_they_are_read(tmp_path: Path) -> None:
    study = Study.model_validate(settings(tmp_path / "m.parquet"))
    names = [entry.rung for entry in study.rungs]
    ends = ("shuffled-labels", "border-only", "patch-shuffled")
    assert names == [RUNG, "scratch/r14x0.5", *(f"{RUNG}@{end}" for end in ends)]
    again = Study.model_validate(study.model_dump(exclude_unset=True))
    assert again == study
    plain = {k: v for k, v in settings(tmp_path / "m.parquet").items() if k != "controls"}
    assert len(Study.model_validate(plain).rungs) == 2


@pytest.mark.slow
def test_a_control_of_labels_fails_and_one_of_images_is_told(tmp_path: Path) -> None:
    hospitals = {"a": Hospital(300), "b": Hospital(24)}
    write_phantom(
        Phantom(kind="lesion", hospitals=hospitals, size=32, signal=1.5, seed=3),
        tmp_path / "lesion.parquet",
    )
    study = Study.model_validate(settings(tmp_path / "lesion.parquet"))
    folder = run_here(study, tmp_path / "s")
    results = pl.read_parquet(folder.path / "results.parquet").filter(
        pl.col("run_id").is_null()
        & (pl.col("metric") == "auroc")
        & (pl.col("cohort") == "a")
        & (pl.col("attribute") == "all")
    )
    values = dict(results.select("rung", "value").iter_rows())
    assert values[RUNG] > 0.85
    assert values[f"{RUNG}@shuffled-labels"] < 0.7
    assert values[f"{RUNG}@border-only"] < values[RUNG]
    assert read_study(folder.path / "study.yaml").rungs == study.rungs
    recommendation = recommend(folder)
    assert recommendation.rung in (None, RUNG, "scratch/r14x0.5")
    left_out = dict(recommendation.rests_on.left_out)
    assert left_out[f"{RUNG}@border-only"] == "is a negative control"
    with pytest.raises(StudyError, match="is a negative control: no bundle"):
        export_bundle(folder, tmp_path / "b.medt", rung=f"{RUNG}@border-only")


def test_a_control_above_chance_has_a_sentence_and_others_have_none() -> None:
    def row(rung: str, low: float) -> dict[str, object]:
        return {
            "run_id": None,
            "rung": rung,
            "cohort": "a",
            "target": "sick",
            "attribute": "all",
            "metric": "auroc",
            "label_fraction": 1.0,
            "value": low + 0.1,
            "low": low,
            "high": low + 0.2,
        }

    names = (RUNG, f"{RUNG}@shuffled-labels", f"{RUNG}@border-only")
    rows = [row(name, low) for name, low in zip(names, (0.7, 0.4, 0.6), strict=True)]
    (sentence,) = control_cautions(pl.DataFrame(rows, schema_overrides={"run_id": pl.String}))
    assert sentence.startswith(
        f"Negative control {RUNG}@border-only does not fail on a (sick): AUROC 0.70 [0.60, 0.80]."
    )
    assert "the borders of the images tell the target" in sentence


def test_what_can_be_a_control() -> None:
    assert find_rung("scratch/r26x0.25@border-only").is_random
    assert find_rung("embeddings/e@shuffled-labels").start is not None
    with pytest.raises(ConfigError, match="reads no image that could be changed"):
        find_rung("embeddings/e@border-only")
