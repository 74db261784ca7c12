"""The studies of `examples/` can be run: files read, manifests built, and nothing stops them."""

import importlib.util
import shlex
import shutil
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from medtransfer.cli.main import app
from medtransfer.data.audit.run import Finding
from medtransfer.study.config import Study
from medtransfer.study.plan import plan_runs, read_data
from medtransfer.study.yaml_file import read_study

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/study.yaml"))
RUNS = {"chest-findings": 4, "chest-pneumonia": 4, "dermatology": 4, "mammography": 9}


def built(example: Path, shared: Path, folder: Path) -> Study:
    """A copy of an example with its manifest beside it."""
    shutil.copy(example / "study.yaml", folder)
    script = example / "manifest.sh"
    if script.is_file():
        for words in commands(script, shared, folder):
            result = CliRunner().invoke(app, words)
            assert result.exit_code == 0, result.output
    else:
        run_builder(example / "manifest.py", shared, folder)
    return read_study(folder / "study.yaml")


def commands(script: Path, shared: Path, folder: Path) -> list[list[str]]:
    """The commands of a script, as the shell would give them to `medtransfer`."""
    lines = script.read_text("utf-8").replace("\\\n", " ").splitlines()
    words = [shlex.split(line) for line in lines if line.startswith("medtransfer ")]
    known = {"$data": str(shared), "$here": str(folder)}
    return [
        [
            word.replace("$data", known["$data"]).replace("$here", known["$here"])
            for word in line[1:]
        ]
        for line in words
    ]


def run_builder(builder: Path, shared: Path, folder: Path) -> None:
    shutil.copy(builder, folder)
    spec = importlib.util.spec_from_file_location("manifest", folder / "manifest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(shared)


def test_every_example_is_named_here() -> None:
    assert {example.name for example in EXAMPLES} == set(RUNS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_says_its_commands_and_where_its_numbers_are(example: Path) -> None:
    text = (example / "study.yaml").read_text("utf-8")
    study = read_study(example / "study.yaml")
    assert study.name == example.name
    (builder,) = example.glob("manifest.*")
    program = {".sh": "sh", ".py": "python"}[builder.suffix]
    assert f"{program} examples/{example.name}/{builder.name}" in text
    assert f"medtransfer run examples/{example.name}/study.yaml" in text
    assert "Expected numbers: benchmarks/RESULTS.md" in text
    for entry in study.rungs:  # scratch is not starved
        if entry.rung.startswith("scratch/"):
            shortest = min(study.training_of(e).steps or 0 for e in study.rungs)
            assert (study.training_of(entry).steps or 0) > shortest


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_examples_manifest_is_built_and_nothing_stops_its_study(
    example: Path, shared: Path, tmp_path: Path
) -> None:
    study = built(example, shared, tmp_path)
    data = read_data(study, tmp_path / "facts.parquet")
    errors: list[Finding] = [f for f in data.findings if f.level == "error"]
    assert errors == []
    assert len(plan_runs(study, data)) == RUNS[example.name]
    for attribute in study.data.attributes:  # each has groups to report by
        assert data.manifest.frame[attribute].drop_nulls().n_unique() >= 2


@pytest.mark.shared
def test_lesions_are_cases_with_shared_classes_and_unknown_ages_in_no_band(
    shared: Path, tmp_path: Path
) -> None:
    (example,) = [path for path in EXAMPLES if path.name == "dermatology"]
    built(example, shared, tmp_path)
    found = pl.read_parquet(tmp_path / "manifest.parquet")
    ham = pl.read_parquet(shared / "derm_ham10000.parquet").select(
        "image",
        case_id=pl.format("ham10000/{}", "lesion_id"),
        patient_id=pl.format("ham10000/{}", "patient_id"),
        diagnosis=pl.col("label").str.to_uppercase(),
        age=pl.when(pl.col("age") > 0).then(pl.col("age")),
        skin_type=pl.lit(None, pl.String),
    )
    pairs = {1: "I-II", 2: "I-II", 3: "III-IV", 4: "III-IV", 5: "V-VI", 6: "V-VI"}
    brazil = pl.read_parquet(shared / "derm_pad_ufes.parquet").select(
        "image",
        case_id=pl.format("pad-ufes/{}_{}", "patient_id", "lesion_id"),
        patient_id=pl.format("pad-ufes/{}", "patient_id"),
        diagnosis=pl.col("label").replace(
            {"NEV": "NV", "ACK": "AKIEC", "SCC": "AKIEC", "SEK": "BKL"}
        ),
        age=pl.col("age").clip(upper_bound=90),
        skin_type=pl.col("fitzpatrick").cast(pl.Int64).replace_strict(pairs, default=None),
    )
    expected = pl.concat([ham, brazil]).with_columns(pl.col("age").cast(pl.Int64))
    expected = expected.with_columns(pl.col("age").clip(upper_bound=90)).sort("image")
    read = found.select(expected.columns).with_columns(pl.col("age").cast(pl.Int64))
    assert_frame_equal(read.sort("image"), expected)
    assert found["age_band"].null_count() == found["age"].null_count()


@pytest.mark.shared
def test_pneumonia_is_read_of_each_sets_own_words(shared: Path, tmp_path: Path) -> None:
    (example,) = [path for path in EXAMPLES if path.name == "chest-pneumonia"]
    built(example, shared, tmp_path)
    found = pl.read_parquet(tmp_path / "manifest.parquet")
    label = dict(found.select("image_id", "pneumonia").iter_rows())
    meaning = {
        "pneumonia": "1",
        "COVID-19": "1",
        "Other pneumonia": "1",
        "normal": "0",
        "No Finding": "0",
        None: None,
    }
    files = {
        "cxr_kermany": "guangzhou-children",
        "cxr_actualmed": "actualmed-adults",
        "cxr_covid": "covid-adults",
    }
    expected = {
        f"{cohort}/{image}": meaning[word]
        for name, cohort in files.items()
        for image, word in pl.read_parquet(
            shared / f"{name}.parquet", columns=["image_id", "label"]
        )
        .select("image_id", "label")
        .iter_rows()
    }
    assert label == expected
