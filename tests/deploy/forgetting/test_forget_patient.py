"""A patient is looked for in bundles and tables elsewhere, which are named and left."""

from pathlib import Path

import polars as pl
import pytest
from tests.study.care.test_forget import patient_of, trained_on

from medtransfer import Bundle, StudyFolder, forget_patient
from medtransfer.deploy.forgetting.forget_patient import forgotten_text
from medtransfer.errors import ConfigError
from medtransfer.files import sha256


def test_a_bundle_tells_whom_it_was_trained_on(finished: StudyFolder, bundle: Bundle) -> None:
    (run_id,) = bundle.facts.training.run_ids
    patient = sorted(trained_on(finished, run_id))[0]
    outcome = forget_patient(finished, patient, search=[bundle.path.parent])
    assert [(known.path, known.by) for known in outcome.bundles] == [(str(bundle.path), "patient")]
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
