"""The page of a gallery: images of patients, for their owner alone, never with the report."""

import base64
import json
import re
import stat
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from medtransfer.cli.main import app
from medtransfer.deploy.gallery.gallery import make_gallery
from medtransfer.deploy.gallery.selection import GalleryChoice
from medtransfer.errors import ConfigError
from medtransfer.runs.folders import StudyFolder

RUNG = "imagenet/effnet-lite0"


def test_the_page_shows_the_cases_and_warns(finished: StudyFolder, tmp_path: Path) -> None:
    made = make_gallery(
        finished, tmp_path / "out", GalleryChoice("uncertain", 3), rung=RUNG, fiftyone=True
    )
    page = made.page.read_text("utf-8")
    assert page.index("This page holds images of patients") < page.index("<h1>")
    assert made.cases == 3
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", page)
    assert len(pictures) == 3
    assert Image.open(BytesIO(base64.b64decode(pictures[0]))).size == (320, 320)
    assert "default-src 'none'" in page
    assert not re.search(r"https?://", page)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert made.fiftyone is not None
    labels = json.loads((made.fiftyone / "labels.json").read_text("utf-8"))["labels"]
    assert len(labels) == 3
    for name, label in labels.items():
        assert (made.fiftyone / "data" / f"{name}.png").is_file()
        assert label["label"] in ("0", "1")
        assert label["attributes"]["case_id"] in page


def test_a_gallery_never_lies_in_the_study(finished: StudyFolder) -> None:
    with pytest.raises(ConfigError, match="lies in the folder of the study"):
        make_gallery(finished, finished.path / "gallery", rung=RUNG)
    assert not (finished.path / "gallery").exists()


@pytest.mark.slow
def test_heat_maps_are_laid_over_the_images_with_their_check(
    finished: StudyFolder, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ["gallery", str(finished.path), "--ood", "--group", "sex=F", "-n", "2", "--heatmap"]
    done = CliRunner().invoke(app, [*command, "--rung", RUNG, "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "Heat maps by " in done.output
    page = (out / "gallery.html").read_text("utf-8")
    assert len(re.findall("data:image/png", page)) == 4
    assert "rank correlation" in page
    assert pl.read_parquet(finished.path / "results.parquet").height  # the study is as it was
