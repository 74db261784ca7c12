"""The reader is searched for crashes for a while; what is found stays as a test of its own."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tests.data.images.dicom import files
from tests.data.images.dicom.files import dicom, packed, picture, slope

from medtransfer.data.images.dicom.reader import frame_facts, frame_pixels
from medtransfer.errors import ImageError

SECONDS = 40


def seeds() -> list[bytes]:
    """Small files of every kind."""
    small = slope(4, 4)
    tables = [{"LUTDescriptor": [4, 0, 8], "LUTData": [1, 2, 3, 4]}]
    groups = [{"FrameVOILUTSequence": [{"WindowCenter": 5, "WindowWidth": 9}]}]
    eight = slope(4, 4, 255, np.uint8)
    return [
        *(
            dicom(picture(small, 12, WindowCenter=3, WindowWidth=9, PatientName="FUZZ"), syntax)
            for syntax in (files.EXPLICIT, files.IMPLICIT, files.BIG_ENDIAN, files.DEFLATED)
        ),
        dicom(picture(small, 12, VOILUTSequence=tables, ModalityLUTSequence=tables)),
        dicom(picture(np.stack([small, small]), 12, PerFrameFunctionalGroupsSequence=groups * 2)),
        dicom(picture(small, 12, PixelPaddingValue=3), meta=False, preamble=False),
        dicom(packed(small, [files.rle(small)], 12), files.RLE),
        dicom(packed(eight, [files.jpeg_lossless(eight, 8)], 8), files.LOSSLESS_SV1),
        dicom({"SOPClassUID": "FUZZ", "Rows": 3}),
    ]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed")
def test_a_search_finds_no_file_that_crashes_the_reader(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for i, data in enumerate(seeds()):
        (corpus / f"seed{i}").write_bytes(data)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.data.images.dicom.fuzz",
            str(corpus),
            f"-max_total_time={SECONDS}",
            "-max_len=4096",
            "-rss_limit_mb=2048",
            "-timeout=20",
            f"-artifact_prefix={tmp_path}/",
        ],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "DONE" in done.stderr


@pytest.mark.parametrize("data", seeds(), ids=range(len(seeds())))
def test_seeds_of_the_search_are_good_or_have_a_reason(data: bytes) -> None:
    said = []
    for frame in (None, 1):
        for read in (frame_facts, frame_pixels):
            try:
                read(data, 100_000, frame)
            except ImageError as error:
                said.append(str(error))
    assert len(said) < 4 or said == ["is DICOM without pixels"] * 4
    assert not any("FUZZ" in reason for reason in said)
