"""The demonstration: what it is made of, and that it ends in the numbers that the README shows."""

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from tests.test_docs import first_missing

from medtransfer.data.audit.run import audit
from medtransfer.data.images.scan import scan_images
from medtransfer.data.phantom import Hospital, Phantom
from medtransfer.data.splits import assign_splits
from medtransfer.errors import StudyError
from medtransfer.files import sha256
from medtransfer.recipes import demo
from medtransfer.recipes.demo import demo_study
from medtransfer.recipes.planted import planted_truths
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.inputs import read_run_manifest
from medtransfer.study.grid import expand
from medtransfer.tables.results import read_results

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "demo.json"
TOLERANCE = 0.03
PROMISED_SECONDS = 4 * 60
CORES = 2


def golden() -> dict[str, dict[str, float]]:
    """Headline AUROC by rung and cohort."""
    return json.loads(GOLDEN.read_text("utf-8"))["auroc"]


def shown() -> str:
    """What the README says the demonstration prints."""
    text = (ROOT / "README.md").read_text("utf-8")
    found = re.search(r"<!-- demo output: begin.*?-->\n```text\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same recipe on fewer and smaller pictures."""
    hospitals = {"hospital-a": Hospital(60), "hospital-b": Hospital(12)}
    monkeypatch.setattr(demo, "PHANTOM", Phantom(hospitals=hospitals, size=16))


@pytest.mark.usefixtures("small")
def test_it_is_a_ladder_at_two_label_fractions_with_five_seeds(tmp_path: Path) -> None:
    study = demo_study(tmp_path / "demo")
    cells = expand(study, pl.DataFrame({"cohort": ["hospital-a", "hospital-b"]}))
    assert len(cells) == 20
    inits = {cell.rung.split("/")[0] for cell in cells}
    assert inits == {"scratch", "tiny-100k"}
    steps = {cell.rung: cell.run.training.steps for cell in cells}
    scratch, pretrained = steps["scratch/r26x0.25"], steps["tiny-100k/r26x0.25"]
    assert scratch is not None
    assert pretrained is not None
    assert scratch > pretrained  # scratch is not starved


@pytest.mark.usefixtures("small")
def test_runs_of_the_quick_one_are_among_those_of_the_whole_one(tmp_path: Path) -> None:
    cohorts = pl.DataFrame({"cohort": ["hospital-a", "hospital-b"]})
    quick, whole = (
        {
            (cell.rung, cell.label_fraction, cell.seed): cell.run
            for cell in expand(demo_study(tmp_path / "demo", quick=quick), cohorts)
        }
        for quick in (True, False)
    )
    assert len(quick) == 4
    assert all(whole[place] == run for place, run in quick.items())


@pytest.mark.usefixtures("small")
def test_its_pictures_are_made_once(tmp_path: Path) -> None:
    first = demo_study(tmp_path / "demo")
    manifest = tmp_path / "demo" / "phantom.parquet"
    before = manifest.stat().st_mtime_ns, sha256(manifest)
    assert demo_study(tmp_path / "demo") == first
    assert (manifest.stat().st_mtime_ns, sha256(manifest)) == before
    demo_study(tmp_path / "elsewhere")
    assert sha256(tmp_path / "elsewhere" / "phantom.parquet") == before[1]


@pytest.mark.usefixtures("small")
def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("x")
    with pytest.raises(StudyError, match="is not empty and is not a study folder"):
        demo_study(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


@pytest.mark.slow
def test_its_data_have_no_fault_that_stops_a_study(tmp_path: Path) -> None:
    study = demo_study(tmp_path / "demo")
    manifest = read_run_manifest(study.data)
    facts = scan_images(manifest, study.data.pixel_limit, tmp_path / "facts.parquet")
    findings = audit(manifest, assign_splits(manifest, study.data), facts, study.data)
    assert [f for f in findings if f.level == "error"] == []


def test_the_readme_shows_the_reviewed_numbers() -> None:
    # the README shows the study of its picture, whose processor need not be that of the golden file
    lines = [line for line in shown().splitlines() if re.search(r"\d/\d+  ", line)]
    rows = {line.split()[0]: re.findall(r"(\d\.\d\d) \[", line) for line in lines}
    for rung, cohorts in golden().items():
        values = [float(text) for text in rows[rung]]
        assert values == pytest.approx(list(cohorts.values()), abs=TOLERANCE), (
            f"README.md and {GOLDEN.name} differ by more than a processor does"
        )


@pytest.mark.slow
def test_it_ends_in_the_reviewed_numbers_in_time(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "medtransfer", "demo"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        # the number of threads is in the bits, and a few hundredths of AUROC come of them
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    missing = first_missing(shown(), done.stdout)
    assert missing is None, f"README.md: `medtransfer demo` no longer prints '{missing}'"
    folder = tmp_path / "medtransfer-demo"
    assert (folder / "report.html").is_file()
    results = read_results(folder / "results.parquet").filter(
        pl.col("run_id").is_null(),
        pl.col("metric") == "auroc",
        pl.col("group") == "all",
        pl.col("label_fraction") == 1.0,
    )
    found = {rung: {} for rung in golden()}
    for rung, cohort, value in results.select("rung", "cohort", "value").iter_rows():
        found[rung][cohort] = value
    for rung, cohorts in golden().items():
        assert found[rung] == pytest.approx(cohorts, abs=TOLERANCE), (
            f"The demonstration has moved. If it should, write {found} to {GOLDEN.name} and the "
            "new output to README.md"
        )
    truths = {t.topic: t for t in planted_truths(demo.PHANTOM, StudyFolder(folder))}
    for topic in ("shift", "groups", "probabilities"):
        truth = truths[topic]
        assert truth.estimate.low is not None
        assert truth.estimate.high is not None
        assert 0 < truth.estimate.low <= truth.estimate.high, truth.sentence
        assert truth.truth <= truth.estimate.high, truth.sentence
        # a network of 38 cases is wrong by more than what prevalence alone costs the ideal observer
        if topic != "probabilities":
            assert truth.estimate.low <= truth.truth, truth.sentence
    # processor time: the clock would measure what else the machine does
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < PROMISED_SECONDS * CORES
