"""Files are written whole or not at all, whatever happens in between."""

import errno
import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medtransfer import files
from medtransfer.errors import ConfigError, StudyError
from medtransfer.integrity.sealed_file import SealedFile
from medtransfer.models.tensors import write_tensors
from medtransfer.permissions import UMASK
from medtransfer.tables.schema import write_frame
from tests.strategies import FEW

STEPS = ["open", "write", "fsync", "replace", "fsync folder"]
TOKEN = "0123456789abcdef"
DURABLE_AFTER = STEPS.index("fsync folder")


def stop_at(monkeypatch: pytest.MonkeyPatch, number: int, error: BaseException) -> None:
    """Raise before the n-th step that changes the disk."""
    seen: list[str] = []

    def hook(name: str) -> None:
        seen.append(name)
        if len(seen) == number + 1:
            raise error

    monkeypatch.setattr(files, "on_operation", hook)


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if files.TEMPORARY in path.name]


def test_the_content_is_on_the_disk_before_it_takes_the_name_and_then_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(files, "on_operation", seen.append)
    synced: Callable[[int], None] = os.fsync

    def fsync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        seen.append("content" if files.TEMPORARY in name else name)
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_bytes(tmp_path / "a", b"new")
    folder = tmp_path.name
    assert seen == ["open", "write", "fsync", "content", "replace", "fsync folder", folder]


def test_whoever_reads_the_old_file_keeps_it(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "a", b"old")
    with (tmp_path / "a").open("rb") as reader:
        files.write_bytes(tmp_path / "a", b"new")
        assert reader.read() == b"old"
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("step", range(len(STEPS)), ids=STEPS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_failing_disk_leaves_the_old_or_the_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, code: int
) -> None:
    path = tmp_path / "a"
    files.write_bytes(path, b"old")
    stop_at(monkeypatch, step, OSError(code, os.strerror(code)))
    with pytest.raises(StudyError):
        files.write_bytes(path, b"new")
    assert path.read_bytes() == (b"new" if step == DURABLE_AFTER else b"old")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("step", range(len(STEPS)), ids=STEPS)
def test_an_interrupt_leaves_the_old_or_the_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    path = tmp_path / "a"
    files.write_bytes(path, b"old")
    stop_at(monkeypatch, step, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        files.write_bytes(path, b"new")
    assert path.read_bytes() == (b"new" if step == DURABLE_AFTER else b"old")
    files.sweep_temporaries(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("step", range(len(STEPS)), ids=STEPS)
def test_a_killed_process_leaves_the_old_or_the_new_file(tmp_path: Path, step: int) -> None:
    path = tmp_path / "a"
    files.write_bytes(path, b"old")
    code = (
        "import os, sys; from pathlib import Path; from medtransfer import files; left = [STEP]\n"
        "def hook(name):\n"
        "    left[0] -= 1\n"
        "    if left[0] < 0: os._exit(9)\n"
        "files.on_operation = hook\n"
        "files.write_bytes(Path(sys.argv[1]), b'new')\n"
    ).replace("STEP", str(step))
    child = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert child.returncode == 9
    assert path.read_bytes() == (b"new" if step == DURABLE_AFTER else b"old")
    files.sweep_temporaries(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_called_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    stop_at(monkeypatch, 1, OSError(code, "full"))
    with pytest.raises(StudyError, match=r"disk is full.*\d+ MiB free.*run the same command again"):
        files.write_text(tmp_path / "new folder" / "a", "text")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["table.parquet", "table.csv"])
def test_a_table_that_the_disk_does_not_take_is_an_error_and_leaves_the_old_one(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    write_frame(pl.DataFrame({"x": [1]}), path)
    old = path.read_bytes()
    # a real refusal by the operating system: files of this child may not grow beyond 4 KiB
    code = (
        "import resource, signal, sys; from pathlib import Path; import polars as pl\n"
        "from medtransfer.tables.schema import write_frame\n"
        "from medtransfer.errors import ConfigError, StudyError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: write_frame(pl.DataFrame({'x': [i / 7 for i in range(9999)]}), Path(sys.argv[1]))\n"
        "except StudyError as error: print(error)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
    )
    assert "could not be written: File too large" in child.stdout
    assert path.read_bytes() == old
    assert leftovers(tmp_path) == []


def test_a_folder_that_is_a_file_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(StudyError, match="--out"):
        files.write_text(tmp_path / "a" / "b", "text")
    with pytest.raises(StudyError, match="--out"):
        files.make_folder(tmp_path / "a" / "b")


def test_a_pipe_or_a_device_is_left_as_it_is(tmp_path: Path) -> None:
    """As root, a rename over /dev/null would take it from the whole machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(StudyError, match="it is a device or a pipe"):
        files.write_text(pipe, "x")
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_folders_are_made_and_may_be_there(tmp_path: Path) -> None:
    folder = files.make_folder(tmp_path / "a" / "b")
    assert files.make_folder(folder).is_dir()


@FEW
@given(st.binary(max_size=200))
def test_bytes_come_back_as_written(tmp_path: Path, content: bytes) -> None:
    files.write_bytes(tmp_path / "a", content)
    assert (tmp_path / "a").read_bytes() == content
    assert files.sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@FEW
@given(json_values)
def test_json_comes_back_as_written(tmp_path: Path, value: object) -> None:
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value


def test_json_is_the_same_text_whatever_the_order_of_keys(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"b": 1, "a": [2]})
    files.write_json(tmp_path / "b.json", {"a": [2], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_nan_is_not_json_and_leaves_the_old_file(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", float("nan"))
    assert files.read_json(tmp_path / "a.json") == 1


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", None])
def test_a_file_that_is_not_json_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(StudyError, match="cannot be read as JSON"):
        files.read_json(tmp_path / "a.json")


def write_some_tensors(path: Path) -> None:
    write_tensors({"a": torch.zeros(2)}, path)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: files.write_bytes(path, b"new"),
        lambda path: write_frame(pl.DataFrame({"x": [1]}), path),
        write_some_tensors,
    ],
    ids=["bytes", "table", "tensors"],
)
@pytest.mark.parametrize(
    ("ours", "mode"), [("", 0o600), ("022", 0o644), ("027", 0o640), ("007", 0o660)]
)
@pytest.mark.parametrize("shell", [0o022, 0o077])
def test_who_may_read_a_file_follows_our_umask_whatever_it_holds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path], None],
    ours: str,
    mode: int,
    shell: int,
) -> None:
    monkeypatch.setenv(UMASK, ours)
    place = tmp_path / "new" / "er"
    before = os.umask(shell)
    try:
        write(place / "a.parquet")
        write(place / "a.parquet")  # again, over the first
    finally:
        os.umask(before)
    assert stat.S_IMODE((place / "a.parquet").stat().st_mode) == mode
    assert [path.name for path in place.iterdir()] == ["a.parquet"]
    for folder in (place, place.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == mode | (mode & 0o444) >> 2


def test_the_group_of_a_team_s_folder_is_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(UMASK, "007")
    tmp_path.chmod(0o2770)
    files.write_bytes(tmp_path / "study" / "runs" / "a", b"new")
    assert stat.S_IMODE((tmp_path / "study" / "runs").stat().st_mode) == 0o2770
    existing = tmp_path / "study"
    existing.chmod(0o2755)  # what is there is the user's
    files.make_folder(existing)
    files.write_bytes(existing / "b", b"new")
    assert stat.S_IMODE(existing.stat().st_mode) == 0o2755


@pytest.mark.parametrize("text", ["abc", "700", "0o77", "7", "-1", "1077"])
def test_a_umask_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(UMASK, text)
    with pytest.raises(ConfigError, match=r"MEDTRANSFER_UMASK is '.*' \(allowed: 000 to 077"):
        files.write_bytes(tmp_path / "a", b"new")
    assert list(tmp_path.iterdir()) == []


def test_tensors_are_on_the_disk_before_they_take_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 2, OSError(errno.EIO, "torn"))
    (tmp_path / "a").write_text("old")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    with pytest.raises(StudyError):
        write_some_tensors(tmp_path / "a")
    assert synced[0] > 8  # the content
    assert (tmp_path / "a").read_text() == "old"
    assert leftovers(tmp_path) == []


def test_what_a_killed_writer_of_tensors_left_is_swept(tmp_path: Path) -> None:
    for name in (".tmpGTi7HL", f"a{files.TEMPORARY}{TOKEN}"):  # the first is safetensors' own
        (tmp_path / name).write_text("half writ")
    files.sweep_temporaries(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_sweep_leaves_what_is_not_ours(tmp_path: Path) -> None:
    names = ["a.tmp.csv", "notes.tmp-2026", "x.tmp-backup", f"y{files.TEMPORARY}{TOKEN}.csv"]
    for name in names:
        (tmp_path / name).write_text("a user's")
    link = tmp_path / f"z{files.TEMPORARY}{TOKEN}"
    link.symlink_to(tmp_path / "a.tmp.csv")
    files.sweep_temporaries(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, link.name])


def test_a_link_at_a_temporary_name_is_never_written_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    # the name is random: only one who knows the token in advance can plant anything at all
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: TOKEN)
    (tmp_path / f"a{files.TEMPORARY}{TOKEN}").symlink_to(victim)
    with pytest.raises(StudyError, match="could not be written"):
        files.write_text(tmp_path / "a", "ours")
    assert victim.read_text() == "precious"
    assert not (tmp_path / "a").exists()
    assert (tmp_path / f"a{files.TEMPORARY}{TOKEN}").is_symlink()


def test_temporary_names_are_random_and_fit_the_file_system(tmp_path: Path) -> None:
    seen: set[str] = set()
    for _ in range(20):
        with files.replacing(tmp_path / ("é" * 120)) as temporary:
            seen.add(temporary.name)
    assert len(seen) == 20
    assert [path.name for path in tmp_path.iterdir()] == ["é" * 120]


def sealed(tmp_path: Path) -> Path:
    folder = files.make_folder(tmp_path / "artefact")
    files.write_bytes(folder / "weights", bytes(range(40)))
    files.write_text(folder / "names", "a\nb\n")
    (folder / f"names{files.TEMPORARY}{TOKEN}").write_text("half writ")
    files.seal_folder(folder)
    return folder


def test_a_sealed_folder_is_whole_without_its_temporaries(tmp_path: Path) -> None:
    folder = sealed(tmp_path)
    files.sweep_temporaries(tmp_path)
    assert files.is_whole(folder)
    assert files.is_whole(folder, verify=False)


def test_every_flipped_bit_breaks_the_seal(tmp_path: Path) -> None:
    folder = sealed(tmp_path)
    content = (folder / "weights").read_bytes()
    for position in range(0, 8 * len(content), 7):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << (position % 8)
        (folder / "weights").write_bytes(bytes(flipped))
        assert not files.is_whole(folder)
    (folder / "weights").write_bytes(content)
    assert files.is_whole(folder)


def cut(folder: Path) -> None:
    os.truncate(folder / "weights", 39)


def lose(folder: Path) -> None:
    (folder / "names").unlink()


def unseal(folder: Path) -> None:
    (folder / files.SEAL).unlink()


def scribble(folder: Path) -> None:
    (folder / files.SEAL).write_text("[1, 2]")


def tear(folder: Path) -> None:
    os.truncate(folder / files.SEAL, 50)


def blank(folder: Path) -> None:
    (folder / files.SEAL).write_text('{"weights": {}}')


@pytest.mark.parametrize("damage", [cut, lose, unseal, scribble, tear, blank])
@pytest.mark.parametrize("verify", [True, False])
def test_a_damaged_folder_is_not_whole(
    tmp_path: Path, damage: Callable[[Path], None], verify: bool
) -> None:
    folder = sealed(tmp_path)
    damage(folder)
    assert not files.is_whole(folder, verify=verify)


def test_the_seal_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = files.make_folder(tmp_path / "artefact")
    files.write_text(folder / "a", "text")
    stop_at(monkeypatch, STEPS.index("replace"), OSError(errno.EIO, "torn"))
    with pytest.raises(StudyError):
        files.seal_folder(folder)
    assert not files.is_whole(folder)


def test_a_folder_that_is_not_there_is_not_whole(tmp_path: Path) -> None:
    assert not files.is_whole(tmp_path / "nothing")


def test_files_and_trees_are_removed_and_may_be_gone_already(tmp_path: Path) -> None:
    folder = sealed(tmp_path)
    (tmp_path / "file").write_text("")
    for path in (folder, tmp_path / "file", tmp_path / "nothing"):
        files.remove(path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_the_disk_does_not_let_be_deleted_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("x")
    stop_at(monkeypatch, 0, OSError(errno.EBUSY, os.strerror(errno.EBUSY)))
    with pytest.raises(StudyError, match=r'a" could not be deleted: Device or resource busy'):
        files.remove(tmp_path / "a")


def test_a_pipe_in_place_of_a_file_is_an_error_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(StudyError, match="cannot be read as JSON"):
        files.read_json(tmp_path / "run.json")
    with pytest.raises(IsADirectoryError):
        files.read_content(tmp_path)


def test_json_that_is_nested_too_deep_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("[" * 100_000)
    with pytest.raises(StudyError, match="RecursionError"):
        files.read_json(tmp_path / "a")


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, errno.EACCES])
def test_a_file_that_the_system_does_not_let_read_is_named_and_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    entry = SealedFile.read(path)

    def refuse(_name: str) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files, "on_operation", refuse)
    with pytest.raises(StudyError, match=r'a" could not be read: .*Nothing was changed'):
        entry.is_content_of(path, verify=True)
    path.unlink()
    monkeypatch.setattr(files, "on_operation", lambda _: None)
    assert not entry.is_content_of(path, verify=True)


def test_a_new_folder_and_its_parents_are_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "fsync", synced.append)
    files.make_folder(tmp_path / "a" / "b" / "c")
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    files.make_folder(tmp_path / "a" / "b" / "c")
    assert len(synced) == 3
