"""`medtransfer check` of a study and of a manifest: what is printed, written, and how it ends."""

import json
from pathlib import Path

import polars as pl
import pytest
from PIL import Image, ImageOps
from tests.cli.conftest import Call

from medtransfer.data.phantom import Hospital, Phantom, write_phantom

STUDY = """\
name: skin
data:
  manifest: skin.csv
  task: binary
  targets: [malignant]
  image: {resize: 36, crop: 32}
  split: {train_cohorts: [north]}
rungs: [scratch/r14x0.5]
seeds: [0]
training: {batch_size: 8, steps: 2, checks: 1}
"""


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A manifest in which a mirrored copy of a northern image is also in the south."""
    phantom = Phantom(hospitals={"north": Hospital(60), "south": Hospital(24)}, size=48)
    path = write_phantom(phantom, tmp_path / "skin.csv")
    table = pl.read_csv(path, infer_schema=False).drop("truth_malignant", "diagnosis")
    images = [tmp_path / cell for cell in table["path"]]
    ImageOps.mirror(Image.open(images[0])).save(images[70])
    labels = table["malignant"].to_list()
    labels[70] = labels[0]
    table.with_columns(malignant=pl.Series(labels)).write_csv(path)
    (tmp_path / "study.yaml").write_text(STUDY)
    return path


def test_a_study_is_checked_with_pairs_of_rows_and_no_names(call: Call, copied: Path) -> None:
    said = call("check", "study.yaml")
    assert said.code == 0
    assert "A004 warning  1 pair of images that look the same: south and train (1)" in said.out
    assert "rows 2, 72" in said.out
    assert "All pairs: studies/skin/pairs.csv" in said.out
    assert "1 run, " in said.out
    text = (copied.parent / "studies" / "skin" / "pairs.csv").read_text()
    assert "north" not in text
    pairs = pl.read_csv(copied.parent / "studies" / "skin" / "pairs.csv")
    assert pairs.select("code", "row", "other_row", "turn").rows() == [("A004", 2, 72, "mirrored")]
    found = json.loads(call("check", "study.yaml", "--json").out)
    assert {"code": "A004", "level": "warning", "rows": [2, 72]}.items() <= found[0].items()


def test_pairs_that_were_mended_leave_no_file(call: Call, copied: Path) -> None:
    call("check", "study.yaml")
    table = pl.read_csv(copied, infer_schema=False)
    table.filter(pl.int_range(pl.len()) != 70).write_csv(copied)
    said = call("check", "study.yaml")
    assert "A004" not in said.out
    assert not (copied.parent / "studies" / "skin" / "pairs.csv").exists()


def test_a_warning_is_waived_with_its_reason(call: Call, copied: Path) -> None:
    path = copied.parent / "study.yaml"
    path.write_text(STUDY + "waive: {A004: the mirrored one is a test of the viewer}\n")
    assert "A004 waived   1 pair of images" in call("check", "study.yaml").out
    path.write_text(STUDY + "waive: {A040: the mirrored one is a test of the viewer}\n")
    said = call("check", "study.yaml")
    assert said.code == 2
    assert "'A040' is not a check" in said.err
    assert "Did you mean 'A0" in said.err


def test_a_manifest_is_checked_without_a_study(call: Call, copied: Path) -> None:
    said = call("check", "skin.csv")
    assert said.code == 0
    assert "Targets found: malignant (1/0/-1/empty)" in said.out
    assert "of images that look the same" in said.out
    assert "Write a study for it with: medtransfer init skin.csv" in said.out
    assert (copied.parent / "checks" / "skin" / "pairs.csv").is_file()
    assert call("check", "skin.csv").out == said.out
    table = pl.read_csv(copied, infer_schema=False)
    shared = table["patient_id"][0]
    torn = pl.when(pl.col("cohort") == "south").then(pl.lit(shared)).otherwise("patient_id")
    table.with_columns(patient_id=torn).write_csv(copied)
    refused = call("check", "skin.csv", "--json", "--out", "elsewhere")
    assert refused.code == 2
    assert json.loads(refused.out)[0]["code"] == "A001"
    assert shared not in refused.out + refused.err
    assert (copied.parent / "elsewhere" / "findings.csv").is_file()


def test_a_missing_manifest_is_said_and_nothing_is_written(call: Call, tmp_path: Path) -> None:
    said = call("check", "none.csv")
    assert said.code == 2
    assert 'Manifest "none.csv" does not exist' in said.err
    assert list(tmp_path.iterdir()) == []


def test_images_in_another_folder_are_named_once(call: Call, copied: Path) -> None:
    moved = copied.parent / "tables"
    moved.mkdir()
    table = copied.rename(moved / copied.name)
    lost = call("check", str(table))
    assert lost.code == 2
    assert "If they are in another folder, set data.image_root or --image-root." in lost.err
    said = call("check", str(table), "--image-root", str(copied.parent))
    assert said.code == 0, said.err
    assert f"medtransfer init {table} --image-root {copied.parent}" in said.out
    refused = call("check", "study.yaml", "--image-root", "elsewhere")
    assert refused.code == 2
    assert "data.image_root" in refused.err


def test_an_image_in_two_cohorts_is_an_error_without_a_study(call: Call, copied: Path) -> None:
    table = pl.read_csv(copied, infer_schema=False)
    images = [copied.parent / cell for cell in table["path"]]
    images[70].write_bytes(images[0].read_bytes())
    said = call("check", "skin.csv")
    assert said.code == 2
    assert "A002 error    1 image in more than one split or cohort" in said.out
    other = Image.open(images[0])
    other.save(images[70], compress_level=1)
    assert images[70].read_bytes() != images[0].read_bytes()
    said = call("check", "skin.csv")
    assert said.code == 2
    assert "A008 error    1 pair of images with the same pixels: " in said.out


@pytest.mark.slow
def test_a_check_says_how_many_runs_are_new(call: Call, copied: Path) -> None:
    path = copied.parent / "study.yaml"
    path.write_text(STUDY)
    assert "1 run, all new, " in call("check", "study.yaml").out
    assert call("run", "study.yaml").code == 0
    path.write_text(STUDY.replace("seeds: [0]", "seeds: [0, 1]"))
    assert "2 runs (1 finished, 1 new), " in call("check", "study.yaml").out
