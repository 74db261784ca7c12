"""Pairs of images that look the same, side by side: those that `check` found."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from medtransfer import check_study, make_duplicates_gallery, read_study
from medtransfer.cli.main import app
from medtransfer.data.images.pictures import encode_png
from medtransfer.errors import ConfigError, StudyError

COUNT = 24


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checked study of small images, of which two are copies with other labels."""
    folder = tmp_path_factory.mktemp("copies")
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (COUNT, 8, 8), dtype=np.uint8)
    images = np.kron(coarse, np.ones((1, 8, 8), dtype=np.uint8))
    images[1] = np.clip(images[0].astype(int) + 3, 0, 255)  # another file, the same look
    rows = []
    for number, image in enumerate(images):
        (folder / f"{number:02d}.png").write_bytes(encode_png(image))
        rows.append((f"i{number}", f"{number:02d}.png", f"c{number}", f"p{number}", number % 2))
    names = ["image_id", "path", "case_id", "patient_id", "sick"]
    frame = pl.DataFrame(rows, schema=names, orient="row").with_columns(cohort=pl.lit("north"))
    frame.write_csv(folder / "m.csv")
    settings = {
        "name": "copies",
        "data": {
            "manifest": "m.csv",
            "task": "binary",
            "targets": ["sick"],
            "image": {"resize": 32, "crop": 32},
        },
        "rungs": ["scratch/r14x0.5"],
        "training": {"steps": 1, "checks": 1},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(settings))
    return folder


def test_pairs_that_the_check_found_stand_side_by_side(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study)
    with pytest.raises(StudyError, match="has no pairs.csv: `medtransfer check` was not run"):
        make_duplicates_gallery("study.yaml", tmp_path / "none")
    check_study(read_study("study.yaml"))
    words = ["gallery", "study.yaml", "--duplicates", "-o", str(tmp_path / "out")]
    said = CliRunner().invoke(app, words, catch_exceptions=False).output
    page = (tmp_path / "out" / "gallery.html").read_text("utf-8")
    assert page.index("This page holds images of patients") < page.index("<h1>")
    assert "A010: Images that look the same have contradictory labels" in page
    assert "c0 (north) and c1 (north)" in page
    assert "sick 0 and 1" in page
    assert "rows 2 and 3; similarity 1.00, as it is" in page
    pairs = pl.read_csv(study / "studies" / "copies" / "pairs.csv")
    assert page.count("data:image/png;base64,") == 2 * len(pairs)
    assert f"{len(pairs)} pairs with images of patients" in said
    made = make_duplicates_gallery("study.yaml", tmp_path / "one", count=1)
    assert made.cases == pairs["code"].n_unique()


def test_what_cannot_be_shown_is_said(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study)
    check_study(read_study("study.yaml"))
    words = ["gallery", "study.yaml", "--duplicates", "--ood", "--rung", "x", "-o", "out"]
    with pytest.raises(ConfigError, match="cannot be given with --ood, --rung"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    with pytest.raises(ConfigError, match="-n is 0"):
        make_duplicates_gallery("study.yaml", tmp_path / "out", count=0)
    with pytest.raises(StudyError, match="holds no study.yaml"):
        make_duplicates_gallery(study / "studies" / "copies", tmp_path / "out")
    with pytest.raises(ConfigError, match="lies in the folder of the study"):
        make_duplicates_gallery("study.yaml", study / "studies" / "copies" / "g")
    path = study / "m.csv"
    with pytest.raises(StudyError, match=r"neither a study file \(\.yaml\) nor the folder"):
        make_duplicates_gallery(path, tmp_path / "out")
    whole = path.read_text()
    path.write_text("\n".join(whole.splitlines()[:2]) + "\n")
    with pytest.raises(StudyError, match="other rows than when it was checked"):
        make_duplicates_gallery("study.yaml", tmp_path / "out")
    head, *rows = whole.splitlines()
    path.write_text("\n".join([head, *reversed(rows)]) + "\n")
    with pytest.raises(StudyError, match="other rows than when it was checked"):
        make_duplicates_gallery("study.yaml", tmp_path / "out")
    path.write_text(whole)
