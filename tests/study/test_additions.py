"""Test-only additions: finished runs predict them, nothing is trained again."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.in_process import run_here, study_digests

from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.runs.events import Additions, Event, Planned, RunEnded, RunExtended
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study

LINEAR = {"tuning": {"mode": "linear", "penalties": [1.0, 0.01]}}
LOW_RANK = {"tuning": {"mode": "low-rank", "rank": 2}}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the manifests of two hospitals, and of three."""
    folder = tmp_path_factory.mktemp("tables")
    hospitals = {"a": Hospital(40), "b": Hospital(12), "c": Hospital(9, contrast=0.7)}
    phantom = Phantom(kind="lesion", hospitals=hospitals, size=32, signal=1.5, seed=3)
    write_phantom(phantom, folder / "three.parquet")
    three = pl.read_parquet(folder / "three.parquet")
    three.filter(pl.col("cohort") != "c").write_parquet(folder / "two.parquet")
    return folder


@pytest.fixture
def manifest(tables: Path, tmp_path: Path) -> Path:
    """The manifest of two hospitals, for a test to change."""
    return Path(shutil.copy(tables / "two.parquet", tmp_path / "lesion.parquet"))


def study_of(tiny_study: Study, manifest: Path, **changes: object) -> Study:
    fields = tiny_study.model_dump(exclude_unset=True)
    fields["data"] |= {"manifest": manifest}
    fields["training"] |= {"steps": 4, "checks": 2}
    return Study.model_validate(fields | {"seeds": [0, 1]} | changes)


def run(study: Study, folder: Path) -> list[Event]:
    events: list[Event] = []
    run_here(study, folder, events.append)
    return events


def trained(events: list[Event]) -> int:
    return sum(isinstance(event, RunEnded) for event in events)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({"training": LINEAR, "rungs": ["imagenet/effnet-lite0"]}, id="probe"),
        pytest.param({"training": LOW_RANK}, id="low-rank", marks=pytest.mark.slow),
    ],
)
def test_an_added_hospital_is_predicted_as_if_it_had_always_been_there(
    tiny_study: Study, tables: Path, manifest: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    if "training" in changes:
        steps = {} if "rungs" in changes else {"steps": 4, "checks": 2, "batch_size": 8}
        changes = changes | {"training": steps | dict(changes["training"])}  # type: ignore[call-overload] — a mapping
    study = study_of(tiny_study, manifest, **changes)
    assert trained(run(study, tmp_path / "s")) == 2
    folder = StudyFolder(tmp_path / "s")
    before, ids = study_digests(folder), folder.run_ids()
    old = pl.read_parquet(folder.path / "predictions.parquet")

    shutil.copy(tables / "three.parquet", manifest)
    events = run(study, folder.path)
    assert trained(events) == 0
    assert [event for event in events if isinstance(event, Additions)] == [
        Additions("c", 9, 2, is_changed=False)
    ]
    assert [e.finished for e in events if isinstance(e, RunExtended)] == [1, 2]
    assert next(event for event in events if isinstance(event, Planned)).done == 2
    assert folder.run_ids() == ids
    added = pl.read_parquet(folder.path / "predictions.parquet")
    assert_frame_equal(added.filter(pl.col("cohort") != "c"), old, check_exact=True)
    assert added.filter(pl.col("cohort") == "c").height == 2 * 9

    run(study, tmp_path / "fresh")
    fresh = study_digests(StudyFolder(tmp_path / "fresh"))
    now = study_digests(folder)
    own = {f"{run_id}/predictions.parquet" for run_id in ids}
    assert {name for name in now if now[name] != fresh[name]} <= own
    assert {name: now[name] for name in own} == {name: before[name] for name in own}

    assert not [e for e in run(study, folder.path) if isinstance(e, (RunEnded, RunExtended))]

    shutil.copy(tables / "two.parquet", manifest)
    assert trained(run(study, folder.path)) == 0
    assert study_digests(folder) == before
    shutil.copy(tables / "three.parquet", manifest)
    assert not [e for e in run(study, folder.path) if isinstance(e, (RunEnded, RunExtended))]
    assert study_digests(folder) == now
