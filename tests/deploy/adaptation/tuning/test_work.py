"""Working folder of a tuning: what is kept for the next call, and what goes."""

from pathlib import Path

import pytest

from medtransfer.deploy.adaptation.tuning.work import TuningWork, holds_patient
from medtransfer.errors import ConfigError


def test_the_same_inputs_find_their_files_and_others_find_none(tmp_path: Path) -> None:
    out = tmp_path / "b.medt"
    first = TuningWork.beside(out, {"seed": 0}, ["p1", "p2", "p1"], b"salt")
    (first.folder / "cache").mkdir()
    again = TuningWork.beside(out, {"seed": 0}, ["p1", "p2"], b"salt")
    assert again == first
    assert again.cache.is_dir()
    other = TuningWork.beside(out, {"seed": 1}, ["p3"], b"salt")
    assert not other.cache.exists()
    held = [holds_patient(other.folder, patient) for patient in ("p1", "p3")]
    assert held == [False, True]
    other.remove()
    assert not other.folder.exists()
    assert holds_patient(other.folder, "p3") is None


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "b.medt.tuning").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is a link. Remove it, and delete what lies behind it"):
        TuningWork.beside(tmp_path / "b.medt", {}, ["p1"], b"salt")
