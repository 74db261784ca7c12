"""Every derived file is disposable: the next run makes it again and says so, or names it."""

import random
import shutil
from pathlib import Path

import pytest
from tests.in_process import run_here, study_digests
from tests.integrity.damage import (
    DAMAGES,
    Damage,
    delete,
    files_of,
    flip,
    replace_by_folder,
    truncate,
)

from medtransfer import fsck
from medtransfer.errors import MedTransferError, StudyError
from medtransfer.files import sha256, write_json, write_text
from medtransfer.integrity.run_seal import seal_run
from medtransfer.report.reading import load_study_data
from medtransfer.runs.events import Event, Repaired, RunEnded
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study


@pytest.fixture(scope="module")
def sound(tiny_study: Study, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A finished study of one run with its report; read-only for tests."""
    folder = run_here(tiny_study, tmp_path_factory.mktemp("repairs") / "study")
    with folder.sealing():
        write_text(folder.report, "<p>a page in place of the real one, which takes seconds</p>")
    return folder


@pytest.fixture
def copy(sound: StudyFolder, tmp_path: Path) -> StudyFolder:
    shutil.copytree(sound.path, tmp_path / "copy")
    return StudyFolder(tmp_path / "copy")


def run_again(study: Study, folder: StudyFolder, *, verify: bool = False) -> list[Event]:
    """Run a study once more; its events."""
    events: list[Event] = []
    run_here(study, folder.path, events.append, verify=verify)
    return events


def repaired(events: list[Event]) -> dict[str, str]:
    return {event.file: event.message for event in events if isinstance(event, Repaired)}


@pytest.mark.slow
def test_a_copied_study_is_as_sound_as_the_first(
    tiny_study: Study, copy: StudyFolder, sound: StudyFolder
) -> None:
    events = run_again(tiny_study, copy)
    assert repaired(events) == {}
    assert not [event for event in events if isinstance(event, RunEnded)]
    assert study_digests(copy) == study_digests(sound)
    assert fsck(copy.path).passed


@pytest.mark.parametrize(
    "damage",
    [flip, pytest.param(delete, marks=pytest.mark.slow)],
    ids=lambda damage: damage.__name__,
)
def test_a_run_whose_predictions_changed_is_carried_out_again_and_the_report_says_so(
    tiny_study: Study, copy: StudyFolder, sound: StudyFolder, damage: Damage
) -> None:
    (run_id,) = copy.run_ids()
    damage(copy.run(run_id).path / "predictions.parquet", random.Random(1))
    events = run_again(tiny_study, copy)
    name = f"runs/{run_id}/predictions.parquet"
    assert repaired(events) == {
        name: f"{name} was damaged, edited or deleted. The run is carried out again."
    }
    assert [event.state for event in events if isinstance(event, RunEnded)] == ["done"]
    assert study_digests(copy) == study_digests(sound)
    assert repaired(events)[name] in load_study_data(copy).cautions
    assert fsck(copy.path).passed
    assert repaired(run_again(tiny_study, copy)) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("runs/RUN/results.parquet", "The run is scored again."),
        ("runs/RUN/cost.json", "It is restored from the run's seal."),
        ("comparisons.parquet", "It is made again."),
        ("images.parquet", "It is made again."),
        ("study.json", "It is made again."),
        ("seal.json", "The files that it listed could not be compared."),
    ],
)
def test_a_derived_file_that_changed_is_made_again(
    tiny_study: Study, copy: StudyFolder, sound: StudyFolder, name: str, sentence: str
) -> None:
    name = name.replace("RUN", copy.run_ids()[0])
    flip(copy.path / name, random.Random(2))
    events = run_again(tiny_study, copy)
    assert repaired(events)[name].endswith(sentence)
    assert not [event for event in events if isinstance(event, RunEnded)]
    assert study_digests(copy) == study_digests(sound)
    assert fsck(copy.path).passed


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("cache/*/recipe.json", "It is made again when a run needs it."),
        ("runs/*/progress.json", "The run's outcome does not depend on it."),
        ("report.html", "`medtransfer report` makes it again."),
    ],
)
def test_of_a_file_that_the_study_does_not_make_again_this_is_said(
    tiny_study: Study, copy: StudyFolder, pattern: str, sentence: str
) -> None:
    path = next(iter(copy.path.glob(pattern)))
    path.unlink()
    name = path.relative_to(copy.path).as_posix()
    message = repaired(run_again(tiny_study, copy))[name]
    assert message == f"{name} was damaged, edited or deleted. {sentence}"
    assert not path.exists()
    assert fsck(copy.path).passed


@pytest.mark.slow
def test_a_run_with_the_seal_and_predictions_of_another_is_carried_out_again(
    tiny_study: Study, copy: StudyFolder, sound: StudyFolder
) -> None:
    (run_id,) = copy.run_ids()
    run = copy.run(run_id)
    other = run.path.rename(run.path.with_name("0123456789ab"))
    write_json(other / "run.json", {"run_id": other.name})
    seal_run(other)
    shutil.copytree(sound.run(run_id).path, run.path)
    for name in ("done", "predictions.parquet"):
        shutil.copy(other / name, run.path / name)
    shutil.rmtree(other)
    assert repaired(run_again(tiny_study, copy))[f"runs/{run_id}/done"].endswith(
        "The run is carried out again."
    )
    assert study_digests(copy) == study_digests(sound)


def test_edited_tables_are_not_reported(copy: StudyFolder) -> None:
    flip(copy.path / "results.parquet", random.Random(1))
    with pytest.raises(StudyError, match=r"^Not as sealed .*: results.parquet of "):
        load_study_data(copy)


@pytest.mark.slow
def test_content_that_changed_under_its_old_times_is_found_by_verify(
    tiny_study: Study, copy: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_again(tiny_study, copy)  # notes the stamps of the copy
    path = copy.run(copy.run_ids()[0]).path / "predictions.parquet"
    from medtransfer.integrity import run_seal, sealed_file

    stamps = sealed_file.file_stamp
    old = stamps(path)
    flip(path, random.Random(1))
    # a disk that rots changes no time
    for module in (run_seal, sealed_file):
        monkeypatch.setattr(
            module, "file_stamp", lambda name: old if Path(name) == path else stamps(name)
        )
    events = run_again(tiny_study, copy, verify=True)
    assert any(file.endswith("predictions.parquet") for file in repaired(events))


def test_weights_that_are_damaged_are_named_and_those_that_were_deleted_are_not_missed(
    tiny_study: Study, copy: StudyFolder
) -> None:
    run = copy.run(copy.run_ids()[0])
    (weights,) = run.checkpoint.glob("*/model.safetensors")
    flip(weights, random.Random(1))
    ((file, message),) = repaired(run_again(tiny_study, copy)).items()
    assert file.endswith("model.safetensors")
    assert f"delete runs/{run.run_id}/done and run the same command again" in message
    shutil.rmtree(run.checkpoint)
    assert repaired(run_again(tiny_study, copy)) == {}
    assert fsck(copy.path).passed


def tables_of(folder: StudyFolder) -> dict[str, str]:
    """Digests of tables and predictions, without weights."""
    return {
        path.relative_to(folder.path).as_posix(): sha256(path)
        for pattern in ("*.parquet", "results.csv", "runs/*/*.parquet", "curves/*.parquet")
        for path in folder.path.glob(pattern)
        if path.name != "images.parquet"  # holds times and inodes
    }


def check_law(
    study: Study, sound: StudyFolder, tmp_path: Path, names: list[str], damage: Damage
) -> None:
    """After damage to a file the next run ends with the same tables, or names the file."""
    golden = tables_of(sound)
    broken: list[str] = []
    for name in names:
        folder = StudyFolder(tmp_path / "damaged")
        shutil.copytree(sound.path, folder.path)
        damage(folder.path / name, random.Random(name))
        try:
            run_again(study, folder)
            if tables_of(folder) != golden:
                broken.append(f"{name}: other tables")
            # weights are named and kept; features and sketches are compared when they are used
            is_kept = (
                "checkpoint/" in name or (folder.path / name).with_name("MANIFEST.json").exists()
            )
            if not fsck(folder.path).passed and not is_kept:
                broken.append(f"{name}: {fsck(folder.path).faults[0]}")
            load_study_data(folder)
        except MedTransferError as error:
            if Path(name).name not in str(error):
                broken.append(f"{name}: {error}")
        except Exception as error:  # noqa: BLE001 — all are listed at once
            broken.append(f"{name}: {type(error).__name__}: {error}")
        shutil.rmtree(folder.path)
    assert not broken, "\n".join(broken)


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_to_any_file_is_repaired_or_named(
    tiny_study: Study, sound: StudyFolder, tmp_path: Path, damage: Damage
) -> None:
    names = [path.relative_to(sound.path).as_posix() for path in files_of(sound.path)]
    check_law(tiny_study, sound, tmp_path, names, damage)


def test_damage_to_the_files_that_everything_starts_from_is_repaired(
    tiny_study: Study, sound: StudyFolder, tmp_path: Path
) -> None:
    check_law(tiny_study, sound, tmp_path, ["study.json"], flip)
    check_law(tiny_study, sound, tmp_path, ["seal.json"], truncate)
    check_law(tiny_study, sound, tmp_path, ["plan.json"], replace_by_folder)
