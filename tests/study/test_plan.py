"""What would run: data digested, runs named and sized, errors before anything is trained."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.data.audit import corpus

from medtransfer.data.audit.run import Finding
from medtransfer.errors import StudyError, WeightsError
from medtransfer.study.config import Study
from medtransfer.study.plan import StudyData, check_findings, plan_runs, read_data
from medtransfer.study.planning.flow import flow_of


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """Twelve patients of two hospitals with one to two films each, as a user's table."""
    people = [(f"p{i:02d}", "north" if i < 8 else "south", i % 2) for i in range(12)]
    return pl.DataFrame(
        [
            {
                "image_id": f"{patient}-{view}",
                "path": f"films/{patient}-{view}.png",
                "case_id": f"c-{patient}",
                "patient_id": patient,
                "cohort": cohort,
                "edema": str(label),
                "sex": "FM"[i % 2],
            }
            for i, (patient, cohort, label) in enumerate(people)
            for view in range(1 + i % 2)
        ]
    )


@pytest.fixture
def folder(tmp_path: Path, rows: pl.DataFrame) -> Path:
    """The films, each another picture."""
    (tmp_path / "films").mkdir()
    for number, path in enumerate(rows["path"]):
        (tmp_path / path).write_bytes(corpus.png(corpus.grey(10, 12 + number), 0))
    return tmp_path


def study(folder: Path, name: str = "m.csv", **changes: object) -> Study:
    data = {
        "manifest": folder / name,
        "task": "binary",
        "targets": ["edema"],
        "image": {"resize": 12, "crop": 8},
        "split": {"train_cohorts": ["north"], "tune_fraction": 0.25, "test_fraction": 0.25},
    }
    return Study.model_validate(
        {"name": "chest", "data": data, "rungs": ["scratch/r14x1"], "seeds": [0], **changes}
    )


def read(folder: Path, table: pl.DataFrame, name: str = "m.csv") -> StudyData:
    (folder / name).parent.mkdir(exist_ok=True)
    table.write_csv(folder / name) if name.endswith("csv") else table.write_parquet(folder / name)
    return read_data(study(folder, name), folder / "facts.parquet")


Change = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.reverse(),
        lambda t: t.with_columns(scanner=pl.lit("new")),
        lambda t: t.drop("sex"),
        lambda t: t.select(reversed(t.columns)),
        lambda t: t.with_columns(edema=pl.col("edema") + ".0"),
        lambda t: t.with_columns(patient_id=pl.col("patient_id") + " "),
    ],
    ids=["rows", "attribute", "no attribute", "columns", "spelling of numbers", "blanks"],
)
def test_what_cannot_change_a_prediction_leaves_the_digest(
    folder: Path, rows: pl.DataFrame, change: Change
) -> None:
    assert read(folder, change(rows)).digest == read(folder, rows).digest


def test_files_may_move_and_the_table_may_change_its_kind(folder: Path, rows: pl.DataFrame) -> None:
    before = read(folder, rows).digest
    (folder / "films").rename(folder / "pictures")
    moved = rows.with_columns(path=pl.col("path").str.replace("films", "pictures"))
    assert read(folder, moved, "m.parquet").digest == before
    inside = moved.with_columns(
        image=pl.Series([(folder / path).read_bytes() for path in moved["path"]])
    ).drop("path")
    assert read(folder, inside, "inside.parquet").digest == before


def cell(column: str, value: str | None) -> Change:
    first = pl.int_range(pl.len()) == 0
    return lambda t: t.with_columns(
        pl.when(first).then(pl.lit(value)).otherwise(column).alias(column)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        cell("edema", "1"),
        cell("edema", "-1"),
        cell("edema", None),
        cell("patient_id", "p99"),
        cell("case_id", "c-new"),
        cell("image_id", "new"),
        cell("cohort", "south"),
        lambda t: t.head(len(t) - 1),
        lambda t: t.with_columns(split=pl.lit("train")),
    ],
)
def test_what_can_change_a_prediction_changes_the_digest(
    folder: Path, rows: pl.DataFrame, change: Change
) -> None:
    before = read(folder, rows).digest
    assert read(folder, change(rows)).digest != before


def test_another_picture_changes_the_digest(folder: Path, rows: pl.DataFrame) -> None:
    before = read(folder, rows).digest
    (folder / rows["path"][0]).write_bytes(corpus.png(corpus.grey(10, 99), 0))
    assert read(folder, rows).digest != before


def test_audit_errors_are_refused_with_their_code_and_a_waiver_lets_them_pass(
    folder: Path, rows: pl.DataFrame
) -> None:
    torn = Finding("A001", "2 patients in more than one split", (3, 4))
    few = Finding("B002", "edema in test: 1 positive, 1 negative")
    with pytest.raises(StudyError) as caught:
        check_findings(study(folder), (torn, few))
    assert "A001 a patient is in more than one split or cohort: 2 patients" in str(caught.value)
    assert "B002" not in str(caught.value)
    check_findings(study(folder, waive={"A001": "the patient moved"}), (torn, few))
    check_findings(study(folder), (few,))


def test_runs_are_named_and_sized_before_anything_is_trained(
    folder: Path, rows: pl.DataFrame
) -> None:
    data = read(folder, rows)
    planned = plan_runs(
        study(
            folder,
            rungs=["scratch/r14x1", {"rung": "scratch/r26x1", "training": {"steps": 30}}],
            label_fractions=[0.5, 1.0],
            training={"batch_size": 16},
        ),
        data,
    )
    assert len({run.run_id for run in planned}) == 4
    by_rung = {(run.cell.rung, run.cell.label_fraction): run for run in planned}
    whole = by_rung["scratch/r14x1", 1.0]
    assert (whole.num_cases, whole.steps) == (4, 500)  # the rule's, for a small task
    assert by_rung["scratch/r26x1", 1.0].steps == 30
    assert by_rung["scratch/r14x1", 0.5].num_cases == 2
    frame = data.manifest.frame
    assert 1 <= whole.num_images / (500 * 16) <= 2  # one or two films a case
    train, rest, seen = whole.needs
    assert [need.recipe.size for need in whole.needs] == [12, 8, 8]
    assert seen.indices is train.indices
    both = [*train.indices.tolist(), *rest.indices.tolist()]
    assert sorted(both) == list(range(len(frame)))


def test_the_flow_counts_images_cases_patients_and_labels(folder: Path, rows: pl.DataFrame) -> None:
    masked = cell("edema", None)(rows)
    flow = flow_of(study(folder), read(folder, masked))
    assert {row["cohort"]: row["split"] for row in flow if row["cohort"] == "south"} == {
        "south": "test"
    }
    assert [sum(row[what] for row in flow) for what in ("images", "cases", "patients")] == [
        18,
        12,
        12,
    ]
    assert sum(row["positive"]["edema"] for row in flow) == 6
    assert sum(row["masked"]["edema"] for row in flow) == 1


def test_all_rungs_without_weights_are_named_at_once(folder: Path, rows: pl.DataFrame) -> None:
    data = read(folder, rows)
    rungs = ["bit-m/r50x1", "scratch/r14x1", "file/r14x1"]
    with pytest.raises(WeightsError) as caught:
        plan_runs(study(folder, rungs=rungs), data)
    first, second = str(caught.value).splitlines()
    assert "'bit-m/r50x1'" in first
    assert "'file/r14x1'" in second


def test_every_split_of_a_leave_cohort_out_study_is_audited(
    folder: Path, rows: pl.DataFrame
) -> None:
    table = rows.with_columns(
        edema=pl.when(pl.col("cohort") == "south").then(pl.lit("0")).otherwise("edema")
    )
    table.write_csv(folder / "m.csv")
    split = {"tune_fraction": 0.25, "test_fraction": 0.25}
    plain = study(folder)
    data = plain.data.model_dump(exclude_unset=True) | {"split": split}
    left_out = study(folder, data=data, leave_cohort_out=True)
    assert "B001" not in {f.code for f in read_data(plain, folder / "f.parquet").findings}
    found = read_data(left_out, folder / "f.parquet").findings
    assert "B001" in {f.code for f in found}  # trained on south alone there is one class
