"""`medtransfer prepare`: all images of a study made ahead of its runs."""

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.conftest import Call, Desk
from tests.in_process import no_worker

from medtransfer import disk
from medtransfer.data.images import pixel_recipe


def pictures(desk: Desk) -> dict[str, bytes]:
    """The shards of the study's cache."""
    found = (desk.path / "studies" / "skin" / "cache").rglob("*.pixels")
    return {path.name: path.read_bytes() for path in found}


@pytest.fixture
def fresh(desk: Desk) -> Desk:
    """The user's folder before anything was run."""
    shutil.rmtree(desk.path / "studies")
    return desk


def test_it_says_what_it_will_take_and_makes_what_a_run_makes(fresh: Desk, call: Call) -> None:
    said = call("prepare", "study.yaml")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0].startswith("32 px: 56 images, 56 to make (168 KiB)")
    assert lines[1].startswith("36 px: ")
    assert "Disk: " in lines[2]
    assert "Run the study with: medtransfer run study.yaml" in lines[-1]
    made = pictures(fresh)
    again = call("prepare", "study.yaml", "--verify")
    assert "32 px: 56 images, ready" in again.out
    assert pictures(fresh) == made
    with no_worker():
        assert call("run", "study.yaml").code == 0
    assert pictures(fresh) == made  # nothing is left for the run to make


def test_a_run_reads_the_prepared_pictures_and_no_file(
    fresh: Desk, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("prepare", "study.yaml").code == 0

    def decode(_data: bytes, _limit: int, _frame: int | None) -> None:
        raise AssertionError

    monkeypatch.setattr(pixel_recipe, "decode", decode)
    assert call("check", "study.yaml").code == 0


def test_machines_get_one_list(fresh: Desk, call: Call) -> None:
    found = json.loads(call("prepare", "study.yaml", "--json").out)
    assert (found[0]["size"], found[0]["images"]) == (32, 56)
    assert found[0]["bytes"] == 56 * 32 * 32 * 3
    assert {path.name for path in (fresh.path / "studies" / "skin" / "cache").iterdir()} == {
        state["folder"] for state in found
    }
    (first, *_) = json.loads(call("prepare", "study.yaml", "--json").out)
    assert (first["made"], first["bytes"]) == (0, 0)


def test_a_damaged_picture_is_made_anew_on_request(fresh: Desk, call: Call) -> None:
    call("prepare", "study.yaml")
    before = pictures(fresh)
    path = next(iter((fresh.path / "studies" / "skin" / "cache").rglob("*.pixels")))
    content = bytearray(path.read_bytes())
    content[99] ^= 1
    path.write_bytes(content)
    assert call("prepare", "study.yaml").code == 0
    assert pictures(fresh) != before  # only sizes were looked at
    assert call("prepare", "study.yaml", "--verify").code == 0
    assert pictures(fresh) == before


def test_no_room_is_said_and_nothing_is_written(
    fresh: Desk, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda _folder: 1000)
    said = call("prepare", "study.yaml")
    assert said.code == 2
    assert "of disk and 1000 B are free. Nothing was written." in said.err.replace("1,000", "1000")
    assert not (fresh.path / "studies" / "skin" / "cache").exists()


def test_the_weights_need_not_be_there(fresh: Desk, call: Call) -> None:
    fresh.edit("rungs: [scratch/r14x0.5]", "rungs: [bit-m/r50x1]")
    assert call("prepare", "study.yaml").code == 0
    assert pictures(fresh)


def test_a_codec_is_asked_for_and_its_pictures_are_smaller(fresh: Desk, call: Call) -> None:
    call("prepare", "study.yaml")
    raw = sum(len(data) for data in pictures(fresh).values())
    shutil.rmtree(fresh.path / "studies")
    fresh.edit("{resize: 36, crop: 32}", "{resize: 36, crop: 32, jpeg_quality: 80}")
    assert call("prepare", "study.yaml").code == 0
    assert sum(len(data) for data in pictures(fresh).values()) < raw / 2


def test_damaged_images_are_named(fresh: Desk, call: Call) -> None:
    picture = fresh.picture(5)
    Path(picture).write_bytes(picture.read_bytes()[:-40])
    said = call("prepare", "study.yaml")
    assert said.code == 2
    assert "row 5: the image is truncated or damaged" in said.err
