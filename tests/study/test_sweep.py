"""A sweep: every setting is run, the best on tune is taken, and the search is written down."""

from pathlib import Path

import polars as pl
import pytest
from tests.in_process import run_here

from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.report.reading import load_study_data
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.grid import expand
from medtransfer.study.sweep import Setting, Trial, chosen_trials, sweep_frame

COHORTS = pl.DataFrame({"cohort": ["a", "b"]})
KEY = GridKey("scratch/r14x1")


def study(tiny: Study, **changes: object) -> Study:
    return Study.model_validate(tiny.model_dump(exclude_unset=True) | changes)


def trial(rate: float, area: float | None, loss: float = 0.5, done: int = 2, key=KEY) -> Trial:
    return Trial(key, Setting(rate, 100, 0.0), (), done, area, loss, 10.0, 640)


def test_every_combination_is_a_run_of_its_own(tiny_study: Study) -> None:
    sweep = {"learning_rates": [0.1, 0.01], "steps": [6, 12], "weight_decays": [0.0, 0.001]}
    cells = expand(study(tiny_study, sweep=sweep, seeds=[0, 1]), COHORTS)
    found = [
        (c.seed, t.learning_rate, t.steps, t.weight_decay) for c in cells for t in [c.run.training]
    ]
    assert len(set(found)) == len(found) == 16
    assert found[1] == (0, 0.1, 6, 0.001)
    assert cells[1].setting == " (rate 0.1, 6 steps, decay 0.001)"


def test_a_setting_that_is_not_swept_stays_and_its_runs_keep_their_names(tiny_study: Study) -> None:
    (plain,) = expand(tiny_study, COHORTS)
    first, second = expand(study(tiny_study, sweep={"learning_rates": [0.01, 0.1]}), COHORTS)
    assert first.run == plain.run  # 0.01 is the study's own
    assert second.run.training.steps == plain.run.training.steps
    assert plain.setting == ""


def test_a_linear_probe_takes_no_part(tiny_study: Study) -> None:
    asked = study(
        tiny_study,
        sweep={"learning_rates": [0.01, 0.1]},
        rungs=[
            "scratch/r14x0.5",
            {"rung": "scratch/r14x1", "training": {"tuning": {"mode": "linear"}}},
        ],
    )
    assert [cell.rung[-4:] for cell in expand(asked, COHORTS)] == ["x0.5", "x0.5", "14x1"]


def test_the_best_area_is_taken_at_each_place_and_the_first_of_equals() -> None:
    other = GridKey("scratch/r14x1", 0.1)
    trials = [trial(0.1, 0.7), trial(0.01, 0.8), trial(0.001, 0.8), trial(0.1, 0.6, key=other)]
    assert chosen_trials(trials) == [trials[1], trials[3]]


def test_the_loss_decides_where_areas_are_equal_or_undefined() -> None:
    trials = [trial(0.1, None, 0.7), trial(0.01, None, 0.6)]
    assert chosen_trials(trials) == [trials[1]]


def test_a_setting_of_which_a_seed_did_not_end_is_not_taken() -> None:
    trials = [trial(0.1, 0.9, done=1), trial(0.01, 0.7)]
    assert chosen_trials(trials) == [trials[1]]
    assert chosen_trials(trials[:1]) == trials[:1]
    assert chosen_trials([trial(0.1, None, done=0)]) == []


def test_the_whole_search_is_in_its_table() -> None:
    trials = [trial(0.1, 0.7), trial(0.01, 0.8)]
    frame = sweep_frame(trials, chosen_trials(trials))
    assert frame["learning_rate"].to_list() == [0.1, 0.01]
    assert frame["selected"].to_list() == [False, True]
    assert frame["seconds"].sum() == 20


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ({"steps": [2]}, r"sweep.steps holds 2, fewer than the 3 checks of scratch/r14x0.5"),
        ({"learning_rates": [0.1, 0.1]}, "sweep.learning_rates holds 0.1 twice"),
    ],
)
def test_a_sweep_that_cannot_run_is_refused(tiny_study: Study, sweep, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        study(tiny_study, sweep=sweep)


@pytest.mark.slow
def test_the_setting_that_is_best_on_tune_is_in_the_tables(
    tiny_study: Study, tmp_path: Path
) -> None:
    asked = study(
        tiny_study,
        seeds=[0, 1],
        sweep={"learning_rates": [0.05, 1e-6]},
        evaluation={"replicates": 20, "permutations": 0},
    )
    folder: StudyFolder = run_here(asked, tmp_path / "s")
    runs = pl.read_csv(folder.path / "runs.csv")
    assert runs.height == 4
    areas: dict[float, list[float]] = {}
    for row in runs.iter_rows(named=True):
        own = folder.run(row["run_id"])
        kept = max(own.history(), key=lambda check: (check.tune_auroc or 0.0, -check.tune_loss))
        areas.setdefault(row["learning_rate"], []).append(kept.tune_auroc or 0.0)
    best = max(areas, key=lambda rate: sum(areas[rate]))
    sweep = pl.read_csv(folder.path / "sweep.csv")
    found = dict(sweep.select("learning_rate", "tune_auroc").iter_rows())
    assert found == {rate: pytest.approx(sum(own) / 2) for rate, own in areas.items()}
    assert sweep.filter(pl.col("selected"))["learning_rate"].to_list() == [best]
    taken = runs.filter(pl.col("taken"))
    assert set(taken["learning_rate"]) == {best}
    for table in ("results", "predictions"):
        ids = pl.read_parquet(folder.path / f"{table}.parquet")["run_id"].drop_nulls()
        assert set(ids) == set(taken["run_id"])
    facts = dict(load_study_data(folder).facts)
    assert facts["Sweep"].startswith("learning rates 0.05, 1e-06, instead of the recipe's")
