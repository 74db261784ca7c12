"""Files are read by processes whose memory and time are limited, and that look after themselves."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from tests.data.images.dicom import files
from tests.data.images.dicom.files import LIMIT, dicom, packed, picture, slope

from medtransfer.data.images.dicom import decoder_pool
from medtransfer.data.images.dicom.decoder_pool import (
    ask_comparison,
    ask_facts,
    ask_pixels,
    close_readers,
)
from medtransfer.data.images.dicom.reader import frame_facts, frame_pixels
from medtransfer.errors import ImageError

GREY = dicom(picture(slope(), 12))


def children() -> list[int]:
    """Reader processes of this process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except (OSError, IndexError):
            continue
        if parent == os.getpid() and b"medtransfer.data.images.dicom.decoder_process" in words:
            found.append(int(folder.name))
    return found


def test_another_process_gives_what_this_one_would() -> None:
    three = dicom(picture(np.stack([slope()] * 3), 12, PhotometricInterpretation="MONOCHROME1"))
    colour = dicom(picture(np.zeros((4, 6, 3), np.uint8)))
    for data, frame in ((GREY, None), (three, 2), (colour, 1)):
        assert ask_facts(data, LIMIT, frame) == frame_facts(data, LIMIT, frame)
        ours = ask_pixels(data, LIMIT, frame)
        assert ours.dtype == frame_pixels(data, LIMIT, frame).dtype
        assert np.array_equal(ours, frame_pixels(data, LIMIT, frame))
        ours[0] = 0  # it may be written to


def test_two_decoders_are_compared_in_another_process() -> None:
    stored = slope()
    data = dicom(packed(stored, [files.rle(stored)], 12), files.RLE)
    found = ask_comparison(data, LIMIT)
    assert (found.second, found.largest_difference, found.agrees) == ("pydicom", 0, True)
    with pytest.raises(ImageError, match=r"^holds 1 frame, and the manifest asks for frame 7$"):
        ask_comparison(data, LIMIT, 7)


def test_reasons_come_through() -> None:
    for ask in (ask_facts, ask_pixels):
        with pytest.raises(ImageError, match=r"^holds 1 frame, and the manifest asks for frame 7$"):
            ask(GREY, LIMIT, 7)
        with pytest.raises(ImageError, match=r"allowed: 10, data.pixel_limit"):
            ask(GREY, 10)


def test_many_threads_share_a_few_processes() -> None:
    pictures = [dicom(picture(slope(10 + i, 20), 12)) for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda data: ask_pixels(data, LIMIT), pictures))
    assert [one.shape[0] for one in found] == [10 + i for i in range(40)]
    assert 1 <= len(children()) <= len(os.sched_getaffinity(0))


def test_a_process_that_dies_is_the_files_fault_and_is_replaced() -> None:
    ask_pixels(GREY, LIMIT)
    for child in children():
        os.kill(child, signal.SIGKILL)
    for _ in range(10):
        if not ask_or_reason():
            break
    assert not ask_or_reason()


def ask_or_reason() -> str:
    try:
        ask_pixels(GREY, LIMIT)
    except ImageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "took too long"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ran out of memory"),
        ("import os; os.abort()", r"its decoder crashed on it, or ran out of memory \(SIGABRT\)"),
        ("import sys; sys.exit(3)", "the process for it ended with code 3"),
        ("import time; time.sleep(60)", "took too long"),
    ],
)
def test_each_death_has_its_reason(monkeypatch: pytest.MonkeyPatch, code: str, reason: str) -> None:
    plain = subprocess.Popen

    def started(_words: list[str], **more: Any) -> subprocess.Popen[Any]:
        return plain(
            [sys.executable, "-c", f"import sys; sys.stdin.buffer.read(4); {code}"], **more
        )

    monkeypatch.setattr(decoder_pool.subprocess, "Popen", started)
    monkeypatch.setattr(decoder_pool, "PATIENCE_SECONDS", 1)
    pool = decoder_pool.Pool()
    with pytest.raises(ImageError, match=reason):
        pool.ask("pixels", GREY, LIMIT, None)
    pool.close()


@pytest.mark.slow
def test_a_process_that_went_home_is_replaced_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = decoder_pool.Pool()
    assert pool.ask("pixels", GREY, LIMIT, None)[1]
    pool._free[0]._to.close()  # at the end of its input it goes, as it does after a minute
    pool._free[0]._child.wait()
    monkeypatch.setattr(pool._free[0], "_to", broken_pipe())
    assert pool.ask("pixels", GREY, LIMIT, None)[1]
    pool.close()


def broken_pipe() -> Any:
    """The end of a pipe whose other end is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "wb", buffering=0)


def test_closing_leaves_no_process_and_the_next_file_starts_one() -> None:
    ask_pixels(GREY, LIMIT)
    assert children()
    close_readers()
    assert not children()
    assert ask_pixels(GREY, LIMIT).shape == (12, 20)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_no_process_outlives_the_one_that_asked(tmp_path: Path, how: str) -> None:
    (tmp_path / "a.dcm").write_bytes(GREY)
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from medtransfer.data.images.dicom.decoder_pool import ask_pixels, _pool\n"
        "ask_pixels(Path(sys.argv[1]).read_bytes(), 10**6)\n"
        "assert 'pydicom' not in sys.modules\n"
        "print(_pool._all[0]._child.pid, flush=True)\n"
        f"if {how!r} == 'is killed': os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.dcm")],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    pid = int(done.stdout.split()[0])
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            break
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.slow
def test_a_fork_starts_processes_of_its_own() -> None:
    ask_pixels(GREY, LIMIT)
    code = (
        "import os, sys; sys.path.insert(0, '.')\n"
        "from tests.data.images.dicom.test_decoder_pool import GREY\n"
        "from medtransfer.data.images.dicom import decoder_pool\n"
        "decoder_pool.ask_pixels(GREY, 10**6)\n"
        "before = decoder_pool._pool\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    assert decoder_pool._pool is not before\n"
        "    shape = decoder_pool.ask_pixels(GREY, 10**6).shape\n"
        "    decoder_pool.close_readers()\n"
        "    os._exit(0 if shape == (12, 20) else 9)\n"
        "print(os.waitpid(pid, 0)[1], decoder_pool.ask_pixels(GREY, 10**6).shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[4],
    )
    assert done.stdout == "0 (12, 20)\n", done.stderr


# ---- bombs


def zeros_j2k(side: int) -> bytes:
    """A flat picture of any size in a few hundred bytes."""
    flat = np.zeros((side, side), np.uint8)
    return bytes(imagecodecs.jpeg2k_encode(flat, level=0, codecformat="j2k", reversible=True))


def bombs() -> dict[str, bytes]:
    """Files that claim little and unpack to much, or the other way round."""
    stream = zeros_j2k(12_000)
    assert len(stream) < 1000
    small = np.zeros((64, 64), np.uint8)
    runs = files.rle(small)
    deep = picture(small) | {"PixelData": bytes(100_000_000)}
    large, huge, most = ({"Rows": side, "Columns": side} for side in (12_000, 30_000, 9_000))
    return {
        "JPEG 2000 that lies": dicom(packed(small, [stream], 8), files.J2K_LOSSLESS),
        "JPEG 2000 that does not": dicom(packed(small, [stream], 8, **large), files.J2K_LOSSLESS),
        "RLE of 900 Mpx": dicom(packed(small, [runs], 8, **huge), files.RLE),
        "RLE below the limit": dicom(packed(small, [runs], 8, **most), files.RLE),
        "deflated": dicom(deep, files.DEFLATED),
        "deflated frames": dicom(deep | {"NumberOfFrames": 90_000}, files.DEFLATED),
    }


@pytest.mark.slow
def test_bombs_cost_neither_memory_nor_time(tmp_path: Path) -> None:
    for name, data in bombs().items():
        (tmp_path / name).write_bytes(data)
    code = (
        "import sys, time; from pathlib import Path\n"
        "from medtransfer.data.images.dicom.decoder_pool import _pool, ask_facts, ask_pixels\n"
        "from medtransfer.errors import ImageError\n"
        "def reason(ask, data):\n"
        "    try: return ask(data, 100_000_000, 1)\n"
        "    except ImageError as error: return str(error)\n"
        "def used():\n"  # by the processor: others may be at work on this machine
        "    stat = Path(f'/proc/{_pool._all[0]._child.pid}/stat').read_text().rsplit(')')[1]\n"
        "    return time.process_time() + sum(map(int, stat.split()[11:13])) / 100\n"
        "reason(ask_facts, b'')\n"  # starts the process
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    data, before = path.read_bytes(), used()\n"
        "    said = [reason(ask, data) for ask in (ask_facts, ask_pixels)]\n"
        "    seconds, peak = used() - before, 0\n"
        "    for pid in ('self', _pool._all[0]._child.pid):\n"
        "        status = Path(f'/proc/{pid}/status').read_text()\n"
        "        peak += int(status.split('VmHWM:')[1].split()[0])\n"
        "    print(path.name, peak // 1024, seconds, said[0] == said[1], said[0], sep='|')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    for line in lines:
        name, mebibytes, seconds, same, reason = line.split("|")
        assert int(mebibytes) < 300, name  # of both processes, and of all files so far
        assert float(seconds) < 1, name
        assert same == "True"
        assert "claim" in reason, name


def test_a_decoder_that_takes_more_than_its_file_claims_is_stopped() -> None:
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "import numpy as np\n"
        "from medtransfer.data.images.dicom.decoder_process import FLOOR_BYTES, limit_process\n"
        "limit_process(FLOOR_BYTES, 10)\n"
        "np.zeros(FLOOR_BYTES // 2, np.uint8)\n"
        "try: np.zeros(2 * FLOOR_BYTES, np.uint8)\n"
        "except MemoryError: print('stopped')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "stopped\n"


@pytest.mark.slow
def test_a_decoder_that_takes_too_long_is_stopped() -> None:
    code = (
        "from medtransfer.data.images.dicom.decoder_process import limit_process\n"
        "limit_process(10**9, 1)\n"
        "while True: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == -signal.SIGXCPU


def test_pictures_of_all_the_pixels_that_are_allowed_are_unpacked() -> None:
    side = 3000
    stream = zeros_j2k(side)
    data = dicom(packed(np.zeros((side, side), np.uint8), [stream], 8), files.J2K_LOSSLESS)
    assert ask_pixels(data, side * side).shape == (side, side)


def test_an_interrupted_question_leaves_no_half_answer() -> None:
    pool = decoder_pool.Pool()
    pool.ask("pixels", GREY, LIMIT, None)
    first = pool._all[0]
    receive = first._receive

    def interrupted(size: int, deadline: float) -> bytearray:
        raise KeyboardInterrupt

    first._receive = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        pool.ask("pixels", GREY, LIMIT, None)
    first._receive = receive  # type: ignore[method-assign]
    reply, content = pool.ask("facts", GREY, LIMIT, None)
    assert reply["channels"] == 1
    assert not content
    pool.close()


# ---- the decoder that misreads


def test_files_of_the_jpeg_families_are_refused_while_the_misreader_is_installed(
    tmp_path: Path,
) -> None:
    (tmp_path / "libjpeg").mkdir()
    (tmp_path / "libjpeg" / "__init__.py").write_text("__version__ = '2.5.0'\n")
    about = tmp_path / "pylibjpeg_libjpeg-2.5.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: pylibjpeg-libjpeg\nVersion: 2.5.0\n")
    stored = slope(top=255, dtype=np.uint8)
    jpeg = dicom(packed(stored, [files.jpeg_lossless(stored, 8)], 8), files.LOSSLESS_SV1)
    for name, data in (("jpeg", jpeg), ("grey", GREY)):
        (tmp_path / f"{name}.dcm").write_bytes(data)
    code = (
        "import sys; from pathlib import Path\n"
        "from medtransfer.data.images.decode import decode\n"
        "from medtransfer.data.images.dicom.transfer_syntaxes import SYNTAXES, reason_unreadable\n"
        "from medtransfer.errors import ImageError\n"
        "print(decode(Path('grey.dcm').read_bytes(), 10**6).shape)\n"
        "try: decode(Path('jpeg.dcm').read_bytes(), 10**6)\n"
        "except ImageError as error: print(error)\n"
        "bad = {s.family for s in SYNTAXES.values() if reason_unreadable(s)}\n"
        "print(*sorted(bad))\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        check=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    grey, refused, families = done.stdout.splitlines()
    assert grey == "(12, 20)"
    assert refused.startswith("is stored as JPEG Lossless SV1, which cannot be read here: ")
    assert "pip uninstall pylibjpeg-libjpeg" in refused
    assert families == "jpeg jpeg-ls"
