"""The steps of docs/how-to/orthanc.md, with a real Orthanc on this machine."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydicom import dcmread
from tests.deploy.dicom_images import write_dicom

from medtransfer.deploy.inference.model import BundleModel

pytest.importorskip("highdicom.sr", reason="highdicom is absent (extra dicom-sr)")
PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "orthanc.md"
PORTS = {"8042": 0, "4242": 0}
SECONDS = 180


def steps() -> dict[str, str]:
    """Files of the page by their name, and its commands by their program."""
    blocks: dict[str, str] = {}
    fence = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for body in fence.findall(PAGE.read_text("utf-8")):
        first, _, rest = body.partition("\n")
        if first.startswith("$ "):
            blocks[first.split()[1]] = first.removeprefix("$ ")
        else:
            blocks[first.split()[1]] = rest
    return blocks


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(command: list[str], folder: Path, log: str) -> Iterator[None]:
    """A process while the block lasts; its output in a file."""
    with (folder / log).open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, env={**os.environ}
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def wait_for(ask: Any, folder: Path) -> Any:
    """The first answer of a question that is not empty."""
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        try:
            if answer := ask():
                return answer
        except OSError:
            pass
        time.sleep(0.5)
    logs = "\n".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
    raise AssertionError(f"nothing came within {SECONDS} seconds\n{logs}")


@pytest.mark.slow
def test_a_study_that_is_stored_gets_a_report(
    bundle_model: BundleModel, phantom_folder: Path, tmp_path: Path
) -> None:
    from medtransfer.data.images.decode import decode

    for program in ("Orthanc", "storescu"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is absent: the road through Orthanc is not walked")
    blocks = steps()
    ports = {port: str(free_port()) for port in PORTS}
    for name in ("orthanc.json", "watch.py", "storescu"):
        for port, free in ports.items():
            blocks[name] = blocks[name].replace(port, free)
    settings = blocks["orthanc.json"].replace('"StableAge": 10', '"StableAge": 1')
    (tmp_path / "orthanc.json").write_text(settings)
    (tmp_path / "watch.py").write_text(blocks["watch.py"])
    shutil.copy(bundle_model.bundle.path, tmp_path / "lesions.medt")
    image = pl.read_parquet(phantom_folder / "lesion.parquet")["image"][0]
    pixels = decode(image, 10_000, None)
    grey = (pixels.mean(axis=2) if pixels.ndim == 3 else pixels).astype(np.uint8)
    write_dicom(tmp_path / "image.dcm", grey, study="ward")

    def ask(path: str) -> Any:
        address = f"http://127.0.0.1:{ports['8042']}{path}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.read()

    def reports() -> list[str]:
        series = json.loads(ask("/series?expand"))
        return [s["Instances"][0] for s in series if s["MainDicomTags"]["Modality"] == "SR"]

    watch = [sys.executable, *blocks["python"].split()[1:]]
    with running(blocks["Orthanc"].split(), tmp_path, "orthanc.log"):
        wait_for(lambda: ask("/system"), tmp_path)
        subprocess.run(blocks["storescu"].split(), cwd=tmp_path, check=True)
        with running(watch, tmp_path, "watch.log"):
            (report,) = wait_for(reports, tmp_path)
            content = dcmread(BytesIO(ask(f"/instances/{report}/file")))
            # the report makes the study stable again: it stays the only one
            changes = wait_for(
                lambda: (
                    len(
                        [
                            change
                            for change in json.loads(ask("/changes?limit=1000"))["Changes"]
                            if change["ChangeType"] == "StableStudy"
                        ]
                    )
                    > 1
                ),
                tmp_path,
            )
            assert changes
            time.sleep(4)
            assert reports() == [report]
        studies = json.loads(ask("/studies"))
    assert len(studies) == 1
    sent = dcmread(tmp_path / "image.dcm")
    assert content.StudyInstanceUID == sent.StudyInstanceUID
    assert content.PatientID == "person-ward"
    assert content.SeriesDescription == "Not for diagnosis: for research only"
    expected = bundle_model.predict([tmp_path / "image.dcm"]).frame["probability_malignant"][0]
    numbers = [
        float(item.MeasuredValueSequence[0].NumericValue)
        for item in walked(content)
        if item.get("ValueType") == "NUM"
        and item.ConceptNameCodeSequence[0].CodeMeaning == "Probability of malignant"
    ]
    assert numbers == [pytest.approx(expected, abs=1e-6)]


def walked(dataset: Any) -> Iterator[Any]:
    """Every content item of a report."""
    for item in dataset.get("ContentSequence", []):
        yield item
        yield from walked(item)
