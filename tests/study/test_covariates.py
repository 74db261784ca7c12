"""Clinical data beside images: twins of every rung, a check of leaks, and what the data give."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.in_process import run_here

from medtransfer import export_bundle
from medtransfer.data.cases import Cases
from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.errors import StudyError, TableError
from medtransfer.report.page import write_report
from medtransfer.runs.events import Event, RunEnded, RunExtended
from medtransfer.runs.inputs import InputsChangedError, RunData, changed_inputs
from medtransfer.runs.understanding.covariates import with_permuted
from medtransfer.study.check import check_study
from medtransfer.study.config import Study
from medtransfer.study.plan import plan_runs, read_data

PROBE = {"tuning": {"mode": "linear", "penalties": [1.0, 0.01]}}


def study_of(tiny_study: Study, manifest: Path | None = None, **changes: object) -> Study:
    fields = tiny_study.model_dump(exclude_unset=True)
    if manifest is not None:
        fields["data"] = dict(fields["data"]) | {"manifest": manifest}
    return Study.model_validate(fields | {"covariates": ["age", "sex"]} | changes)


def told(table: Path, path: Path, strength: float, **columns: pl.Expr) -> Path:
    """The phantom's table with a marker in blood that tells the target, more or less."""
    frame = pl.read_parquet(table)
    draw = np.random.default_rng(0)
    truth = frame["malignant"].cast(pl.Float64).fill_null(0.0).to_numpy()
    marker = np.round(50 + 10 * (strength * truth + draw.normal(size=len(frame))), 1)
    frame = frame.with_columns(pl.Series("crp", marker), **columns)
    frame.write_parquet(path)
    return path


def test_every_rung_has_its_twins_and_the_plain_ones_keep_their_ids(
    tiny_study: Study, tmp_path: Path
) -> None:
    plain = Study.model_validate(tiny_study.model_dump(exclude_unset=True))
    study = study_of(tiny_study)
    names = ["scratch/r14x0.5", "scratch/r14x0.5@covariates", "metadata-only/linear"]
    assert [entry.rung for entry in study.rungs] == names
    again = Study.model_validate(study.model_dump(exclude_unset=True))
    assert again == study
    data = read_data(study, tmp_path / "images.parquet")
    ids = {run.cell.rung: run.run_id for run in plan_runs(study, data)}
    (alone,) = plan_runs(plain, read_data(plain, tmp_path / "images.parquet"))
    assert ids["scratch/r14x0.5"] == alone.run_id
    assert len(set(ids.values())) == 3
    with pytest.raises(ValueError, match="covariates names no column, which metadata_only needs"):
        study_of(tiny_study, covariates=[], controls=["metadata_only"])


def test_a_value_that_changes_while_a_study_runs_stops_the_runs_that_see_it(
    tiny_study: Study, tmp_path: Path
) -> None:
    frame = pl.read_parquet(tiny_study.data.manifest)
    frame.write_parquet(tmp_path / "table.parquet")
    study, memory = study_of(tiny_study, tmp_path / "table.parquet"), tmp_path / "images.parquet"
    data = read_data(study, memory)
    planned = {run.cell.rung: run for run in plan_runs(study, data)}
    age = pl.when(pl.int_range(pl.len()) == 0).then(pl.col("age") + 1).otherwise("age")
    frame.with_columns(age=age).write_parquet(tmp_path / "table.parquet")
    for rung, run in planned.items():
        sees = rung != "scratch/r14x0.5"
        images = rung != "metadata-only/linear"
        with pytest.raises(InputsChangedError) if sees else nullcontext():
            RunData(run.cell.run, memory, run.inputs, images=images)
    message = changed_inputs(study.data, data.manifest, data.facts, memory, ("age",))
    assert "ids, splits, clinical data or labels of 1 row, row " in message


@pytest.mark.slow
def test_a_changed_value_is_another_run(tiny_study: Study, tmp_path: Path) -> None:
    def ids(path: Path) -> dict[str, str]:
        study = study_of(tiny_study, path)
        runs = plan_runs(study, read_data(study, tmp_path / "images.parquet"))
        return {run.cell.rung: run.run_id for run in runs}

    before = ids(tiny_study.data.manifest)
    frame = pl.read_parquet(tiny_study.data.manifest)
    at_home = pl.col("cohort") == "a"
    frame.with_columns(pl.when(at_home).then(33).otherwise("age").alias("age")).write_parquet(
        tmp_path / "home.parquet"
    )
    frame.with_columns(pl.when(~at_home).then(33).otherwise("age").alias("age")).write_parquet(
        tmp_path / "away.parquet"
    )
    home, away = ids(tmp_path / "home.parquet"), ids(tmp_path / "away.parquet")
    assert away == before  # test cases are predicted again, nothing is trained
    assert home["scratch/r14x0.5"] == before["scratch/r14x0.5"]
    assert home["scratch/r14x0.5@covariates"] != before["scratch/r14x0.5@covariates"]
    assert home["metadata-only/linear"] != before["metadata-only/linear"]


def test_check_finds_a_covariate_that_is_the_answer_and_values_unseen(
    tiny_study: Study, tmp_path: Path
) -> None:
    ward = pl.when(pl.col("cohort") == "a").then(pl.lit("A1")).otherwise(pl.lit("Z9"))
    path = told(tiny_study.data.manifest, tmp_path / "m.parquet", 6.0, ward=ward)
    study = study_of(tiny_study, path, covariates=["crp", "ward", "age"])
    findings = {f.code: f.sentence for f in read_data(study, tmp_path / "i.parquet").findings}
    assert findings["A024"].startswith("'crp' alone predicts malignant with AUROC ")
    assert "'ward' of 24 cases of b" in findings["A025"]
    weak = told(tiny_study.data.manifest, tmp_path / "n.parquet", 0.5)
    fine = study_of(tiny_study, weak, covariates=["crp"])
    codes = {f.code for f in read_data(fine, tmp_path / "i.parquet").findings}
    assert "A024" not in codes
    with pytest.raises(TableError, match="covariates or mitigation names bmi, which"):
        read_data(study_of(tiny_study, covariates=["bmi"]), tmp_path / "i.parquet")
    with pytest.raises(TableError, match="'malignant' is the target"):
        read_data(study_of(tiny_study, covariates=["malignant"]), tmp_path / "i.parquet")


def test_a_deal_moves_the_columns_of_one_covariate_between_patients() -> None:
    names = np.array([f"c{n:02}" for n in range(30)])
    cases = Cases(
        case_ids=names,
        patient_ids=np.array([f"p{n // 2:02}" for n in range(30)]),
        cohorts=np.full(30, "a"),
        splits=np.full(30, "tune"),
        targets=np.zeros((30, 1)),
        images=[(name,) for name in names.tolist()],
    )
    values = np.arange(120, dtype=np.float32).reshape(30, 4)
    changed = with_permuted(values, slice(2, 4), cases, "age", 0)
    assert np.array_equal(changed[:, :2], values[:, :2])
    assert not np.array_equal(changed[:, 2:], values[:, 2:])
    assert set(map(tuple, changed[:, 2:])) <= set(map(tuple, values[:, 2:]))
    assert np.array_equal(changed, with_permuted(values, slice(2, 4), cases, "age", 0))


@pytest.mark.slow
@pytest.mark.parametrize("training", [None, PROBE], ids=["fine-tuned", "probe"])
def test_a_marker_helps_where_the_study_sees_it(
    tiny_study: Study, tmp_path: Path, training: dict[str, object] | None
) -> None:
    # enough cases to tune on; the images say little, so that the marker has something to add
    hospitals = {"a": Hospital(160), "b": Hospital(60)}
    phantom = Phantom(kind="lesion", hospitals=hospitals, size=32, signal=0.5, seed=3)
    write_phantom(phantom, tmp_path / "lesion.parquet")
    path = told(tmp_path / "lesion.parquet", tmp_path / "m.parquet", 1.5)
    steps = {"steps": 40, "learning_rate": 0.03, "batch_size": 16, "micro_batch": 16, "checks": 2}
    study = study_of(
        tiny_study,
        path,
        covariates=["crp", "sex"],
        understanding=["convergence", "covariate_importance"],
        training=training or steps,
    )
    folder = run_here(study, tmp_path / "s")
    results = pl.read_parquet(folder.path / "results.parquet").filter(
        pl.col("run_id").is_null() & (pl.col("metric") == "auroc") & (pl.col("attribute") == "all")
    )
    values = {(row["rung"], row["cohort"]): row["value"] for row in results.to_dicts()}
    both = values["scratch/r14x0.5@covariates", "b"]
    assert both > values["scratch/r14x0.5", "b"]
    assert values["metadata-only/linear", "b"] > 0.7
    table = pl.read_parquet(folder.path / "curves" / "understanding.parquet").filter(
        pl.col("run_id").is_null() & (pl.col("question") == "covariate_importance")
    )
    drops = {(row["rung"], row["attribute"]): row for row in table.to_dicts()}
    assert {rung for rung, _ in drops} == {"scratch/r14x0.5@covariates", "metadata-only/linear"}
    for rung in ("scratch/r14x0.5@covariates", "metadata-only/linear"):
        assert drops[rung, "crp"]["value"] > drops[rung, "sex"]["value"]
        assert drops[rung, "crp"]["low"] is not None
    assert "What the clinical data give" in write_report(folder).read_text()
    with pytest.raises(StudyError, match="is a file of features"):
        export_bundle(folder, tmp_path / "b.medt", rung="metadata-only/linear")

    # a value of a test case that changes is predicted anew, by the finished runs that see it
    frame = pl.read_parquet(path)
    changed = pl.when(pl.col("cohort") == "b").then(50.0).otherwise(pl.col("crp"))
    frame.with_columns(crp=changed).write_parquet(path)
    assert check_study(study, folder.path).unpredicted == {"b": 2}
    events: list[Event] = []
    run_here(study, folder.path, events.append)
    assert not any(isinstance(event, RunEnded) for event in events)
    assert sum(isinstance(event, RunExtended) for event in events) == 2
