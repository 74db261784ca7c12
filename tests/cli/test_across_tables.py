"""`medtransfer rank` over several evaluations, `medtransfer savings` on published curves."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import friedmanchisquare
from tests.cli.conftest import Call
from tests.prediction_tables import Site, binary_table
from tests.statistics.test_learning_curve import BUDGETS, PADCHEST

RUNGS = ("weak", "middle", "strong")


def evaluated_tasks(call: Call, folder: Path, names: tuple[str, ...]) -> None:
    (folder / "quick.yaml").write_text("replicates: 20\npermutations: 0\n", "utf-8")
    for seed, task in enumerate(names):
        noise = np.random.default_rng(seed)
        tables: list[pl.DataFrame] = []
        for k, rung in enumerate(RUNGS):
            sites = {"a": Site({"tune": 30, "test": 60}), "b": Site({"test": 50})}
            table = binary_table(sites, seed=seed, run_id=rung)
            blurred = pl.col("logit_x") + (3 - k) * noise.normal(size=len(table))
            tables.append(table.with_columns(blurred.alias("logit_x")))
        pl.concat(tables).write_parquet(folder / f"{task}.parquet")
        said = call("evaluate", f"{task}.parquet", "-o", task, "--config", "quick.yaml")
        assert said.code == 0, said.err


@pytest.mark.slow
def test_rungs_are_ranked_over_tasks_as_in_scipy(call: Call, tmp_path: Path) -> None:
    tasks = ("skin", "chest", "breast")
    evaluated_tasks(call, tmp_path, tasks)
    said = call("rank", *tasks, "--json")
    found = json.loads(said.out)
    assert found["rungs"] == list(RUNGS)
    assert found["tasks"] == list(tasks)
    values = np.array(found["values"])
    for k, task in enumerate(tasks):
        results = pl.read_parquet(tmp_path / task / "results.parquet")
        rows = results.filter(
            pl.col("run_id").is_null()
            & (pl.col("metric") == "auroc")
            & (pl.col("attribute") == "all")
            & (pl.col("cohort") == "a")
        )
        assert dict(zip(rows["rung"], rows["value"], strict=True)) == pytest.approx(
            dict(zip(RUNGS, values[k], strict=True))
        )
    ranking = found["ranking"]
    chi2, p = friedmanchisquare(*values.T)
    assert (ranking["chi2"], ranking["chi2_p"]) == (pytest.approx(chi2), pytest.approx(p))
    shown = call("rank", *tasks).out
    assert shown.index("strong") < shown.index("middle") < shown.index("weak")
    assert "3 tasks" in shown
    abroad = json.loads(call("rank", *tasks, "--cohort", "b", "--json").out)
    assert abroad["values"] != found["values"]


@pytest.mark.slow
def test_what_cannot_be_ranked_is_refused_with_every_fault(call: Call, tmp_path: Path) -> None:
    evaluated_tasks(call, tmp_path, ("skin", "chest"))
    said = call("rank", "skin", "chest", "--cohort", "c")
    assert said.code == 2
    assert "task 'skin' has no 'auroc' at cohort 'c'" in said.err
    assert "task 'chest'" in said.err
    assert "Did you mean 'auroc'" in call("rank", "skin", "--metric", "aurocc").err
    old_name = call("rank", "skin", "--metric", "foreign_auroc_drop").err
    assert "Its name is 'ood_auroc_drop' now." in old_name
    assert "ranks nothing" in call("rank", "skin", "--metric", "prevalence").err
    assert call("rank", "nowhere").code == 2


def test_published_curves_give_the_labels_saved_that_a_hand_finds(
    call: Call, tmp_path: Path
) -> None:
    rows = [
        (rung, float(share), value)
        for rung, curve in PADCHEST.items()
        for share, value in zip(BUDGETS, curve, strict=True)
    ]
    table = pl.DataFrame(rows, schema=["rung", "label_fraction", "value"], orient="row")
    table.write_csv(tmp_path / "padchest.csv")
    said = call("savings", "padchest.csv", "--reference", "in21k r50x1", "--json")
    found = {row["rung"]: row for row in json.loads(said.out)}
    # 0.820 lies between 0.721 at 100 of 1,000 labels and 0.840 at 1,000, on the log fraction
    by_hand = 1 - 0.1 * 10 ** ((0.820 - 0.721) / (0.840 - 0.721))
    assert found["in21k r152x4"]["saved"] == pytest.approx(by_hand)
    assert found["chest r50x1"]["saved"] is None
    shown = call("savings", "padchest.csv", "--reference", "in21k r50x1").out
    assert "32%" in shown
    assert "never reaches it" in shown


def test_seeds_of_a_curve_give_an_interval(call: Call, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        (rung, share, seed, level + 0.1 * np.log10(share) + rng.normal(0, 0.005))
        for rung, level in (("scratch", 0.8), ("large", 0.85))
        for share in (0.03, 0.1, 0.3, 1.0)
        for seed in range(5)
    ]
    table = pl.DataFrame(rows, schema=["rung", "label_fraction", "seed", "value"], orient="row")
    table.write_csv(tmp_path / "curves.csv")
    (row,) = json.loads(call("savings", "curves.csv", "--reference", "scratch", "--json").out)
    assert row["low"] < row["saved"] < row["high"]
    assert row["low"] < 1 - 10**-0.5 < row["high"]


def test_a_table_of_curves_that_cannot_be_used_is_refused_whole(call: Call, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(
        "rung,label_fraction,value\na,1.5,0.7\na,0.5,0.7\na,0.5,0.8\n", "utf-8"
    )
    said = call("savings", "bad.csv", "--reference", "a")
    assert said.code == 2
    assert "holds '1.5'" in said.err
    assert "over 0 up to 1" in said.err
    page = re.search(r"See (\S+\.md)", said.err)
    assert page is not None
    assert (Path(__file__).parents[2] / page[1]).is_file()
    (tmp_path / "good.csv").write_text("rung,label_fraction,value\na,0.5,0.7\nb,1,0.7\n", "utf-8")
    assert "no value at label fraction 1" in call("savings", "good.csv", "--reference", "a").err
    assert "'c' is not among" in call("savings", "good.csv", "--reference", "c").err
