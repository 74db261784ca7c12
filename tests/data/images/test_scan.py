"""Every picture looked at once: all faults by row, nothing read twice."""

import os
import re
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.data.audit import corpus
from tests.data.audit.corpus import embedded_manifest

from medtransfer.data.images import scan
from medtransfer.data.images.pictures import decode_image, inspect_image
from medtransfer.data.images.scan import FACTS, STAMP, map_images, scan_images
from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.errors import ImageError
from medtransfer.tables.manifest import Manifest, read_manifest
from medtransfer.tables.schema import write_frame

LIMIT = 1_000_000


def paths_manifest(folder: Path, pictures: dict[str, bytes | None]) -> Manifest:
    """A manifest of files; None writes no file. Rows stand against the order of ids."""
    names = list(pictures)
    for name, data in pictures.items():
        if data is not None:
            (folder / name).write_bytes(data)
    ids = [f"SECRET{len(names) - i:03d}" for i in range(len(names))]
    frame = pl.DataFrame({"image_id": ids, "path": names, "case_id": ids, "patient_id": ids})
    write_frame(frame.with_columns(cohort=pl.lit("A")), folder / "manifest.csv")
    return read_manifest(folder / "manifest.csv")


def pictures(count: int) -> list[bytes]:
    """PNG files of different sizes."""
    return [corpus.png(corpus.grey(3 + i, 5), 0) for i in range(count)]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the pictures that were opened."""
    opened: list[str] = []
    plain_open: Callable[..., int] = os.open

    def counting(path: str, *rest: int, **more: int) -> int:
        if str(path).endswith(".png"):
            opened.append(Path(path).name)
        return plain_open(path, *rest, **more)

    monkeypatch.setattr(os, "open", counting)
    return opened


def test_facts_stand_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    files = {f"{i}.png": data for i, data in enumerate(pictures(30))}
    manifest = paths_manifest(tmp_path, dict(files))
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    assert dict(facts.schema) == {name: kind() for name, kind in FACTS.items()}
    assert facts["image_id"].to_list() == manifest.frame["image_id"].to_list()
    for path, row in zip(manifest.frame["path"], facts.iter_rows(named=True), strict=True):
        expected = inspect_image(files[path], LIMIT)
        assert {name: row[name] for name in vars(expected)} == vars(expected)
        assert row["size"] == len(files[path])


def test_pictures_inside_and_outside_give_the_same_facts(tmp_path: Path) -> None:
    phantom = Phantom(hospitals={"a": Hospital(9)}, size=16, views=3)
    kinds = []
    for name in ("inside/m.parquet", "outside/m.csv"):
        manifest = read_manifest(write_phantom(phantom, tmp_path / name))
        facts = scan_images(manifest, LIMIT, tmp_path / name.replace("m.", "facts."))
        kinds.append(facts.drop(*STAMP, "path"))
    assert_frame_equal(*kinds)


@pytest.mark.parametrize("chunk", [1, 500, 10**9])
def test_facts_do_not_depend_on_how_much_is_held_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    files = pictures(23)
    manifest = embedded_manifest(tmp_path, list(files))
    monkeypatch.setattr(scan, "CHUNK_BYTES", chunk)
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    assert facts["height"].to_list() == [3 + i for i in reversed(range(23))]


def test_all_unusable_files_are_listed_at_once_by_row(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    wrong = {name: why for name, why in corpus.bad_files(root).items() if "\x00" not in name}
    headers = corpus.bad_headers()
    files: dict[str, bytes | None] = {"good.png": pictures(1)[0], **dict.fromkeys(wrong)}
    files |= {f"{name}.png": data for name, (data, _) in headers.items()}
    reasons = ["", *wrong.values(), *(why for _, why in headers.values())]
    manifest = paths_manifest(root, files)
    with pytest.raises(ImageError) as caught:
        scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    title, *lines = str(caught.value).splitlines()
    count = len(files) - 1
    assert title == f'{count} images of "manifest.csv" cannot be used:'
    assert lines[-1] == "Repair or replace the files, or remove their rows from the manifest."
    assert lines[-2] == f"  - and {count - 20} more"
    for row, (line, reason) in enumerate(zip(lines[:-2], reasons[1:], strict=False), start=3):
        assert line.startswith(f"  - row {row}: the image ")
        assert re.search(reason, line)
    assert "SECRET" not in str(caught.value)
    assert ".png" not in str(caught.value)


def test_unusable_pictures_inside_are_listed_at_once_by_row(tmp_path: Path) -> None:
    good = pictures(2)
    manifest = embedded_manifest(tmp_path, [good[0], b"", None, b"text", good[1]])
    with pytest.raises(ImageError) as caught:
        scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    assert str(caught.value) == (
        '3 images of "manifest.parquet" cannot be used: row 2: the image is empty (0 bytes); '
        "row 3: the image is empty (0 bytes); row 4: the image is not a PNG, JPEG or DICOM image. "
        "Repair or replace the files, or remove their rows from the manifest."
    )


def test_unchanged_files_are_not_read_again(tmp_path: Path, reads: list[str]) -> None:
    manifest = paths_manifest(tmp_path, {f"{i}.png": data for i, data in enumerate(pictures(6))})
    first = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    assert sorted(reads) == [f"{i}.png" for i in range(6)]
    reads.clear()
    assert_frame_equal(scan_images(manifest, LIMIT, tmp_path / "facts.parquet"), first)
    assert reads == []


def test_changed_files_are_read_again_and_only_they(tmp_path: Path, reads: list[str]) -> None:
    manifest = paths_manifest(tmp_path, {f"{i}.png": data for i, data in enumerate(pictures(6))})
    first = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    reads.clear()
    about = (tmp_path / "2.png").stat()
    (tmp_path / "2.png").write_bytes(corpus.png(corpus.grey(9, 9), 0))
    os.utime(tmp_path / "2.png", ns=(about.st_atime_ns, about.st_mtime_ns))  # another size
    os.utime(tmp_path / "4.png", ns=(about.st_atime_ns, about.st_mtime_ns + 10**9))  # another time
    second = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    assert sorted(reads) == ["2.png", "4.png"]
    changed = (first["sha256"] != second["sha256"]).to_list()
    assert [manifest.frame["path"][i] for i, new in enumerate(changed) if new] == ["2.png"]


def test_a_file_written_over_with_the_same_size_and_time_is_read_again(
    tmp_path: Path, reads: list[str]
) -> None:
    manifest = paths_manifest(tmp_path, {f"{i}.png": data for i, data in enumerate(pictures(3))})
    before = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    reads.clear()
    other = corpus.png(255 - corpus.grey(4, 5), 0)
    status = (tmp_path / "1.png").stat()
    (tmp_path / "1.png").write_bytes(other[: status.st_size].ljust(status.st_size, b"\0"))
    os.utime(tmp_path / "1.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    after = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    assert reads == ["1.png"]
    assert (before["sha256"] != after["sha256"]).sum() == 1


def test_deep_reads_every_file_again(tmp_path: Path, reads: list[str]) -> None:
    manifest = paths_manifest(tmp_path, {f"{i}.png": data for i, data in enumerate(pictures(3))})
    before = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    reads.clear()
    assert_frame_equal(scan_images(manifest, LIMIT, tmp_path / "facts.parquet", deep=True), before)
    assert sorted(reads) == ["0.png", "1.png", "2.png"]


def test_facts_of_version_0_1_are_kept(tmp_path: Path, reads: list[str]) -> None:
    manifest = paths_manifest(tmp_path, {f"{i}.png": data for i, data in enumerate(pictures(3))})
    before = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    write_frame(before.drop("changed", "inode"), tmp_path / "facts.parquet")
    reads.clear()
    assert_frame_equal(scan_images(manifest, LIMIT, tmp_path / "facts.parquet"), before)
    assert reads == []


def test_a_new_image_is_read_without_the_others(tmp_path: Path, reads: list[str]) -> None:
    files: dict[str, bytes | None] = {f"{i}.png": data for i, data in enumerate(pictures(4))}
    scan_images(paths_manifest(tmp_path, files), LIMIT, tmp_path / "facts.parquet")
    reads.clear()
    (tmp_path / "new.png").write_bytes(pictures(1)[0])
    text = (tmp_path / "manifest.csv").read_text()
    (tmp_path / "manifest.csv").write_text(text + "x,new.png,x,x,A\n")
    scan_images(read_manifest(tmp_path / "manifest.csv"), LIMIT, tmp_path / "facts.parquet")
    assert reads == ["new.png"]


@pytest.mark.parametrize("damage", [b"", b"PAR1 not really", None])
def test_a_memory_that_is_lost_or_damaged_is_made_anew(
    tmp_path: Path, reads: list[str], damage: bytes | None
) -> None:
    manifest = paths_manifest(tmp_path, {f"{i}.png": data for i, data in enumerate(pictures(3))})
    memory = tmp_path / "facts.parquet"
    first = scan_images(manifest, LIMIT, memory)
    reads.clear()
    memory.unlink()
    if damage is not None:
        memory.write_bytes(damage)
    assert_frame_equal(scan_images(manifest, LIMIT, memory), first)
    assert len(reads) == 3


def test_a_memory_of_another_make_is_not_trusted(tmp_path: Path, reads: list[str]) -> None:
    manifest = paths_manifest(tmp_path, {"a.png": pictures(1)[0]})
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    write_frame(facts.drop("bits"), tmp_path / "facts.parquet")
    assert_frame_equal(scan_images(manifest, LIMIT, tmp_path / "facts.parquet"), facts)
    assert len(reads) == 2


def test_progress_counts_what_is_read(tmp_path: Path) -> None:
    manifest = embedded_manifest(tmp_path, list(pictures(5)))
    seen: list[tuple[int, int]] = []
    for _ in range(2):
        scan_images(
            manifest, LIMIT, tmp_path / "facts.parquet", lambda done, of: seen.append((done, of))
        )
    assert seen == [(i, 5) for i in range(1, 6)]


def test_work_on_some_pictures_gets_each_with_its_place(tmp_path: Path) -> None:
    files = pictures(40)
    manifest = embedded_manifest(tmp_path, list(files))
    wanted = [30, 2, 17]
    found = dict(map_images(manifest, wanted, lambda data, _frame: len(data)))
    assert found == {i: len(files[39 - i]) for i in wanted}


def test_reading_in_threads_leaves_the_filters_of_warnings_as_they_are(tmp_path: Path) -> None:
    manifest = embedded_manifest(tmp_path, [corpus.jpeg(corpus.smooth(3), "RGB")] * 200)
    before = list(warnings.filters)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(3):
            list(map_images(manifest, range(200), lambda data, _: decode_image(data, LIMIT).shape))
    finally:
        sys.setswitchinterval(interval)
    assert list(warnings.filters) == before


@pytest.fixture
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests of more than ten rows are large."""
    monkeypatch.setattr(scan, "LOOKED_AT", 10)


@pytest.mark.usefixtures("low_limit")
def test_no_more_files_are_looked_for_where_nearly_all_of_a_sample_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = paths_manifest(tmp_path, {f"{i}.png": None for i in range(40)})
    looked: list[str] = []
    monkeypatch.setattr(scan, "file_stamp", lambda path: looked.append(path) or (-1, -1, -1, -1))
    with pytest.raises(ImageError) as error:
        scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    assert not looked
    assert str(error.value) == (
        f'"manifest.csv" cannot be used: 10 of 10 rows looked at name no file below "{tmp_path}", '
        "rows 41, 37, 33, 29, 25 and 5 more. If they are in another folder, set data.image_root "
        "or --image-root."
    )


@pytest.mark.usefixtures("low_limit")
def test_files_are_all_looked_for_where_a_fifth_is_there_and_few_missing_ones_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image,) = pictures(1)
    there = {f"{i}.png": image if i % 5 == 4 else None for i in range(40)}
    manifest = paths_manifest(tmp_path, there)
    monkeypatch.setattr(scan, "AT_ONCE", 7)
    steps: list[tuple[int, int]] = []
    read: list[tuple[int, int]] = []
    with pytest.raises(ImageError, match="^32 images of") as error:
        scan_images(
            manifest,
            LIMIT,
            tmp_path / "facts.parquet",
            lambda *step: read.append(step),
            looking=lambda *step: steps.append(step),
        )
    assert read == [(done, 10 + 8) for done in range(1, 19)]
    assert steps == [*((done, 40) for done in range(7, 40, 7)), (40, 40)]
    assert "row 2: the image is missing" in str(error.value)
    assert "and 12 more" in str(error.value)
    assert str(error.value).count("the image is missing") == 20


@pytest.mark.usefixtures("low_limit")
def test_a_slow_disk_is_asked_for_several_files_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image,) = pictures(1)
    manifest = paths_manifest(tmp_path, {f"{i}.png": image for i in range(32)})
    plain, at_work, most = scan.file_stamp, [0], [0]

    def slow(path: str) -> tuple[int, int, int, int]:
        at_work[0] += 1
        most[0] = max(most[0], at_work[0])
        time.sleep(0.002)
        at_work[0] -= 1
        return plain(path)

    monkeypatch.setattr(scan, "file_stamp", slow)
    monkeypatch.setattr(scan, "AT_ONCE", 1)
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    monkeypatch.setattr(scan, "file_stamp", plain)
    assert most[0] > 3
    assert_frame_equal(facts, scan_images(manifest, LIMIT, tmp_path / "again.parquet"))
