"""Space of disks: words of sizes, room of folders that do not exist yet, and refusals."""

import shutil
from pathlib import Path

import pytest

from medtransfer import disk
from medtransfer.disk import free_bytes, require_disk, size_text
from medtransfer.errors import StudyError


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (831_488, "812 KiB"),
        (63_028_000_000, "58.7 GiB"),
        (5 * 2**50, "5120 TiB"),
    ],
)
def test_bytes_are_told_in_the_largest_unit_that_they_fill(count: int, text: str) -> None:
    assert size_text(count) == text


def test_room_of_a_folder_that_does_not_exist_is_that_of_its_nearest_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[Path]()
    usage = shutil.disk_usage(tmp_path)

    def disk_usage(path: Path) -> object:
        asked.append(path)
        return usage

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    assert free_bytes(tmp_path / "a" / "b") == usage.free
    assert asked == [tmp_path]


def test_work_that_the_disk_has_no_room_for_is_refused_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda _folder: 2048)
    require_disk(tmp_path, 2048, "Preparing 4 images")
    with pytest.raises(StudyError, match=r"Preparing 4 images needs 2\.0 KiB of disk and 2\.0 KiB"):
        require_disk(tmp_path, 2049, "Preparing 4 images")
