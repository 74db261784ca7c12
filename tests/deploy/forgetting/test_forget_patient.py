"""A patient is looked for in bundles and tables elsewhere, which are named and left."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import safetensors.numpy
from tests.deploy import handmade
from tests.study.care.test_forget import patient_of, trained_on
from typer.testing import CliRunner

from medtransfer import Bundle, StudyFolder, forget_patient
from medtransfer.cli.main import app
from medtransfer.deploy.adaptation.tuning.work import TuningWork
from medtransfer.deploy.bundle.reader import TRAINING, array_bytes, write_bundle
from medtransfer.deploy.forgetting.forget_patient import forgotten_text
from medtransfer.errors import ConfigError
from medtransfer.files import sha256


def test_a_bundle_tells_whom_it_was_trained_on(finished: StudyFolder, bundle: Bundle) -> None:
    (run_id,) = bundle.facts.training.run_ids
    patient = sorted(trained_on(finished, run_id))[0]
    outcome = forget_patient(finished, patient, search=[bundle.path.parent])
    assert [(known.path, known.by) for known in outcome.bundles] == [(str(bundle.path), "patient")]
    assert outcome.study is not None
    assert run_id in outcome.study.trained
    assert outcome.searched == 1
    assert patient not in str(outcome)
    tested = forget_patient(finished, patient_of(finished, "b", "test"), search=[bundle.path])
    assert tested.bundles == ()


def test_tables_elsewhere_are_named_with_their_rows(finished: StudyFolder, tmp_path: Path) -> None:
    patient = patient_of(finished, "b", "test")
    rows = {"case_id": ["1", "2", "3"], "patient_id": [patient, "x", patient]}
    pl.DataFrame(rows).write_csv(tmp_path / "mine.csv")
    pl.DataFrame(rows).write_parquet(tmp_path / "mine.parquet")
    pl.DataFrame({"a": [1]}).write_csv(tmp_path / "other.csv")
    (tmp_path / "broken.parquet").write_bytes(b"no table")
    (tmp_path / "broken.medt").write_bytes(b"no bundle")
    outcome = forget_patient(finished, patient, search=[tmp_path, tmp_path / "mine.csv"])
    assert outcome.tables == tuple(
        (str(tmp_path / name), 2) for name in ("mine.csv", "mine.parquet")
    )
    assert len(outcome.notes) == 2
    assert forgotten_text(outcome).endswith("5 files outside of them were searched.")
    assert len(list(tmp_path.iterdir())) == 5


def test_an_adaptation_that_was_not_finished_tells_of_whom_it_is(tmp_path: Path) -> None:
    out = tmp_path / "south.medt"
    work = TuningWork.beside(out, {"seed": 0}, ["p1", "p2"], b"salt")
    pl.DataFrame({"patient_id": ["p1"]}).write_csv(work.folder / "of_this_folder.csv")
    outcome = forget_patient(None, "p1", search=[tmp_path, work.folder])
    assert outcome.unfinished == (str(work.folder),)
    assert (outcome.study, outcome.tables, outcome.searched) == (None, (), 1)
    assert forgotten_text(outcome) == "Searched: 1 file. There is no study here."
    assert forget_patient(None, "p3", search=[tmp_path]).unfinished == ()
    (record,) = work.folder.glob("patients-*.json")
    record.write_text("{}")
    (note,) = forget_patient(None, "p1", search=[tmp_path]).notes
    assert "does not tell of whom. It may hold prepared images of the patient: delete it" in note


def test_without_a_study_nothing_can_be_deleted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No study is here.* with --search and without --yes"):
        forget_patient(None, "p1", search=[tmp_path], delete=True)
    with pytest.raises(ConfigError, match="No study is here"):
        forget_patient(None, "p1")


def test_a_hospital_without_a_study_looks_through_its_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    work = TuningWork.beside(tmp_path / "south.medt", {"seed": 0}, ["p1"], b"salt")
    made = CliRunner().invoke(app, ["forget", "--patient", "-", "--search", "."], input="p1\n")
    assert made.exit_code == 0
    assert f"{work.folder.name} holds prepared images of this patient, for an adaptation" in (
        made.stdout
    )
    assert "There is no study here." in made.stdout
    assert "p1" not in made.stdout
    refused = CliRunner().invoke(app, ["forget", "--patient", "p1"])
    assert "There are 0 studies in ./studies" in str(refused.exception)


def test_a_bundle_without_digests_of_patients_says_that_it_cannot_tell(tmp_path: Path) -> None:
    images = handmade.entries(handmade.facts())[TRAINING]
    alone = {"images": safetensors.numpy.load(images)["images"]}
    facts = handmade.facts()
    facts = replace(facts, training=replace(facts.training, has_patients=False))
    write_bundle(
        tmp_path / "b.medt", facts, {**handmade.entries(facts), TRAINING: array_bytes(alone)}
    )
    (note,) = forget_patient(None, handmade.TRAINED_PATIENTS[0], search=[tmp_path]).notes
    assert note.endswith("holds no digests of patients, so only images of a study were looked for.")
    handmade.write_by_hand(tmp_path / "b.medt", handmade.facts())
    (known,) = forget_patient(None, handmade.TRAINED_PATIENTS[0], search=[tmp_path]).bundles
    assert known.by == "patient"


def test_nothing_is_changed_unless_asked(finished: StudyFolder) -> None:
    tables = list(finished.path.rglob("predictions.parquet"))
    before = [sha256(path) for path in tables]
    assert not forget_patient(finished, patient_of(finished, "a", "tune")).is_deleted
    assert [sha256(path) for path in tables] == before


def test_an_empty_id_and_a_missing_place_are_refused(finished: StudyFolder) -> None:
    with pytest.raises(ConfigError, match="id is empty"):
        forget_patient(finished, " ")
    with pytest.raises(ConfigError, match="number 2 is not there"):
        forget_patient(finished, "x", search=[finished.path, finished.path / "DOE^JANE"])
