"""A bundle at another hospital: verdict, tables, page, the search for training patients."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from medtransfer.cli.main import app
from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.inference.model import load_bundle
from medtransfer.deploy.validation.config import ValidationConfig
from medtransfer.deploy.validation.validate import Validation, validate_bundle, validation_config
from medtransfer.errors import ConfigError, TableError
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.files import read_json
from medtransfer.report.questions.fairness import group_cohort
from medtransfer.tables.results import read_results

QUICK = EvaluationConfig(replicates=100, permutations=20)


def hospital_manifest(folder: Path, cases: int = 60) -> Path:
    """Cases of a hospital that the study has never seen."""
    path = folder / "south.parquet"
    phantom = Phantom(
        kind="lesion", hospitals={"south": Hospital(cases, contrast=0.6)}, size=32, signal=1.5
    )
    write_phantom(phantom, path)
    return path


@pytest.fixture(scope="module")
def south(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hospital_manifest(tmp_path_factory.mktemp("south"))


@pytest.fixture(scope="module")
def validation(bundle: Bundle, south: Path, tmp_path_factory: pytest.TempPathFactory) -> Validation:
    out = tmp_path_factory.mktemp("validation")
    return validate_bundle(bundle.path, south, out, evaluation=QUICK)


def test_a_hospital_is_told_one_of_four_with_numbers(validation: Validation) -> None:
    assert validation.sentence.startswith("south, ")
    assert validation.local.verdict.answer in validation.sentence
    carried = next(line for line in validation.lines if line.startswith("as carried (sens90)"))
    assert "with malignant" in carried
    assert "are missed" in carried
    assert "(promised " in carried
    assert validation.notes[0] == "No image and no patient of the training was found."


def test_the_folder_holds_tables_and_a_page_that_opens_with_the_verdict(
    validation: Validation,
) -> None:
    verdict = pl.read_csv(validation.folder / "verdict.csv")
    assert set(verdict["metric"]) == {"auroc", "sensitivity@sens90", "specificity@sens90"}
    assert verdict["margin"].unique().to_list() == [0.05]
    results = read_results(validation.folder / "results.parquet")
    here = results.filter(pl.col("cohort") == "south", pl.col("attribute") == "all")
    assert {"auroc", "net_benefit@risk20", "ood_flag_rate"} <= set(here["metric"])
    row = here.filter(metric="sensitivity@sens90", target="malignant").row(0, named=True)
    judged = verdict.filter(metric="sensitivity@sens90", stage="as carried").row(0, named=True)
    assert row["value"] == pytest.approx(judged["here"])
    page = validation.report.read_text("utf-8")
    assert page.index("Does it hold here?") < page.index("south, ")
    predictions = pl.read_parquet(validation.folder / "predictions.parquet")
    assert predictions["target_malignant"].null_count() == 0
    for patient in predictions["patient_id"].unique():
        assert f">{patient}<" not in page


def test_what_was_promised_is_what_the_bundle_says(validation: Validation, bundle: Bundle) -> None:
    for judgement in validation.local.verdict.carried:
        (promise,) = [
            n
            for n in bundle.facts.promises
            if (n.split, n.cohort, n.target, n.metric)
            == ("test", "a", judgement.target, judgement.metric)
        ]
        assert judgement.promised.value == pytest.approx(promise.value)


@pytest.mark.slow
def test_training_patients_are_found_and_left_out(
    bundle: Bundle, phantom_folder: Path, tmp_path: Path
) -> None:
    made = validate_bundle(
        bundle.path, phantom_folder / "lesion.parquet", tmp_path, cohort="a", evaluation=QUICK
    )
    assert made.notes[0] == "The network was trained on this hospital."
    assert any(note.endswith("used in training are left out.") for note in made.notes)
    left = pl.read_parquet(tmp_path / "predictions.parquet")["case_id"].n_unique()
    whole = pl.read_parquet(phantom_folder / "lesion.parquet").filter(cohort="a")
    assert 0 < left < whole["case_id"].n_unique()
    promised = bundle.promised
    assert left == int((promised.is_test & (promised.cohort == 0)).sum())


def test_what_cannot_be_validated_is_refused(
    bundle: Bundle, phantom_folder: Path, south: Path, tmp_path: Path
) -> None:
    model = load_bundle(bundle.path)
    with pytest.raises(TableError, match="has 2 cohorts: a, b. Name one hospital with --cohort"):
        validate_bundle(model, phantom_folder / "lesion.parquet", tmp_path)
    with pytest.raises(TableError, match="has no cohort 'sout'. Did you mean 'south'"):
        validate_bundle(model, south, tmp_path, cohort="sout")
    blank = pl.read_parquet(south).with_columns(malignant=pl.lit(None, dtype=pl.String))
    blank.write_parquet(tmp_path / "blank.parquet")
    with pytest.raises(TableError, match=r"No case has a label \(malignant\)"):
        validate_bundle(model, tmp_path / "blank.parquet", tmp_path)
    with pytest.raises(ConfigError, match=r"margin is 2 \(allowed.*arm is 'plat' \(allowed"):
        validation_config(model.facts, margin=2, arm="plat")


@pytest.mark.slow
def test_one_class_alone_is_too_few_to_say(bundle: Bundle, south: Path, tmp_path: Path) -> None:
    well = pl.read_parquet(south).filter(pl.col("malignant").cast(pl.String) == "0")
    well.write_parquet(tmp_path / "well.parquet")
    made = validate_bundle(
        bundle.path,
        tmp_path / "well.parquet",
        tmp_path / "out",
        config=ValidationConfig(margin=0.2),
        evaluation=QUICK,
    )
    assert made.local.verdict.answer == "too few cases to say"
    assert any("no positive case" in line for line in made.lines)


@pytest.mark.slow
def test_the_command_prints_the_verdict(bundle: Bundle, south: Path, tmp_path: Path) -> None:
    config = tmp_path / "quick.yaml"
    config.write_text("replicates: 60\npermutations: 0\n")
    done = CliRunner().invoke(
        app,
        [
            *("validate", str(bundle.path), str(south), "-o", str(tmp_path / "out")),
            *("--config", str(config), "--margin", "0.1", "--language", "es"),
        ],
    )
    assert done.exit_code == 0, done.output
    assert "south, 60 pacientes (" in done.output
    assert "report.html" in done.output
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    verdict = next(line for line in done.output.splitlines() if line.startswith("south, 60"))
    assert f'<p class="lead verdict">{verdict}'.replace(" ", "") in "".join(page.split())
    assert "<h2>¿Se mantiene aquí?</h2>" in page
    document = read_json(tmp_path / "out" / "evaluation.json")
    assert document["verdict"][0].startswith("south, 60 patients (")
    assert "¿Se mantiene" not in (tmp_path / "out" / "report.json").read_text("utf-8")


def test_the_page_compares_groups_at_the_hospital_that_was_validated() -> None:
    facts = {"shifted": ["south"], "main_cohort": "home"}
    validation: Any = SimpleNamespace(verdict=("holds",), **facts)
    assert group_cohort(validation) == "south"
    study: Any = SimpleNamespace(verdict=(), **facts)
    assert group_cohort(study) == "home"


@pytest.mark.slow
def test_the_table_of_a_hospital_is_read_as_a_study_reads_it_and_that_is_said(
    bundle: Bundle, south: Path, tmp_path: Path
) -> None:
    table = pl.read_parquet(south).with_row_index("n").drop("sex", "age", strict=False)
    third = pl.col("n") % 3
    table = table.with_columns(
        sex=pl.when(third == 0).then(pl.lit("w")).otherwise(pl.lit("m")),
        scanner=pl.when(third == 0).then(pl.lit("unbekannt")).otherwise(pl.format("S{}", third)),
        ward=pl.when(pl.col("n") < 3).then(pl.lit("rare")).otherwise(pl.format("W{}", third % 2)),
        malignant=pl.when(pl.col("n") == 0).then(pl.lit("ja")).otherwise("malignant"),
        Nachname=pl.format("Familie{}", "n"),
    )
    path = tmp_path / "words.parquet"
    table.drop("n").write_parquet(path)
    model = load_bundle(bundle.path)
    with pytest.raises(TableError, match="--values malignant=WORD:1,WORD:0"):
        validate_bundle(model, path, tmp_path / "out", evaluation=QUICK)
    with pytest.raises(TableError, match="'Nachname'.*is reported by"):
        validate_bundle(
            model,
            path,
            tmp_path / "out",
            attributes=["Nachname"],
            values={"malignant": {"ja": "1"}},
            evaluation=QUICK,
        )
    made = validate_bundle(
        model, path, tmp_path / "out", values={"malignant": {"ja": "1"}}, evaluation=QUICK
    )
    said = " ".join(made.notes)
    for part in (
        "'malignant': 'ja' in 1 row written as '1'.",
        "'sex': read as F: 'w' in 20 rows.",
        "'scanner': read as missing: 'unbekannt' in 20 rows.",
        "'ward': 1 value of fewer than",
    ):
        assert part in said, made.notes
    groups = read_results(made.folder / "results.parquet")
    of_scanner = groups.filter(attribute="scanner")["group"].unique().to_list()
    assert "unbekannt" not in of_scanner
    assert "rare" not in groups["group"].unique().to_list()
    assert {"F", "M"} <= {*groups.filter(attribute="sex")["group"]}
