"""Any predictions table: its task, its attributes, its ladder, and what is written of it."""

import json
from pathlib import Path

import polars as pl
import pytest
from tests.prediction_tables import (
    QUICK,
    Site,
    attributes_of,
    binary_table,
    class_table,
    ensemble_of,
    no_attributes,
)

from medtransfer.errors import TableError
from medtransfer.evaluation.comparison.attributes.attribute_table import join_attributes
from medtransfer.evaluation.comparison.evaluate_table import (
    evaluate_table,
    infer_task,
    ladder_runs,
    rung_names,
    write_evaluation,
)
from medtransfer.evaluation.scoring.score import score
from medtransfer.files import sha256
from medtransfer.tables.results import RESULTS_CONTRACT, read_curve_tables

SITES = {"a": Site({"tune": 30, "test": 60}), "b": Site({"test": 40})}
TABLE = binary_table(SITES)


def two(**columns: list[object]) -> pl.DataFrame:
    """Two runs of the same cases; a column holds one value for each run."""
    frames = [
        binary_table(SITES, seed=i, run_id=name).with_columns(
            TABLE["target_x"], *(pl.lit(values[i]).alias(c) for c, values in columns.items())
        )
        for i, name in enumerate(("one", "two"))
    ]
    return pl.concat(frames, how="vertical_relaxed")


@pytest.mark.parametrize(
    ("table", "task", "why"),
    [
        (TABLE, "binary", "One target: the task is binary."),
        (binary_table(targets=("x", "y")), "multi-label", "2 targets: the task is multi-label."),
        (binary_table(targets=("x", "y", "z")), "multi-label", "3 targets"),
        (class_table(masked=0.2), "single-label", "Exactly one of 4 targets is 1 in every case"),
    ],
)
def test_the_targets_say_what_the_task_is(table: pl.DataFrame, task: str, why: str) -> None:
    found, said = infer_task(table)
    assert found == task
    assert said.startswith(why)


def test_targets_that_nobody_knows_are_not_called_classes() -> None:
    unknown = binary_table(targets=("x", "y", "z"), masked=1.0)
    assert infer_task(unknown)[0] == "multi-label"


def manifest(folder: Path, frame: pl.DataFrame) -> Path:
    frame.write_csv(folder / "manifest.csv")
    return folder / "manifest.csv"


def test_cases_without_a_partner_are_counted_on_both_sides(tmp_path: Path) -> None:
    about = attributes_of(TABLE)[5:]
    more = pl.DataFrame({"case_id": ["else-1", "else-2", "else-3"], "sex": ["F", "M", "F"]})
    joined = join_attributes(TABLE, manifest(tmp_path, pl.concat([about, more])), None)
    assert joined.said == (
        "125 of 130 cases are in the manifest.",
        "5 cases without a row there.",
        "3 cases of the manifest without a prediction.",
        "Reported by: sex.",
        "'sex' is not known of 5 cases: counted as group Unknown, in no comparison of groups.",
    )
    assert joined.frame["case_id"].n_unique() == len(joined.frame) == 130
    assert joined.frame["sex"].null_count() == 5
    same = joined.frame.drop_nulls().sort("case_id")
    assert same.equals(about.sort("case_id"))


def test_names_and_values_of_attributes_that_no_page_can_show_are_refused(tmp_path: Path) -> None:
    about = attributes_of(TABLE).with_columns(**{"se\x1bx": pl.lit("F\x1b[31m")})
    with pytest.raises(TableError) as caught:
        join_attributes(TABLE, manifest(tmp_path, about), ["se\x1bx"])
    assert "\x1b" not in str(caught.value)
    assert "is no name (allowed: text of up to 200 characters without" in str(caught.value)
    assert "holds 'F\ufffd[31m' in 130 rows" in str(caught.value)


def test_tables_without_a_case_in_common_are_refused(tmp_path: Path) -> None:
    other = manifest(tmp_path, pl.DataFrame({"case_id": ["1", "2"], "sex": ["F", "M"]}))
    with pytest.raises(TableError) as caught:
        join_attributes(TABLE, other, None)
    assert str(caught.value) == (
        'No case_id of the predictions is in "manifest.csv" (130 cases here, 2 there). '
        "Are the ids the same?"
    )


def test_an_attribute_that_differs_within_a_case_is_unknown(tmp_path: Path) -> None:
    case = TABLE["case_id"][0], TABLE["case_id"][1]
    views = pl.DataFrame(
        {"case_id": [case[0], case[0], case[1], case[1]], "view": ["PA", "AP", "PA", None]}
    )
    joined = join_attributes(TABLE, manifest(tmp_path, views), ["view"], None, 1)
    found = dict(joined.frame.select("case_id", "view").rows())
    assert found[case[0]] is None
    assert found[case[1]] == "PA"
    assert "'view' differs between the rows of 1 case." in joined.said


@pytest.mark.parametrize("spelled", ["{}.0", "00{}", " {}", "{}\u200b"])
def test_ids_that_differ_by_spelling_alone_are_counted_and_not_joined(
    tmp_path: Path, spelled: str
) -> None:
    numbers = range(1, 1 + len(TABLE))
    ids = pl.Series("case_id", [str(number) for number in numbers])
    table = TABLE.with_columns(ids)
    names = [spelled.format(number) for number in numbers]
    half = pl.DataFrame({"case_id": [*names[:30], *ids[30:]], "sex": ["F", "M"] * 65})
    path = tmp_path / "m.parquet"
    half.write_parquet(path)
    joined = join_attributes(table, path, None)
    if spelled != " {}":  # blanks around an id are no part of it
        assert any(note.startswith("30 case_ids would match but for") for note in joined.said)
        half.head(30).write_parquet(path)
        with pytest.raises(TableError, match=r"30 case_ids would match but for case, leading"):
            join_attributes(table, path, None)


def test_labels_in_the_manifest_are_no_attributes(tmp_path: Path) -> None:
    about = attributes_of(TABLE).with_columns(pl.Series("target_x", ["0", "1"] * 65))
    path = manifest(tmp_path, about)
    assert join_attributes(TABLE, path, None).frame.columns == ["case_id", "sex"]


def test_columns_of_few_values_are_attributes_unless_they_are_named(tmp_path: Path) -> None:
    about = (
        attributes_of(TABLE)
        .with_columns(
            age=pl.int_range(pl.len()),
            site=pl.lit("one"),
            x=pl.lit("0"),
            path=pl.lit("p"),
            band=pl.Series(["young", "old"] * 65),
            split=pl.lit("test"),
        )
        .with_columns(x=pl.Series(["0", "1"] * 65))
    )
    path = manifest(tmp_path, about)
    assert join_attributes(TABLE, path, None).frame.columns == ["case_id", "sex", "age", "band"]
    assert join_attributes(TABLE, path, ["age", "age"]).frame.columns == ["case_id", "age"]
    assert join_attributes(TABLE, path, []).said[-1] == "Reported by: nothing."


def test_attributes_that_are_not_there_are_named_at_once_with_the_nearest(tmp_path: Path) -> None:
    path = manifest(tmp_path, attributes_of(TABLE))
    with pytest.raises(TableError) as caught:
        join_attributes(TABLE, path, ["sexx", "row", "case_id", "sex"])
    said = str(caught.value)
    assert "attribute 'sexx' is not a column. Did you mean 'sex'?" in said
    assert "'row' is no attribute" in said
    assert "'case_id' is no attribute" in said
    with pytest.raises(TableError, match="there is no --manifest to find them in"):
        join_attributes(TABLE, None, ["sex"])


def test_without_a_manifest_there_are_cases_and_no_attributes() -> None:
    joined = join_attributes(ensemble_of(TABLE, 2), None, None)
    assert joined.frame.columns == ["case_id"]
    assert len(joined.frame) == 130
    assert joined.said == ()


def test_runs_are_rungs_of_their_own_unless_the_table_says_more() -> None:
    plain = ladder_runs(two())
    assert [(r.run_id, r.key.rung, r.key.label_fraction, r.seed) for r in plain] == [
        ("one", "one", 1.0, 0),
        ("two", "two", 1.0, 0),
    ]
    assert [(r.key.held_out, r.key.retrain_fraction) for r in plain] == [(None, None)] * 2
    assert rung_names(two()) == ["one", "two"]
    assert plain[1].predictions()["run_id"].unique().to_list() == ["two"]


def test_runs_of_one_rung_are_numbered_as_seeds() -> None:
    table = two(rung=["big", "big"])
    assert [(r.key.rung, r.seed) for r in ladder_runs(table)] == [("big", 0), ("big", 1)]
    assert rung_names(table) == ["big"]
    table = two(rung=["big", "big"], label_fraction=[0.1, 1])
    assert [(r.key.label_fraction, r.seed) for r in ladder_runs(table)] == [(0.1, 0), (1.0, 0)]


def test_two_runs_of_the_same_seed_are_refused() -> None:
    with pytest.raises(TableError, match="Runs 'one' and 'two' are both seed 7 of rung 'big'"):
        ladder_runs(two(rung=["big", "big"], seed=[7, 7]))
    assert [r.seed for r in ladder_runs(two(rung=["big", "big"], seed=[7, 3]))] == [7, 3]


@pytest.mark.parametrize("name", ["rung", "seed", "label_fraction", "held_out"])
def test_a_run_has_one_place_in_the_ladder(name: str) -> None:
    values = ["1", "2"] * 65 if name in ("rung", "held_out") else [1, 2] * 65
    table = TABLE.with_columns(pl.Series(name, values))
    with pytest.raises(TableError, match=f"Run 'run' has 2 values of '{name}': 1, 2"):
        ladder_runs(table)


def test_numbers_of_one_run_are_those_of_scoring_it() -> None:
    attributes = attributes_of(TABLE)
    tables = evaluate_table(TABLE, attributes, "binary", QUICK)
    wanted = score(TABLE, attributes, "binary", QUICK)
    own = tables.results.filter(pl.col("run_id") == "run")
    assert own["metric"].to_list() == wanted["metric"].to_list()
    assert own["value"].equals(wanted["value"], null_equal=True)
    assert tables.comparisons.is_empty()


def test_rungs_are_compared_with_the_first_or_the_one_that_is_named() -> None:
    table, about = two(), no_attributes(TABLE)
    heard: list[tuple[int, int]] = []
    first = evaluate_table(
        table, about, "binary", QUICK, on_run=lambda done, total: heard.append((done, total))
    )
    named = evaluate_table(table, about, "binary", QUICK, reference="two")
    found = [
        t.comparisons.row(
            by_predicate=(pl.col("metric") == "auroc") & (pl.col("cohort") == "a"), named=True
        )
        for t in (first, named)
    ]
    assert [row["reference"] for row in found] == ["one", "two"]
    assert found[0]["difference"] == pytest.approx(-found[1]["difference"])
    assert heard[0] == (0, 2)
    assert heard[-1] == (2, 2)
    with pytest.raises(TableError, match=r"reference 'on' is not among the rungs.*mean 'one'\?"):
        evaluate_table(table, about, "binary", QUICK, reference="on")


def test_what_cannot_be_evaluated_is_refused() -> None:
    tune = TABLE.filter(pl.col("split") == "tune")
    with pytest.raises(TableError, match="No case is a test case"):
        evaluate_table(tune, no_attributes(tune), "binary", QUICK)
    several = binary_table(targets=("x", "y"))
    with pytest.raises(TableError, match="The task is binary, but there are 2 targets: x, y"):
        evaluate_table(several, no_attributes(several), "binary", QUICK)
    odd = QUICK.model_copy(
        update={"intersections": (("sex", "agee"),), "healthy_targets": ("none",)}
    )
    with pytest.raises(TableError, match=r"'agee', which is no attribute.*'none', which is no"):
        evaluate_table(TABLE, attributes_of(TABLE), "binary", odd)


def test_an_evaluation_is_a_folder_of_tables_and_what_they_were_made_of(tmp_path: Path) -> None:
    table = two()
    source = tmp_path / "vendor.csv"
    table.write_csv(source)
    tables = evaluate_table(table, attributes_of(TABLE), "binary", QUICK)
    write_evaluation(
        tmp_path / "out",
        tables,
        table,
        source=source,
        task="binary",
        config=QUICK,
        reference="one",
        attributes=["sex"],
        said=["A sentence."],
    )
    results = pl.read_parquet(tmp_path / "out" / "results.parquet")
    assert results.equals(tables.results, null_equal=True)
    assert results.columns == [column.name for column in RESULTS_CONTRACT.columns]
    assert len(pl.read_csv(tmp_path / "out" / "results.csv")) == len(results)
    assert len(pl.read_parquet(tmp_path / "out" / "comparisons.parquet")) > 0
    curves = read_curve_tables(tmp_path / "out" / "curves")
    assert all(len(curves[kind]) for kind in curves)
    about = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert set(about["versions"]) == {"medtransfer", "numpy", "scipy", "numba"}
    assert about["config"]["replicates"] == QUICK.replicates
    counts = {(c["cohort"], c["split"]): c for c in about["counts"]}
    assert list(counts) == [("a", "test"), ("a", "tune"), ("b", "test")]
    positive = TABLE.filter(cohort="b", split="test")["target_x"].sum()
    assert counts["b", "test"] == {
        "cohort": "b",
        "split": "test",
        "cases": 40,
        "patients": 40,
        "positive": {"x": positive},
        "masked": {"x": 0},
    }
    assert {
        key: about[key]
        for key in ("name", "digest", "task", "targets", "reference", "rungs", "attributes", "said")
    } == {
        "name": "vendor",
        "digest": sha256(source),
        "task": "binary",
        "targets": ["x"],
        "reference": "one",
        "rungs": ["one", "two"],
        "attributes": ["sex"],
        "said": ["A sentence."],
    }
