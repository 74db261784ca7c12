"""BUSI: findings by folder, outlines that are no images, images without patients."""

from pathlib import Path

import polars as pl
import pytest
from tests.data.sources import tree_busi as tree

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import read_source
from medtransfer.errors import TableError

BUSI = SOURCES["busi"]


def test_outlines_are_counted_and_left_out(tmp_path: Path) -> None:
    tree.write(tmp_path)
    imported = read_source(BUSI, tmp_path)
    assert not imported.frame["path"].str.contains("mask").any()
    assert "8 outlines of lesions (`_mask`): left out." in imported.notes
    assert "1 image of other names: left out." in imported.notes
    assert any("each image counts as a patient of its own" in note for note in imported.notes)
    counts = dict(imported.frame["finding"].value_counts().iter_rows())
    assert counts == {"benign": 3, "malignant": 2, "normal": 2}
    label = dict(imported.frame.select("finding", "malignant").iter_rows())
    assert label == {"benign": "0", "malignant": "1", "normal": "0"}


def test_findings_keep_their_names_beside_other_ultrasound(tmp_path: Path) -> None:
    tree.write(tmp_path)
    plain, shared = (read_source(BUSI, tmp_path, shared_names=s).frame for s in (False, True))
    assert shared.select("finding", "malignant").equals(plain.select("finding", "malignant"))


def test_a_hospitals_own_ultrasound_takes_the_shared_classes(tmp_path: Path) -> None:
    rows = [("a.png", "malignant"), ("b.png", "benign"), ("c.png", "cyst")]
    lines = [f"{file},{number},{word}" for number, (file, word) in enumerate(rows)]
    (tmp_path / "t.csv").write_text("\n".join(["path,patient_id,finding", *lines]))
    for file, _ in rows:
        (tmp_path / file).write_bytes(b"x")
    options = {"columns": "finding=finding", "like": "busi"}
    imported = read_source(SOURCES["csv"], tmp_path, options, shared_names=True)
    assert imported.frame["finding"].to_list() == ["malignant", "benign", None]
    assert any("Class 'cyst' of 'finding' has no shared class" in n for n in imported.notes)


def test_lesions_alone_can_be_the_cases(tmp_path: Path) -> None:
    tree.write(tmp_path)
    imported = read_source(BUSI, tmp_path, {"findings": "lesions"})
    assert imported.kept == ("5 of 7: findings = lesions",)
    assert set(imported.frame["finding"]) == {"benign", "malignant"}


def test_images_that_were_filed_anew_or_twice_are_refused(tmp_path: Path) -> None:
    tree.write(tmp_path)
    home = tmp_path / tree.HOME
    (home / "benign" / "benign (2).png").rename(home / "malignant" / "benign (2).png")
    with pytest.raises(TableError, match="1 image in the folder of another finding"):
        read_source(BUSI, tmp_path)
    tree.write(tmp_path)
    with pytest.raises(TableError, match="2 images of one name in several folders"):
        read_source(BUSI, tmp_path)


@pytest.mark.shared
def test_the_shared_images_have_the_findings_that_were_kept(shared: Path, tmp_path: Path) -> None:
    packed = pl.read_parquet(shared / "us_busi.parquet").sort("image_id")
    for name, finding, data in packed.select("image_id", "label", "image").iter_rows():
        path = tmp_path / tree.HOME / finding / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    frame = read_source(BUSI, tmp_path).frame
    assert frame["image_id"].to_list() == packed["image_id"].to_list()
    assert frame["finding"].to_list() == packed["label"].to_list()
    assert (frame["malignant"] == "1").to_list() == (packed["label"] == "malignant").to_list()
