"""Study folders that versions 0.1 and 0.2 wrote (golden/README.md) open, report and resume."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.in_process import run_here

from medtransfer.errors import StudyError
from medtransfer.integrity.fsck import fsck
from medtransfer.posthoc.ood_detectors import DETECTORS
from medtransfer.report.page import write_report
from medtransfer.report.reading import load_study_data
from medtransfer.runs.events import Additions, Event, Planned, Repaired, RunEnded
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.tested.files import read_identity
from medtransfer.study.status import read_status
from medtransfer.study.yaml_file import read_study
from medtransfer.tables import old_names
from medtransfer.tables.old_names import RENAMED_METRICS, with_current_metrics
from medtransfer.tables.results import read_curve_tables, read_results

GOLDEN = Path(__file__).parents[1] / "golden" / "study-0.1"
KEYS = ["run_id", "cohort", "attribute", "group", "target", "metric", "rung", "seed"]


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFolder:
    """A copy of the folder, in the working folder of its user."""
    monkeypatch.chdir(tmp_path)
    for name in ("study.yaml", "lesion.parquet"):
        shutil.copy(GOLDEN / name, name)
    shutil.copytree(GOLDEN / "folder", "studies/old")
    old_names._say_once.cache_clear()
    return StudyFolder(Path("studies/old"))


@pytest.fixture
def latest(old: StudyFolder) -> StudyFolder:
    """The same study as version 0.2 left it, when test cases were still part of run ids."""
    shutil.rmtree(old.path)
    shutil.copytree(GOLDEN.with_name("study-0.2") / "folder", old.path)
    return old


def old_results() -> pl.DataFrame:
    """The table as version 0.1 wrote it."""
    return pl.read_parquet(GOLDEN / "folder" / "results.parquet")


def auroc(results: pl.DataFrame) -> pl.DataFrame:
    """Every AUROC of all cases in a fixed order.

    Intervals are made in another way since 0.1, and groups of few positives have no AUROC now.
    """
    whole = (pl.col("metric") == "auroc") & (pl.col("attribute") == "all")
    rows = results.filter(whole).select(*KEYS, "value")
    return rows.sort(KEYS)


def run(old: StudyFolder, **changes: object) -> list[Event]:
    """Run the study of the folder, as `medtransfer run study.yaml` does; its events."""
    events: list[Event] = []
    study = read_study(Path("study.yaml")).model_copy(update=changes)
    run_here(study, old.path, events.append)
    return events


def test_an_old_table_is_read_under_the_new_names_and_one_line_says_which(
    old: StudyFolder, caplog: pytest.LogCaptureFixture
) -> None:
    assert set(RENAMED_METRICS) < set(old_results()["metric"])
    for _ in range(2):
        results = read_results(old.path / "results.parquet")
    names = set(results["metric"])
    assert not names & set(RENAMED_METRICS)
    assert names > {*RENAMED_METRICS.values(), "ood_auroc_scale_data", "ood_flag_rate_drop"}
    assert auroc(results).equals(auroc(old_results()))
    (record,) = caplog.records
    assert record.getMessage() == (
        "Metrics of version 0.1 have new names: foreign_auroc is now ood_auroc, foreign_auprc is "
        "now ood_auprc, foreign_fpr95 is now ood_fpr95, flagged is now ood_flag_rate."
    )
    assert read_curve_tables(old.path / "curves")["ood"].height == 400


def test_a_table_of_today_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    table = pl.DataFrame({"metric": ["ood_auroc", "auroc", "flagged_by_a_reader"]}).head(2)
    assert with_current_metrics(table).equals(table)
    assert not caplog.records


@pytest.mark.slow
def test_status_and_report_read_the_folder_as_it_is(old: StudyFolder) -> None:
    assert read_status(old).counts() == {"done": 4}
    assert read_status(old).seconds_left == 0
    data = load_study_data(old)
    assert not set(data.results["metric"]) & set(RENAMED_METRICS)
    assert not set(data.comparisons["metric"]) & set(RENAMED_METRICS)
    page = write_report(old).read_text("utf-8")
    for detector in read_curve_tables(old.path / "curves")["ood"]["series"].unique():
        assert DETECTORS[detector].title in page


@pytest.mark.slow
def test_finished_runs_are_scored_again_and_not_trained_again(old: StudyFolder) -> None:
    before = auroc(old_results())
    events = run(old)
    assert not [event for event in events if isinstance(event, RunEnded)]
    assert next(event for event in events if isinstance(event, Planned)).done == 4
    results = pl.read_parquet(old.path / "results.parquet")
    assert "ood_auroc" in results["metric"]
    assert not set(results["metric"]) & set(RENAMED_METRICS)
    assert_frame_equal(auroc(results), before, rel_tol=1e-12)
    comparisons = pl.read_parquet(old.path / "comparisons.parquet")
    assert not set(comparisons["metric"]) & set(RENAMED_METRICS)
    curves = {path.name for path in (old.path / "curves").iterdir()}
    assert "ood.parquet" in curves
    assert "foreign.parquet" not in curves


@pytest.mark.slow
def test_only_an_added_seed_is_trained(old: StudyFolder) -> None:
    events = run(old, seeds=(0, 1, 2))
    ended = [event for event in events if isinstance(event, RunEnded)]
    assert [(event.run.seed, event.state) for event in ended] == [(2, "done")] * 2
    results = pl.read_parquet(old.path / "results.parquet")
    of_runs = auroc(results).filter(pl.col("seed").is_in([0, 1]))
    assert_frame_equal(of_runs, auroc(old_results()).filter(pl.col("seed").is_not_null()))


@pytest.mark.slow
def test_a_folder_of_version_02_is_taken_up_under_its_names_and_nothing_is_trained(
    latest: StudyFolder,
) -> None:
    before, ids = auroc(pl.read_parquet(latest.path / "results.parquet")), latest.run_ids()
    write_report(latest)
    assert read_status(latest).counts() == {"done": 4}
    events = run(latest)
    assert next(event for event in events if isinstance(event, Planned)).done == 4
    assert not [event for event in events if isinstance(event, RunEnded | Additions)]
    assert_frame_equal(auroc(pl.read_parquet(latest.path / "results.parquet")), before)
    assert latest.run_ids() == ids
    identities = [read_identity(latest.run(run_id)) for run_id in ids]
    assert not set(identities) & set(ids)
    assert None not in identities
    assert fsck(latest.path).passed
    again = run(latest)
    assert not [event for event in again if isinstance(event, RunEnded | Repaired)]


def add_hospital(table: Path) -> None:
    """Append the cases of hospital b once more, as another hospital's, its images changed."""
    rows = pl.read_parquet(table)
    added = rows.filter(pl.col("cohort") == "b").with_columns(
        pl.concat_str(pl.lit("new-"), name).alias(name)
        for name in ("image_id", "case_id", "patient_id", "cohort")
    )
    # bytes after the end of a picture change its digest and nothing else
    added = added.with_columns(
        pl.Series("image", [picture + b" " for picture in added["image"]], dtype=pl.Binary)
    )
    pl.concat([rows, added]).write_parquet(table)


def test_an_upgrade_and_a_new_hospital_at_once_are_told_apart(latest: StudyFolder) -> None:
    add_hospital(Path("lesion.parquet"))
    with pytest.raises(StudyError, match="4 finished runs cannot predict new-b") as caught:
        run(latest, waive={"A008": "the same pictures again, on purpose"})
    assert "delete `done` in the folders of these runs" in str(caught.value)
    assert len(latest.run_ids()) == 4
