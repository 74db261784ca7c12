"""Few-shot budgets in a study: runs of their own, at their share of the training patients."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.in_process import run_here

from medtransfer.errors import StudyError
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.grid import expand
from medtransfer.study.plan import plan_runs, read_data


def study(tiny: Study, **changes: object) -> Study:
    return Study.model_validate(tiny.model_dump(exclude_unset=True) | changes)


def planned(tiny: Study, folder: Path, **changes: object):
    asked = study(tiny, **changes)
    return plan_runs(asked, read_data(asked, folder / "images.parquet"))


def test_budgets_follow_the_fractions_largest_first(tiny_study: Study, tmp_path: Path) -> None:
    runs = planned(tiny_study, tmp_path, shots=[1, 4], label_fractions=[0.5, 1.0])
    assert [run.cell.budget for run in runs] == ["100%", "50%", "4 shots", "1 shot"]
    assert [run.cell.run.data.split.shots for run in runs] == [None, None, 4, 1]
    assert len({run.run_id for run in runs}) == 4
    assert runs[0].run_id == planned(tiny_study, tmp_path)[0].run_id
    # no patient of this phantom is of both classes
    full = runs[0].num_cases
    assert [run.num_cases for run in runs[2:]] == [8, 2]
    assert [run.cell.label_fraction for run in runs[2:]] == pytest.approx([8 / full, 2 / full])


def test_a_budget_of_all_patients_is_refused_with_what_is_allowed(
    tiny_study: Study, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match=r"shots holds 90, and no class has more than \d\d train"):
        planned(tiny_study, tmp_path, shots=[90])


def test_a_budget_that_is_a_label_fraction_too_is_refused(
    tiny_study: Study, tmp_path: Path
) -> None:
    full = planned(tiny_study, tmp_path)[0].num_cases
    with pytest.raises(StudyError, match="shots 3 and label fraction .* are the same share"):
        planned(tiny_study, tmp_path, shots=[3], label_fractions=[6 / full, 1.0])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shots": [5, 5]}, "shots holds 5 twice"),
        ({"data": {"split": {"shots": 3}}}, "a study takes shots instead"),
    ],
)
def test_budgets_are_named_once_and_at_the_top(tiny_study: Study, changes, said: str) -> None:
    data = tiny_study.model_dump(exclude_unset=True)["data"]
    own = {"data": data | {"split": {"shots": 3}}} if "data" in changes else changes
    with pytest.raises(ValueError, match=said):
        study(tiny_study, **own)


def test_a_study_without_shots_has_the_cells_it_had(tiny_study: Study) -> None:
    cells = expand(tiny_study, pl.DataFrame({"cohort": ["a", "b"]}))
    assert [(cell.label_fraction, cell.shots) for cell in cells] == [(1.0, None)]


@pytest.mark.slow
def test_few_shot_runs_stand_in_tables_at_their_share(tiny_study: Study, tmp_path: Path) -> None:
    small = study(
        tiny_study,
        shots=[3],
        training={"tuning": {"mode": "linear", "penalties": [1.0]}},
        rungs=["imagenet/effnet-lite0"],
        evaluation={"replicates": 20, "permutations": 0},
    )
    folder: StudyFolder = run_here(small, tmp_path / "s")
    runs = pl.read_csv(folder.path / "runs.csv")
    assert runs["shots"].to_list() == [None, 3]
    assert runs["training_cases"].to_list()[1] == 6
    results = pl.read_parquet(folder.path / "results.parquet")
    shares = results["label_fraction"].unique().sort().to_list()
    assert np.allclose(shares, [6 / runs["training_cases"][0], 1.0])
    areas = results.filter((pl.col("metric") == "auroc") & pl.col("seed").is_null())
    assert set(areas["label_fraction"]) == set(shares)
