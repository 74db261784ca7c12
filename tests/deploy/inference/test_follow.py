"""A drop folder: each file once, when it rests, also after a stop; bad files do not end it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from numpy.testing import assert_allclose
from tests.data.images.dicom.files import dicom, picture, slope

from medtransfer.data.images.pictures import encode_png
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.inference import follow as follow_module
from medtransfer.deploy.inference.follow import Followed, follow_folder, follow_summary
from medtransfer.deploy.inference.model import BundleModel, load_bundle
from medtransfer.deploy.monitoring.prediction_files import listed_tables
from medtransfer.errors import ConfigError, StudyError
from medtransfer.interruption import StopRequested


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> BundleModel:
    return load_bundle(bundle.path, device="cpu")


class Folder:
    """A folder into which files are dropped between two looks, by a clock of its own."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = tmp_path / "in"
        self.path.mkdir()
        self.out = tmp_path / "out"
        self.now = 0.0
        monkeypatch.setattr(follow_module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(follow_module.time, "sleep", self._pass)

    def _pass(self, seconds: float) -> None:
        self.now += seconds

    def drop(self, name: str, shade: int = 0) -> Path:
        path = self.path / name
        path.write_bytes(encode_png(slope(40, 40, top=200 + shade, dtype="uint8")))
        return path

    def follow(self, model: BundleModel, *steps: Callable[[], object], **more: object) -> Followed:
        """Follow for one look more than there are steps, each of which comes after a look."""
        waiting: Iterator[Callable[[], object]] = iter(steps)

        def until() -> bool:
            step = next(waiting, None)
            if step is not None:
                step()
            return step is None

        return follow_folder(model, self.path, self.out, until=until, **more)  # type: ignore[arg-type]

    def rows(self) -> pl.DataFrame:
        return pl.concat([pl.read_csv(path) for path in listed_tables([self.out])], how="diagonal")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    return Folder(tmp_path, monkeypatch)


def nothing() -> None:
    pass


def test_a_file_is_taken_once_and_only_when_it_has_come_to_rest(
    model: BundleModel, folder: Folder
) -> None:
    folder.drop("a.png")
    grown = folder.drop("b.png")
    half = folder.drop("c.png.part")

    def grow() -> None:
        grown.write_bytes(grown.read_bytes() + b" ")

    assert folder.follow(model, nothing, still=2).files == 0  # one second old
    taken: list[int] = []
    followed = folder.follow(
        model,
        *(grow for _ in range(4)),
        *(nothing for _ in range(4)),
        still=2,
        on_batch=lambda _table, files, _refused: taken.append(files),
    )
    assert taken == [1, 1]
    assert (followed.files, followed.batches, followed.stopped) == (2, 2, False)
    assert sorted(Path(name).name for name in folder.rows()["case_id"]) == ["a.png", "b.png"]
    assert half.exists()
    whole = model.predict(folder.path / "a.png").frame["logit_malignant"][0]
    assert_allclose(folder.rows()["logit_malignant"][0], whole, atol=1e-6)


def test_a_stopped_follow_goes_on_and_takes_no_file_twice(
    model: BundleModel, folder: Folder
) -> None:
    folder.drop("a.png")

    def stop() -> None:
        raise StopRequested

    first = folder.follow(model, nothing, nothing, stop, still=0)
    assert (first.files, first.stopped) == (1, True)
    assert "Run the same command again" in follow_summary(first)
    folder.drop("b.png")
    (folder.out / "batch-000002.csv").write_text("a table whose list was not written\n")
    second = folder.follow(model, nothing, still=0)
    assert (second.files, second.stopped) == (1, False)
    assert "again" not in follow_summary(second)
    assert len(folder.rows()) == 2
    folder.drop("a.png", shade=20)  # written over
    assert folder.follow(model, nothing, still=0).files == 1
    assert len(folder.rows()) == 3


def test_bad_files_are_listed_and_the_rest_goes_on(model: BundleModel, folder: Folder) -> None:
    folder.drop("a.png")
    (folder.path / "cut.png").write_bytes(folder.drop("b.png").read_bytes()[:60])
    (folder.path / "notes.txt").write_text("not an image")
    followed = folder.follow(model, nothing, still=0)
    assert (followed.files, followed.refused) == (3, 1)
    refused = pl.read_csv(folder.out / "batch-000001.refused.csv")
    assert Path(refused["image"][0]).name == "cut.png"
    assert folder.rows()["reason"].null_count() == 2


def test_files_of_a_case_wait_for_each_other_and_a_late_one_brings_the_case_again(
    model: BundleModel, folder: Folder
) -> None:
    def view(name: str, study: str) -> None:
        content = dicom(picture(slope(), 12, StudyInstanceUID=study))
        (folder.path / name).write_bytes(content)

    view("1.dcm", "1.2.3")
    view("2.dcm", "1.2.4")
    followed = folder.follow(
        model,
        nothing,
        lambda: view("3.dcm", "1.2.3"),
        *(nothing for _ in range(5)),
        still=3,
        case="study",
    )
    assert followed.files == 3
    counts = folder.rows().select("case_id", "images").rows()
    assert counts == [("1.2.4", 1), ("1.2.3", 2)]
    view("4.dcm", "1.2.3")
    assert folder.follow(model, nothing, still=0, case="study").files == 1
    assert folder.rows().select("case_id", "images").rows()[-1] == ("1.2.3", 3)


def test_settings_that_cannot_be_used_are_refused(model: BundleModel, folder: Folder) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        follow_folder(model, folder.path / "gone", folder.out)
    with pytest.raises(ConfigError, match=r"ending is '\.xml'"):
        folder.follow(model, ending=".xml")
    with pytest.raises(ConfigError, match="lies inside the folder that is followed"):
        follow_folder(model, folder.path, folder.path / "out")
    with pytest.raises(ConfigError, match="--still is -1"):
        folder.follow(model, still=-1)
    folder.out.mkdir(exist_ok=True)
    (folder.out / "batch-000001.files.json").write_text(json.dumps({"a": [1]}))
    with pytest.raises(StudyError, match="is no list of files"):
        folder.follow(model, still=0)
    shutil.rmtree(folder.out)
    folder.out.write_text("")
    with pytest.raises(ConfigError, match="is a file: name a folder"):
        folder.follow(model, still=0)


@pytest.mark.slow
def test_ctrl_c_ends_the_command_in_order(bundle: Bundle, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "a.png").write_bytes(encode_png(slope(40, 40, top=255, dtype="uint8")))
    command = [sys.executable, "-m", "medtransfer", "predict", str(bundle.path), "--follow"]
    command += [str(folder), "--still", "0.2", "-o", str(out), "--device", "cpu"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        deadline = time.monotonic() + 120
        while not (out / "batch-000001.files.json").exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        text, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors
    assert "batch-000001.csv: 1 file" in text
    assert "Run the same command again to go on" in text
    assert len(pl.read_csv(out / "batch-000001.csv")) == 1
