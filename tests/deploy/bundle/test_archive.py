"""A stranger's zip file is refused before anything of it can do harm."""

import hashlib
import json
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtransfer.deploy.bundle.archive import MAX_ENTRIES, open_archive, write_archive
from medtransfer.errors import BundleError
from medtransfer.files import SEAL

CONTENTS = {"bundle.json": b"{}", "weights/0.safetensors": bytes(range(256)) * 4, "card.md": b""}


def foreign(path: Path, contents: dict[str, bytes], *, packed: bool = False) -> Path:
    """A zip file that another program wrote, with a list that fits it."""
    seal = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in contents.items()
    }
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
        archive.writestr(SEAL, json.dumps(seal))
    return path


def test_the_same_contents_give_the_same_bytes_whatever_their_order(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.medt", CONTENTS)
    write_archive(tmp_path / "b.medt", dict(reversed(CONTENTS.items())))
    assert (tmp_path / "a.medt").read_bytes() == (tmp_path / "b.medt").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.medt") as archive:
        infos = archive.infolist()
        assert [info.filename for info in infos] == [*sorted(CONTENTS), SEAL]
        assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.testzip() is None


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.medt", CONTENTS)
    archive = open_archive(tmp_path / "a.medt")
    assert {name: archive.read(name) for name in archive.entries} == CONTENTS
    with pytest.raises(BundleError, match="lacks nothing.json"):
        archive.read("nothing.json")
    with pytest.raises(BundleError, match=r"1,024 bytes \(allowed: 10\)"):
        archive.read("weights/0.safetensors", limit=10)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil", "not allowed"),
        ("/etc/passwd", "not allowed"),
        ("a/b/c", "not allowed"),
        ("C:\\evil", "not allowed"),
        (".hidden", "not allowed"),
        ("a/..", "not allowed"),
        ("dir/", "not allowed"),
        ("x" * 200, "not allowed"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(BundleError, match=why):
        open_archive(foreign(tmp_path / "a.medt", {name: b"x"}))


def test_packed_entries_are_refused_unread(tmp_path: Path) -> None:
    bomb = foreign(tmp_path / "a.medt", {"bundle.json": bytes(50_000_000)}, packed=True)
    assert bomb.stat().st_size < 100_000
    with pytest.raises(BundleError, match="'bundle.json' is compressed"):
        open_archive(bomb)


def test_a_list_of_too_many_entries_is_refused(tmp_path: Path) -> None:
    many = {f"e{number}": b"" for number in range(MAX_ENTRIES + 1)}
    with pytest.raises(BundleError, match="it lists"):
        open_archive(foreign(tmp_path / "a.medt", many))


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.medt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"2")
    with pytest.raises(BundleError, match="two entries have the same name"):
        open_archive(path)


def test_a_directory_that_claims_more_than_the_file_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.medt"
    write_archive(path, {"a": b"1" * 10})
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    data[central + 20 : central + 28] = struct.pack("<II", 2**31, 2**31)
    path.write_bytes(data)
    with pytest.raises(BundleError, match="more bytes than the file has"):
        open_archive(path)


def test_a_file_that_is_missing_or_no_zip_is_said(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not exist"):
        open_archive(tmp_path / "none.medt")
    (tmp_path / "text.medt").write_text("hello")
    with pytest.raises(BundleError, match="does not end like a bundle"):
        open_archive(tmp_path / "text.medt")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / "mutated.medt"
    write_archive(path, CONTENTS)
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "insert"])):
        case "flip":
            changed = bytearray(whole)
            changed[place] ^= data.draw(st.integers(1, 255))
        case "cut":
            changed = bytearray(whole[:place])
        case _:
            changed = bytearray(whole[:place] + data.draw(st.binary(min_size=1)) + whole[place:])
    path.write_bytes(changed)
    try:
        archive = open_archive(path)
        contents = {name: archive.read(name) for name in archive.entries}
    except BundleError:
        return
    assert contents == CONTENTS  # only dates, attributes and the like were changed


@pytest.mark.slow
@pytest.mark.parametrize("bit", range(8))
def test_no_flipped_bit_of_any_byte_goes_unnoticed(bit: int, tmp_path: Path) -> None:
    path = tmp_path / "mutated.medt"
    write_archive(path, CONTENTS)
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        try:
            archive = open_archive(path)
            contents = {name: archive.read(name) for name in archive.entries}
        except BundleError:
            continue
        assert contents == CONTENTS, place
