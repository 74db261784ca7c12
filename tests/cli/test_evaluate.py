"""`medtransfer evaluate` on predictions this project did not make, as a user calls it."""

import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.cli.conftest import Call, Said
from tests.evaluation.comparison.hospitals.test_summary import telling_hospitals_apart
from tests.prediction_tables import Site, binary_table

from medtransfer.metrics.catalog import CATALOG, SPECIAL_METRICS
from medtransfer.tables.results import CURVES

COLUMNS = "case_id=study,patient_id=study,target_malignant=truth,prob_malignant=score"
QUICK = "replicates: 40\npermutations: 20\n"
SPLITS = np.repeat(["train", "tune", "test"], [200, 150, 219])


@pytest.fixture
def breast(tmp_path: Path) -> pl.DataFrame:
    """A logistic regression's probabilities in ``breast.csv``, and a table of attributes."""
    numbers, benign = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(benign))
    numbers, truth = numbers[order, :3], 1 - benign[order]
    train = SPLITS == "train"
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(numbers[train], truth[train])
    table = pl.DataFrame(
        {
            "study": [f"0{i}" for i in range(len(truth))],
            "truth": truth,
            "score": model.predict_proba(numbers)[:, 1],
            "split": SPLITS,
        }
    ).filter(pl.col("split") != "train")
    table.write_csv(tmp_path / "breast.csv")
    sex = ["F", "M"] * len(table)
    about = table.select(case_id="study", sex=pl.Series(sex[: len(table)]), note=pl.lit("x"))
    about.write_csv(tmp_path / "about.csv")
    (tmp_path / "quick.yaml").write_text(QUICK, "utf-8")
    return table


def evaluated(call: Call, *words: str) -> Said:
    return call(
        "evaluate",
        "breast.csv",
        "-o",
        "out",
        "--columns",
        COLUMNS,
        "--config",
        "quick.yaml",
        *words,
    )


@pytest.mark.slow
def test_a_csv_of_scikit_learn_is_evaluated_under_its_own_column_names(
    call: Call, breast: pl.DataFrame
) -> None:
    said = evaluated(call, "--manifest", "about.csv")
    assert said.code == 0, said.err
    assert "Column 'cohort' is missing: 'internal' was assumed." in said.out
    assert "Probabilities were converted to logits." in said.out
    assert "369 of 369 cases are in the manifest." in said.out
    assert "Reported by: sex." in said.out
    assert "Report: " in said.out
    test = breast.filter(split="test")
    auroc = roc_auc_score(test["truth"], test["score"])
    assert f"{auroc:.2f} [" in said.out
    results = pl.read_parquet("out/results.parquet")
    own = results.filter(pl.col("metric") == "auroc", pl.col("run_id") == "run")
    values = dict(own.select("group", "value").rows())
    assert values["all"] == pytest.approx(auroc, abs=1e-9)
    assert set(values) == {"all", "F", "M"}
    for name in ("results.csv", "comparisons.parquet", "evaluation.json", "curves/roc.parquet"):
        assert Path("out", name).is_file(), name
    assert {p.stem for p in Path("out/curves").iterdir()} <= set(CURVES)


@pytest.mark.slow
def test_for_machines_it_prints_one_line_of_json(call: Call, breast: pl.DataFrame) -> None:
    assert len(breast) == 369
    said = evaluated(call, "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert set(found) == {"said", "report", "rows"}
    assert found["rows"] == len(pl.read_parquet("out/results.parquet"))
    assert "One target: the task is binary." in found["said"]


@pytest.mark.slow
def test_the_same_command_gives_the_same_tables_in_every_language(
    call: Call, breast: pl.DataFrame
) -> None:
    assert len(breast) == 369
    evaluated(call)
    first = Path("out/results.csv").read_bytes()
    spoken = evaluated(call, "--language", "fr")
    assert Path("out/results.csv").read_bytes() == first
    assert "Column 'cohort' is missing" in spoken.out
    page = Path("out/report.html").read_text("utf-8")
    assert '<html lang="fr">' in page
    assert "À ne pas conclure" in page
    assert "Must not be concluded" not in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--columns", "case_id"],
            "--columns cannot be used: 'case_id' is not of the form ours=theirs.",
        ),
        (["--columns", "run_id=vendor"], "column 'vendor' is not in the table"),
        (["--columns", "logit_malignant=score"], "'target_malignant' has both of"),
        (["--attributes", "sex"], "there is no --manifest to find them in"),
        (["--manifest", "about.csv", "--attributes", "sexx"], "Did you mean 'sex'?"),
        (["--manifest", "nowhere.csv"], 'Manifest "nowhere.csv" does not exist'),
        (["--reference", "ruun"], "Did you mean 'run'?"),
        (["--task", "multi"], "Invalid value for '--task'"),
        (["--task", "single-label"], "the task is single-label"),
        (["--language", "it"], "language 'it' is unknown (allowed: en, de, fr, es, pt)"),
        (["--config", "nowhere.yaml"], '"nowhere.yaml" does not exist'),
        (["--config", "typo.yaml"], "typo.yaml:1:"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_bad_input_is_one_message_and_nothing_is_written(
    call: Call, breast: pl.DataFrame, words: list[str], message: str
) -> None:
    assert len(breast) == 369
    Path("typo.yaml").write_text("replicate: 5\n", "utf-8")
    said = evaluated(call, *words)
    assert said.code == 2, said.out
    assert message in " ".join(said.err.replace("│", "").split())
    assert "Traceback" not in said.err
    assert not Path("out").exists()


def test_a_table_that_is_not_there_or_holds_logits_is_said(
    call: Call, breast: pl.DataFrame
) -> None:
    said = call("evaluate", "nowhere.csv", "-o", "out")
    assert said.code == 2
    assert 'Predictions "nowhere.csv" does not exist' in said.err
    breast.with_columns(pl.col("score") * 9 - 4).write_csv("breast.csv")
    said = evaluated(call)
    assert said.code == 2
    assert "these are not probabilities. If they are logits, name it logit_<name>" in said.err


def test_an_out_folder_that_is_a_file_is_said(call: Call, breast: pl.DataFrame) -> None:
    assert len(breast) == 369
    Path("out").write_text("mine", "utf-8")
    said = evaluated(call)
    assert said.code == 2
    assert '"out" is a file' in said.err
    assert Path("out").read_text("utf-8") == "mine"


def test_two_networks_are_compared_on_the_same_patients(call: Call, breast: pl.DataFrame) -> None:
    noise = np.random.default_rng(1).normal(size=len(breast))
    worse = 1 / (1 + np.exp(-(4 * breast["score"].to_numpy() - 2 + 3 * noise)))
    both = pl.concat(
        [
            breast.with_columns(run_id=pl.lit("plain")),
            breast.with_columns(run_id=pl.lit("noisy"), score=pl.Series(worse)),
        ]
    )
    both.write_csv("breast.csv")
    said = evaluated(call)
    assert said.code == 0, said.err
    rows = pl.read_parquet("out/comparisons.parquet").filter(pl.col("metric") == "auroc")
    (row,) = rows.rows(named=True)
    assert (row["rung"], row["reference"]) == ("noisy", "plain")
    assert row["high"] < 0


def test_the_metrics_are_printed_with_their_definitions(call: Call) -> None:
    said = call("metrics")
    assert said.code == 0
    for name in CATALOG:
        assert name.split("@")[0] in said.out
    found = json.loads(call("metrics", "--json").out)
    assert [metric["name"] for metric in found] == [*CATALOG, *SPECIAL_METRICS]
    assert set(found[0]) == {
        "name",
        "title",
        "better",
        "low",
        "high",
        "needs",
        "formula",
        "reference",
    }
    assert next(m for m in found if m["name"] == "nll")["high"] is None


FINDINGS = ("Infiltration", "Effusion", "Atelectasis")


@pytest.mark.slow
@pytest.mark.shared
def test_radiographs_of_several_findings_are_evaluated_by_sex(
    call: Call, tmp_path: Path, shared: Path
) -> None:
    table = pl.read_parquet(shared / "cxr_nih64.parquet").sort("image_id")
    pixels = np.stack(
        [
            np.asarray(Image.open(io.BytesIO(image)).convert("L").resize((16, 16))).ravel()
            for image in table["image"]
        ]
    )
    truth = table.select(FINDINGS).to_numpy().astype(int)
    train = (table["split"] == "train").to_numpy()
    inner = LogisticRegression(C=1e-3, max_iter=500)
    model = OneVsRestClassifier(make_pipeline(StandardScaler(), inner))
    scores = model.fit(pixels[train], truth[train]).predict_proba(pixels)
    columns = {f"p {name}": scores[:, i] for i, name in enumerate(FINDINGS)}
    ours = table.select("image_id", "patient_id", "split", *FINDINGS).with_columns(**columns)
    ours = ours.with_columns(pl.col("split").replace("val", "tune"))
    ours.filter(pl.col("split") != "train").write_csv(tmp_path / "films.csv")
    table.select(case_id="image_id", sex="sex").write_csv(tmp_path / "about.csv")
    (tmp_path / "quick.yaml").write_text(QUICK, "utf-8")
    names = [f"target_{n.lower()}={n}" for n in FINDINGS]
    names += [f"prob_{n.lower()}=p {n}" for n in FINDINGS]
    said = call(
        "evaluate",
        "films.csv",
        "-o",
        "out",
        "--manifest",
        "about.csv",
        "--attributes",
        "sex",
        "--config",
        "quick.yaml",
        "--columns",
        ",".join(["case_id=image_id", *names]),
    )
    assert said.code == 0, said.err
    assert "3 targets: the task is multi-label." in said.out
    results = pl.read_parquet("out/results.parquet").filter(
        pl.col("metric") == "auroc", pl.col("run_id") == "run"
    )
    overall = dict(results.filter(group="all").select("target", "value").rows())
    test = (table["split"] == "test").to_numpy()
    for i, name in enumerate(FINDINGS):
        wanted = roc_auc_score(truth[test, i], scores[test, i])
        assert overall[name.lower()] == pytest.approx(wanted, abs=1e-9)
    assert 0.55 < overall["macro"] < 0.95
    by_sex = results.filter(pl.col("attribute") == "sex", pl.col("target") == "macro")
    assert set(by_sex["group"]) == {"F", "M"}


@pytest.mark.slow
def test_several_training_hospitals_are_scored_each_within_itself(
    call: Call, tmp_path: Path
) -> None:
    telling_hospitals_apart().write_parquet(tmp_path / "p.parquet")
    (tmp_path / "quick.yaml").write_text(QUICK, "utf-8")
    said = call("evaluate", "p.parquet", "-o", "out", "--config", "quick.yaml")
    assert said.code == 0, said.err
    assert "AUROC internal, within hospitals" in said.out
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "Pooling adds 0.19" in page
    assert "that is owed to differences between the hospitals" in page
    assert "(of 3 hospitals: mostly ignorance)" in page


def test_a_cohort_with_other_targets_is_not_read_as_a_gain(call: Call, tmp_path: Path) -> None:
    sites = {"home": Site({"tune": 40, "test": 80}), "away": Site({"test": 80}, separation=1.2)}
    table = binary_table(sites, targets=("x", "y", "hard"))
    away = pl.col("cohort") == "away"
    table = table.with_columns(
        logit_hard=pl.Series(np.random.default_rng(0).normal(size=len(table))),
        target_hard=pl.when(~away).then("target_hard"),
    )
    table.write_parquet(tmp_path / "p.parquet")
    (tmp_path / "quick.yaml").write_text(QUICK, "utf-8")
    said = call("evaluate", "p.parquet", "-o", "out", "--config", "quick.yaml")
    assert said.code == 0, said.err
    text = " ".join(said.out.split())
    assert "away has other targets than home: their AUROCs above are not alike." in text
    assert "over the 2 of 3 targets that both have: x, y is 0." in text
