"""The studies of `examples/` can be run: files read, manifests built, and nothing stops them."""

import importlib.util
import shutil
from pathlib import Path

import polars as pl
import pytest

from medtransfer.data.audit import Finding
from medtransfer.study.config import Study
from medtransfer.study.document import read_study
from medtransfer.study.plan import plan_runs, read_data

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/study.yaml"))
RUNS = {"chest-findings": 4, "chest-pneumonia": 4, "dermatology": 4, "mammography": 9}


def built(example: Path, shared: Path, folder: Path) -> Study:
    """A copy of an example with its manifest beside it."""
    for name in ("study.yaml", "manifest.py"):
        shutil.copy(example / name, folder)
    spec = importlib.util.spec_from_file_location("manifest", folder / "manifest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(shared)
    return read_study(folder / "study.yaml")


def test_every_example_is_named_here() -> None:
    assert {example.name for example in EXAMPLES} == set(RUNS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_says_its_commands_and_where_its_numbers_are(example: Path) -> None:
    text = (example / "study.yaml").read_text("utf-8")
    study = read_study(example / "study.yaml")
    assert study.name == example.name
    assert f"python examples/{example.name}/manifest.py" in text
    assert f"medtransfer run examples/{example.name}/study.yaml" in text
    assert "Numbers to expect: benchmarks/RESULTS.md" in text
    for entry in study.rungs:  # scratch is not starved
        if entry.rung.startswith("scratch/"):
            shortest = min(study.training_of(e).steps or 0 for e in study.rungs)
            assert (study.training_of(entry).steps or 0) > shortest


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
def test_unknown_ages_are_in_no_band(shared: Path, tmp_path: Path) -> None:
    (example,) = [path for path in EXAMPLES if path.name == "dermatology"]
    built(example, shared, tmp_path)
    found = pl.read_parquet(tmp_path / "manifest.parquet").filter(pl.col("cohort") == "ham10000")
    ages = pl.read_parquet(shared / "derm_ham10000.parquet", columns=["age"])["age"].fill_null(0)
    assert found["age_band"].null_count() == (ages == 0).sum()
    assert found.filter(pl.col("age_band") == "60 and over").height == (ages >= 60).sum()
