"""Axes of a study: products, zips, samples, conditions, exclusions; and what is refused."""

import itertools
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.in_process import run_here

from medtransfer.study.axes.combinations import GridSettings, axis_paths, combined, words
from medtransfer.study.axes.config import AxesConfig, AxisRange
from medtransfer.study.config import Study
from medtransfer.study.grid import Cell, expand
from medtransfer.study.plan import plan_runs, read_data

RATE, DECAY = "training.learning_rate", "training.weight_decay"
MODE, FROZEN = "training.tuning.mode", "training.tuning.frozen_stages"
CROP, RESIZE = "data.image.crop", "data.image.resize"


def with_axes(study: Study, axes: object, **changes) -> Study:
    fields = study.model_dump(exclude_unset=True) | changes
    return Study.model_validate(fields | {"axes": axes})


def cells(study: Study) -> list[Cell]:
    return expand(study, pl.DataFrame({"cohort": ["a", "b"]}))


def tried(study: Study) -> list[dict[str, object]]:
    return [dict(cell.axes) for cell in cells(study)]


def base(study: Study) -> GridSettings:
    entry = study.rungs[0]
    return GridSettings(study.model_of(entry), study.training_of(entry), study.data.image)


def test_a_study_without_axes_has_the_settings_it_had(tiny_study: Study) -> None:
    assert combined(AxesConfig(), base(tiny_study)) == [base(tiny_study)]


def test_paths_directly_under_axes_are_a_product(tiny_study: Study) -> None:
    study = with_axes(tiny_study, {RATE: [0.1, 0.01], DECAY: [0, 0.5]})
    expected = [{RATE: r, DECAY: d} for r, d in itertools.product((0.1, 0.01), (0, 0.5))]
    assert tried(study) == expected
    trained = [(c.run.training.learning_rate, c.run.training.weight_decay) for c in cells(study)]
    assert trained == [tuple(each.values()) for each in expected]
    assert study.num_runs == 4


def test_axes_multiply_rungs_fractions_and_seeds(tiny_study: Study) -> None:
    study = with_axes(
        tiny_study,
        {RATE: [0.1, 0.01], "pool": ["mean", "max"]},
        rungs=["scratch/r14x0.5", "scratch/r26x0.25"],
        label_fractions=[0.5, 1.0],
        seeds=[0, 1, 2],
    )
    assert study.num_runs == len(cells(study)) == 4 * 2 * 2 * 3
    assert {cell.run.model.pool for cell in cells(study)} == {"mean", "max"}


def test_settings_together_change_as_one(tiny_study: Study) -> None:
    study = with_axes(tiny_study, {"together": [{RESIZE: [36, 72], CROP: [32, 64]}]})
    images = [(c.run.data.image.resize, c.run.data.image.crop) for c in cells(study)]
    assert images == [(36, 32), (72, 64)]


def test_height_and_width_are_one_value_of_an_axis(tiny_study: Study) -> None:
    sizes = {"together": [{RESIZE: [36, "48x36"], CROP: [32, "40x32"]}]}
    cells_of = cells(with_axes(tiny_study, sizes))
    images = [(c.run.data.image.resize, c.run.data.image.crop) for c in cells_of]
    assert images == [(36, 32), ((48, 36), (40, 32))]
    assert [words(cell.axes) for cell in cells_of][1] == "resize 48x36, crop 40x32"


def test_conditions_add_axes_where_they_hold(tiny_study: Study) -> None:
    axes = {
        MODE: ["full", "partial"],
        "conditions": [{"when": {MODE: "partial"}, "axes": {FROZEN: [1, 2, 3]}}],
    }
    assert tried(with_axes(tiny_study, axes)) == [
        {MODE: "full"},
        *({MODE: "partial", FROZEN: stages} for stages in (1, 2, 3)),
    ]


def test_exclusions_leave_out_what_matches_settings_and_rungs(tiny_study: Study) -> None:
    axes = {
        RATE: [0.1, 0.01],
        DECAY: [0, 0.5],
        "exclude": [{RATE: 0.1, DECAY: [0.5]}, {"rung": "scratch/r26x0.25", RATE: 0.01}],
    }
    study = with_axes(tiny_study, axes, rungs=["scratch/r14x0.5", "scratch/r26x0.25"])
    by_rung: dict[str, list[tuple[object, ...]]] = {}
    for cell in cells(study):
        by_rung.setdefault(cell.rung, []).append(tuple(dict(cell.axes).values()))
    assert by_rung == {
        "scratch/r14x0.5": [(0.1, 0), (0.01, 0), (0.01, 0.5)],
        "scratch/r26x0.25": [(0.1, 0)],
    }
    assert study.num_runs == 4


def test_a_linear_probe_is_not_repeated_for_settings_that_it_has_not(tiny_study: Study) -> None:
    study = with_axes(
        tiny_study,
        {MODE: ["full", "linear"], RATE: [0.1, 0.01]},
        training={"checks": 1, "steps": 4},
    )
    assert tried(study) == [
        {MODE: "full", RATE: 0.1},
        {MODE: "full", RATE: 0.01},
        {MODE: "linear"},
    ]


def test_ranges_are_grids_on_their_scale() -> None:
    assert AxisRange(log=(1e-4, 1e-1), count=4).values == (1e-4, 1e-3, 1e-2, 1e-1)
    assert AxisRange(linear=(0, 0.5), count=3).values == (0.0, 0.25, 0.5)
    assert AxisRange(log=(1e-3, 1.0), count=1).values == (1e-3,)


@given(
    low=st.floats(1e-6, 1.0),
    factor=st.floats(1.01, 1e5),
    count=st.integers(2, 50),
    scale=st.sampled_from(["log", "linear"]),
)
def test_values_of_a_range_rise_from_one_bound_to_the_other(
    low: float, factor: float, count: int, scale: str
) -> None:
    values = AxisRange(**{scale: (low, low * factor)}, count=count).values
    assert len(values) == count
    assert list(values) == sorted(values)
    assert values[0] == pytest.approx(low, rel=1e-5)
    assert values[-1] == pytest.approx(low * factor, rel=1e-5)


@pytest.mark.parametrize("method", ["sobol", "random"])
def test_samples_are_within_bounds_repeatable_and_their_own(tiny_study: Study, method: str) -> None:
    sample = {
        "method": method,
        "count": 16,
        "over": {RATE: {"log": [1e-4, 1e-1]}, "training.batch_size": {"linear": [4, 64]}},
    }
    first = tried(with_axes(tiny_study, {"sample": [sample]}))
    assert first == tried(with_axes(tiny_study, {"sample": [sample]}))
    assert first != tried(with_axes(tiny_study, {"sample": [sample | {"seed": 1}]}))
    assert len({each[RATE] for each in first}) == 16
    for each in first:
        assert 1e-4 <= float(str(each[RATE])) <= 1e-1
        assert isinstance(each["training.batch_size"], int)


def test_sobol_points_fill_every_stretch_of_a_range(tiny_study: Study) -> None:
    sample = {"count": 16, "over": {RATE: {"log": [1e-4, 1e-0]}}}
    rates = sorted(float(str(e[RATE])) for e in tried(with_axes(tiny_study, {"sample": [sample]})))
    stretches = [int(16 * (4 + __import__("math").log10(rate)) / 4) for rate in rates]
    assert stretches == list(range(16))


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"training.learning_rat": [1]}, "Did you mean 'training.learning_rate'"),
        ({"data.split.seed": [0, 1]}, "which cannot differ within a study"),
        ({"evaluation.replicates": [1]}, "which cannot differ within a study"),
        ({RATE: []}, "at least 1 item"),
        ({RATE: [0.1, -1]}, r"learning_rate -1: Input should be greater than 0"),
        ({CROP: [32, 224]}, "crop 224 is larger than resize 36"),
        ({"together": [{RESIZE: [36], CROP: [32, 64]}]}, "lists of different lengths"),
        ({RATE: [0.1], "together": [{RATE: [0.2]}]}, "training.learning_rate is an axis twice"),
        ({RATE: {"log": [0.1, 0.01], "count": 3}}, "the lower bound 0.1 is not below"),
        ({RATE: {"log": [0, 1], "count": 3}}, r"log has the bound 0 \(allowed: above 0\)"),
        ({RATE: {"log": [1e-3, 1], "linear": [0, 1]}}, "give log or linear, one of the two"),
        ({"exclude": [{"training.nothing": 1}], RATE: [0.1]}, "axes compares 'training.nothing'"),
        ({"training.steps": [2]}, r"checks is 3, more than steps \(2\)"),
    ],
)
def test_axes_that_cannot_be_are_refused_with_what_is_meant(
    tiny_study: Study, axes: object, message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        with_axes(tiny_study, axes)


def test_a_study_of_a_billion_runs_is_refused_at_once_with_its_count(tiny_study: Study) -> None:
    thousand = {"linear": [0.001, 0.9], "count": 1000}
    axes = {RATE: thousand, DECAY: thousand, "training.momentum": thousand}
    with pytest.raises(ValidationError, match=r"has 1,000,000,000 runs \(allowed: up to 100,000\)"):
        with_axes(tiny_study, axes)


def test_every_identity_setting_of_training_and_images_is_an_axis() -> None:
    paths = axis_paths()
    assert {RATE, MODE, FROZEN, CROP, "training.loss.kind", "data.image.augment.rotate"} <= set(
        paths
    )
    assert not {"training.device", "data.image.codec"} & set(paths)  # they change no number


def test_combinations_are_named_by_the_last_part_of_their_paths() -> None:
    assert words(((RATE, 0.003), (CROP, 224), (MODE, "full"))) == (
        "learning_rate 0.003, crop 224, mode full"
    )


def test_an_axis_that_repeats_the_study_names_the_same_run(tiny_study: Study) -> None:
    folder = tiny_study.data.manifest.parent / "facts-axes.parquet"
    data = read_data(tiny_study, folder)
    plain = plan_runs(tiny_study, data)[0]
    rate = tiny_study.training.learning_rate
    swept = plan_runs(with_axes(tiny_study, {RATE: [rate, 0.5]}), data)
    assert swept[0].run_id == plain.run_id  # what was run before the axis came is kept
    assert swept[1].run_id != plain.run_id


@pytest.mark.slow
def test_the_combination_that_is_best_on_tune_is_in_the_tables(
    tiny_study: Study, tmp_path: Path
) -> None:
    axes = {RATE: [0.05, 1e-6], "together": [{RESIZE: [36, 26], CROP: [32, 24]}]}
    folder = run_here(with_axes(tiny_study, axes), tmp_path / "s")
    sweep = pl.read_csv(folder.path / "sweep.csv")
    assert sweep.height == 4
    assert set(sweep[CROP]) == {32, 24}
    best = sweep.sort("tune_auroc", "tune_loss", descending=[True, False]).row(0, named=True)
    assert sweep.filter(pl.col("selected")).row(0, named=True) == best
    runs = pl.read_csv(folder.path / "runs.csv")
    taken = runs.filter(pl.col("taken"))
    assert taken[CROP].to_list() == [best[CROP]]
    results = pl.read_parquet(folder.path / "results.parquet")["run_id"].drop_nulls()
    assert set(results) == set(taken["run_id"])
