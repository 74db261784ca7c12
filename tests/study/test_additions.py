"""Test-only additions: finished runs predict them, nothing is trained again."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.in_process import run_here, study_digests

from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.errors import StudyError
from medtransfer.integrity.fsck import fsck
from medtransfer.integrity.run_seal import seal_run
from medtransfer.runs.config import earlier_run_id
from medtransfer.runs.events import Additions, Event, Planned, Repaired, RunEnded, RunExtended
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.tested import files
from medtransfer.runs.tested.reads import count_reads
from medtransfer.study.check import check_study
from medtransfer.study.config import Study
from medtransfer.study.plan import plan_runs, read_data
from medtransfer.study.status import read_status

SHORT = {"batch_size": 8, "micro_batch": 4, "steps": 4, "checks": 2, "learning_rate": 0.01}
PROBE = {"tuning": {"mode": "linear", "penalties": [1.0, 0.01]}}
LOW_RANK = {**SHORT, "tuning": {"mode": "low-rank", "rank": 2}}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the manifests of one hospital, of two, and of three."""
    folder = tmp_path_factory.mktemp("tables")
    hospitals = {"a": Hospital(40), "b": Hospital(12), "c": Hospital(9, contrast=0.7)}
    phantom = Phantom(kind="lesion", hospitals=hospitals, size=32, signal=1.5, seed=3)
    write_phantom(phantom, folder / "abc.parquet")
    rows = pl.read_parquet(folder / "abc.parquet")
    for name in ("a", "ab"):
        rows.filter(pl.col("cohort").is_in(list(name))).write_parquet(folder / f"{name}.parquet")
    return folder


def study_of(tiny_study: Study, manifest: Path, **changes: object) -> Study:
    fields = tiny_study.model_dump(exclude_unset=True)
    fields["data"] |= {"manifest": manifest}
    return Study.model_validate(fields | {"seeds": [0, 1], "training": SHORT} | changes)


def run(study: Study, folder: Path) -> list[Event]:
    events: list[Event] = []
    run_here(study, folder, events.append)
    return events


def passes(events: Sequence[Event]) -> tuple[int, int]:
    """Number of runs that were trained, and of runs that predicted more."""
    trained = sum(isinstance(event, RunEnded) for event in events)
    return trained, sum(isinstance(event, RunExtended) for event in events)


class Finished:
    """A finished study of hospitals a and b in a folder of a test's own."""

    def __init__(self, study: Study, tables: Path, folder: StudyFolder) -> None:
        self.study, self.tables, self.folder = study, tables, folder
        self.manifest = study.data.manifest

    def run(self, **changes: object) -> list[Event]:
        return run(self.study.model_copy(update=changes), self.folder.path)

    def take(self, hospitals: str) -> None:
        shutil.copy(self.tables / f"{hospitals}.parquet", self.manifest)

    def change(self, cohort: str, **columns: pl.Expr) -> None:
        """Change the rows of a cohort."""
        changed = {
            name: pl.when(pl.col("cohort") == cohort).then(value).otherwise(pl.col(name))
            for name, value in columns.items()
        }
        pl.read_parquet(self.manifest).with_columns(**changed).write_parquet(self.manifest)

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder.path / f"{name}.parquet")


@pytest.fixture(scope="module")
def first(tiny_study: Study, tables: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """The study, run once for all tests of this file; read-only."""
    return run_here(study_of(tiny_study, tables / "ab.parquet"), tmp_path_factory.mktemp("f") / "s")


@pytest.fixture
def done(tiny_study: Study, tables: Path, first: StudyFolder, tmp_path: Path) -> Finished:
    manifest = Path(shutil.copy(tables / "ab.parquet", tmp_path / "lesion.parquet"))
    shutil.copytree(first.path, tmp_path / "s")
    return Finished(study_of(tiny_study, manifest), tables, StudyFolder(tmp_path / "s"))


@pytest.mark.slow
def test_an_added_hospital_trains_nothing_and_moves_nothing(done: Finished) -> None:
    before, ids, old = study_digests(done.folder), done.folder.run_ids(), done.table("predictions")
    done.take("abc")
    report = check_study(done.study, done.folder.path)
    assert (len(report.finished), report.unpredicted) == (2, {"c": 2})
    events = done.run()
    assert passes(events) == (0, 2)
    assert [event for event in events if isinstance(event, Additions)] == [
        Additions("c", 9, 2, is_changed=False)
    ]
    assert next(event for event in events if isinstance(event, Planned)).done == 2
    assert done.folder.run_ids() == ids
    added = done.table("predictions")
    assert_frame_equal(added.filter(pl.col("cohort") != "c"), old, check_exact=True)
    assert added.filter(pl.col("cohort") == "c").height == 2 * 9
    assert set(done.table("results")["cohort"]) == {"a", "b", "c"}
    assert count_reads(done.folder) == {"a": 1, "b": 1, "c": 1}
    assert fsck(done.folder.path).passed
    assert passes(done.run()) == (0, 0)

    done.take("ab")
    assert passes(done.run()) == (0, 0)
    assert study_digests(done.folder) == before
    assert count_reads(done.folder) == {"a": 1, "b": 1, "c": 1}


@pytest.mark.slow
def test_an_added_hospital_that_shares_a_patient_with_training_is_refused_first(
    done: Finished,
) -> None:
    done.take("abc")
    rows = pl.read_parquet(done.manifest)
    trained = rows.filter(pl.col("cohort") == "a")["patient_id"][0]
    done.change("c", patient_id=pl.lit(trained))
    with pytest.raises(StudyError, match="A001 a patient is in more than one split or cohort"):
        done.run()
    assert not list(done.folder.path.glob("runs/*/predictions"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({"training": PROBE, "rungs": ["imagenet/effnet-lite0"]}, id="probe"),
        pytest.param({"training": LOW_RANK}, id="low-rank"),
    ],
)
def test_an_added_hospital_has_the_bits_of_a_fresh_study(
    tiny_study: Study, tables: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    manifest = Path(shutil.copy(tables / "ab.parquet", tmp_path / "lesion.parquet"))
    study = study_of(tiny_study, manifest, **changes)
    assert passes(run(study, tmp_path / "s")) == (2, 0)
    folder = StudyFolder(tmp_path / "s")
    before = study_digests(folder)
    shutil.copy(tables / "abc.parquet", manifest)
    assert passes(run(study, folder.path)) == (0, 2)
    run(study, tmp_path / "fresh")
    now, fresh = study_digests(folder), study_digests(StudyFolder(tmp_path / "fresh"))
    own = {f"{run_id}/predictions.parquet" for run_id in folder.run_ids()}
    assert {name for name in fresh if now.get(name) != fresh[name]} == own
    assert {name: now[name] for name in own} == {name: before[name] for name in own}


@pytest.mark.slow
def test_changed_test_labels_are_scored_again_and_not_predicted_again(done: Finished) -> None:
    old, results = done.table("predictions"), done.table("results")
    done.change("b", malignant=1 - pl.col("malignant"))
    assert passes(done.run()) == (0, 0)
    new = done.table("predictions")
    of_b = pl.col("cohort") == "b"
    flipped = old.filter(of_b)["target_malignant"]
    assert new.filter(of_b)["target_malignant"].to_list() == (1 - flipped).to_list()
    assert_frame_equal(new.drop("target_malignant"), old.drop("target_malignant"))
    key = (pl.col("metric") == "auroc") & (pl.col("attribute") == "all") & of_b
    before, after = (
        table.filter(key).sort("run_id", "target", nulls_last=True)["value"]
        for table in (results, done.table("results"))
    )
    assert after.to_list() == pytest.approx((1 - before).to_list())
    assert count_reads(done.folder) == {"a": 1, "b": 2}


@pytest.mark.slow
def test_a_changed_attribute_is_scored_again(done: Finished) -> None:
    done.change("b", sex=pl.lit("F"))
    assert passes(done.run()) == (0, 0)
    groups = done.table("results").filter(cohort="b", attribute="sex")["group"]
    assert set(groups) == {"F", "all"}


@pytest.mark.slow
def test_changed_images_of_test_cases_are_predicted_again_and_named(done: Finished) -> None:
    pictures = pl.read_parquet(done.tables / "abc.parquet").filter(cohort="c")["image"]
    rows = pl.read_parquet(done.manifest)
    first_of_b = rows.with_row_index().filter(cohort="b")["index"][0]
    rows = rows.with_columns(
        pl.when(pl.int_range(pl.len()) == first_of_b)
        .then(pl.lit(pictures[0]))
        .otherwise("image")
        .alias("image")
    )
    rows.write_parquet(done.manifest)
    events = done.run()
    assert passes(events) == (0, 2)
    assert [event for event in events if isinstance(event, Additions)] == [
        Additions("b", 12, 2, is_changed=True)
    ]


@pytest.mark.slow
def test_a_study_that_is_killed_while_it_predicts_ends_in_the_same_bits(
    done: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Finished(done.study, done.tables, StudyFolder(tmp_path / "whole"))
    shutil.copytree(done.folder.path, whole.folder.path)
    done.take("abc")
    whole.run()
    calls: list[Path] = []

    def killed(path: Path) -> None:
        calls.append(path)
        if len(calls) == 2:  # both files are there, and the seal does not list them
            raise KeyboardInterrupt
        seal_run(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "seal_run", killed)
        with pytest.raises(KeyboardInterrupt):
            done.run()
    assert read_status(done.folder).unpredicted() == {"c": 1}
    assert passes(done.run()) == (0, 1)
    assert study_digests(done.folder) == study_digests(whole.folder)
    assert fsck(done.folder.path).passed


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["parquet", "json"])
def test_damaged_additions_are_predicted_again_in_the_same_bits(
    done: Finished, ending: str
) -> None:
    done.take("abc")
    done.run()
    before = study_digests(done.folder)
    path = sorted(done.folder.path.glob(f"runs/*/predictions/*.{ending}"))[0]
    path.write_bytes(path.read_bytes()[:-3] + b"xyz")
    assert path.name in fsck(done.folder.path).faults[0].file
    events = done.run()
    assert passes(events) == (0, 1)
    repairs = [event.message for event in events if isinstance(event, Repaired)]
    assert any("The run predicts these cases again." in message for message in repairs)
    assert study_digests(done.folder) == before
    assert fsck(done.folder.path).passed


@pytest.mark.slow
def test_two_studies_on_one_cache_both_take_the_added_hospital(
    done: Finished, tiny_study: Study, tmp_path: Path
) -> None:
    other = study_of(tiny_study, done.manifest, name="other", seeds=[1, 2])
    second = StudyFolder(tmp_path / "second")
    second.claim("other")
    second.cache.symlink_to(done.folder.cache)
    assert passes(run(other, second.path)) == (2, 0)
    done.take("abc")
    assert passes(done.run()) == (0, 2)
    assert passes(run(other, second.path)) == (0, 2)
    (shared,) = set(done.folder.run_ids()) & set(second.run_ids())
    tables = [
        pl.read_parquet(next(folder.run(shared).path.glob("predictions/*.parquet")))
        for folder in (done.folder, second)
    ]
    assert_frame_equal(*tables, check_exact=True)


@pytest.mark.slow
def test_runs_without_weights_say_what_can_be_done(done: Finished) -> None:
    done.run(keep="predictions")
    assert not list(done.folder.path.glob("runs/*/checkpoint"))
    assert fsck(done.folder.path).passed
    done.take("abc")
    with pytest.raises(StudyError, match="2 finished runs cannot predict c: the weights are"):
        done.run(keep="predictions")
    done.take("ab")
    assert passes(done.run()) == (0, 0)


@pytest.mark.slow
def test_naming_the_training_hospital_later_keeps_its_runs(
    tiny_study: Study, tables: Path, tmp_path: Path
) -> None:
    manifest = Path(shutil.copy(tables / "a.parquet", tmp_path / "lesion.parquet"))
    named = study_of(tiny_study, manifest)
    split = named.data.split.model_copy(update={"train_cohorts": None})
    alone = named.model_copy(update={"data": named.data.model_copy(update={"split": split})})
    assert passes(run(alone, tmp_path / "s")) == (2, 0)
    shutil.copy(tables / "ab.parquet", manifest)
    assert passes(run(named, tmp_path / "s")) == (0, 2)


@pytest.mark.slow
@pytest.mark.parametrize("hospitals", ["ab", "abc"])
def test_a_study_of_version_02_takes_an_added_hospital_as_it_is_upgraded(
    done: Finished, hospitals: str
) -> None:
    data = read_data(done.study, done.folder.images)
    names: dict[str, str] = {}
    for planned in plan_runs(done.study, data):
        names[planned.run_id] = earlier_run_id(planned.cell.run, data.digest, None)
    for now, then in names.items():
        own = done.folder.run(now).path.rename(done.folder.run(then).path)
        for table in ("predictions", "results"):
            frame = pl.read_parquet(own / f"{table}.parquet")
            frame.with_columns(run_id=pl.lit(then)).write_parquet(own / f"{table}.parquet")
        for name in ("tested.json", "scoring.json"):
            (own / name).unlink()
        record = (own / "run.json").read_text()
        (own / "run.json").write_text(record.replace(now, then))
        seal_run(own)
    done.take(hospitals)
    assert passes(done.run()) == (0, 2 if hospitals == "abc" else 0)
    assert sorted(done.folder.run_ids()) == sorted(names.values())
    done.take("abc")
    done.run()
    assert passes(done.run()) == (0, 0)
    assert set(done.table("predictions")["run_id"]) == set(names.values())
    assert done.table("predictions").filter(cohort="c").height == 2 * 9
