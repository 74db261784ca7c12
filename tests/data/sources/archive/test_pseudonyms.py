"""Pseudonyms: keyed, the same again with the same secret, and the secret in nobody's way."""

import hashlib
import hmac
import os
import stat
from pathlib import Path

import polars as pl
import pytest

from medtransfer.data.sources.archive import pseudonyms as module
from medtransfer.data.sources.archive.pseudonyms import Secret, open_secret, pseudonyms
from medtransfer.errors import ConfigError, TableError

KEY = b"k" * 40


@pytest.fixture(autouse=True)
def settings_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    return tmp_path / "settings"


def secret(key: bytes = KEY) -> Secret:
    return Secret(Path("nowhere"), key)


def test_a_pseudonym_is_the_start_of_an_hmac() -> None:
    ids = pl.Series(["0012", None, "12", "0012"])
    found = pseudonyms(secret(), "patient", ids)
    expected = hmac.new(KEY, b"patient\x0012", hashlib.sha256).hexdigest()[:16]
    assert found[2] == "p" + expected
    assert found[1] is None
    assert found[0] == found[3] != found[2]


def test_another_secret_and_another_kind_give_other_pseudonyms() -> None:
    ids = pl.Series(["1.2.3"])
    found = {
        pseudonyms(key, kind, ids, "x")[0]
        for key in (secret(), secret(b"j" * 40))
        for kind in ("patient", "study", "image")
    }
    assert len(found) == 6


def test_two_ids_with_one_pseudonym_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "digest_of", lambda *_args: "0" * 16)
    with pytest.raises(TableError, match="Two patient ids have the same pseudonym of 16 digits"):
        pseudonyms(secret(), "patient", pl.Series(["a", "b"]))


def test_the_secret_is_made_once_and_for_its_owner_alone(
    tmp_path: Path, settings_folder: Path
) -> None:
    os.umask(0o022)
    first = open_secret("", tmp_path / "images")
    place = settings_folder / "medtransfer" / "pseudonyms.secret"
    assert first.path == place
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert first.is_new
    second = open_secret("", tmp_path / "images")
    assert second.key == first.key
    assert not second.is_new
    assert first.mark == second.mark
    assert first.key.decode() not in first.sentence() + repr(first)
    assert list(place.parent.iterdir()) == [place]


def test_a_named_secret_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file.*Make one with: python"):
        open_secret(str(tmp_path / "typo"), tmp_path / "images")
    assert not (tmp_path / "typo").exists()


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("0123456789\n")
    with pytest.raises(ConfigError, match=r"has 10 letters \(allowed: 32 or more"):
        open_secret(str(tmp_path / "key"), tmp_path / "images")


def test_a_secret_among_the_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "key").write_text("k" * 40)
    with pytest.raises(ConfigError, match="lies among the images"):
        open_secret(str(tmp_path / "images" / "key"), tmp_path / "images")


def test_a_secret_that_others_may_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 40)
    (tmp_path / "key").chmod(0o644)
    assert "chmod 600" in open_secret(str(tmp_path / "key"), tmp_path / "images").sentence()
    (tmp_path / "key").chmod(0o600)
    assert "chmod 600" not in open_secret(str(tmp_path / "key"), tmp_path / "images").sentence()
