"""Mitigation in a study: further rungs beside the reference, with ids of their own."""

from pathlib import Path

import polars as pl
import pytest
from tests.in_process import run_here

from medtransfer.errors import ConfigError
from medtransfer.models.ladder import find_rung
from medtransfer.study.config import Study
from medtransfer.study.plan import plan_runs, read_data

RUNG = "scratch/r14x0.5"
NAMES = [f"{RUNG}@group-{method}" for method in ("sampling", "weights", "dro")]


def study_of(tiny_study: Study, **changes: object) -> Study:
    fields = tiny_study.model_dump(exclude_unset=True)
    fields["training"] = dict(fields["training"]) | {"mixup": 0}
    return Study.model_validate(fields | {"mitigation": {"groups": "sex"}} | changes)


def test_each_way_is_a_rung_and_others_keep_their_ids(tiny_study: Study, tmp_path: Path) -> None:
    study = study_of(tiny_study)
    assert [entry.rung for entry in study.rungs] == [RUNG, *NAMES]
    assert Study.model_validate(study.model_dump(exclude_unset=True)) == study
    plain = study_of(tiny_study, mitigation=None)
    data = read_data(study, tmp_path / "images.parquet")
    ids = {run.cell.rung: run.run_id for run in plan_runs(study, data)}
    assert ids[RUNG] == plan_runs(plain, data)[0].run_id
    assert len(set(ids.values())) == 4
    assert find_rung(NAMES[2]).is_random


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {}}, "mitigation dro mixes no cases of several groups: set mixup to 0"),
        ({"training": {"tuning": {"mode": "linear"}}}, "tuning.mode linear has no mitigation"),
        ({"mitigation": None, "rungs": NAMES[:1]}, "mitigation names no groups, which"),
        ({"mitigation": {"groups": "sex", "methods": []}}, "at least 1 item"),
    ],
)
def test_what_cannot_be(tiny_study: Study, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        study_of(tiny_study, **changes)
    with pytest.raises(ConfigError, match="@group-weights"):
        find_rung(f"{RUNG}@group-luck")


@pytest.mark.slow
def test_a_study_runs_them_beside_the_reference(tiny_study: Study, tmp_path: Path) -> None:
    folder = run_here(study_of(tiny_study), tmp_path / "s")
    results = pl.read_parquet(folder.path / "results.parquet")
    assert set(results["rung"].drop_nulls()) >= {RUNG, *NAMES}
    gaps = results.filter((pl.col("attribute") == "sex") & pl.col("rung").is_in(NAMES))
    assert not gaps.is_empty()
    logits = pl.read_parquet(folder.path / "predictions.parquet")
    assert (
        logits.group_by("case_id")
        .agg(pl.col("logit_malignant").n_unique() == 4)["logit_malignant"]
        .all()
    )
