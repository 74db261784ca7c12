"""The process that reads DICOM files. It gets them through its input, one after the other.

Decoders are C and C++ code that is given files from outside. So they run where memory and time are
limited by what a file claims, where no file can be written, and whose death is the file's fault
alone. Nothing leaves it but facts and pixels. `workers` starts it as a module of its own; a message
is its length in 4 bytes, JSON, and as many bytes as the JSON says.
"""

import contextlib
import json
import logging
import math
import os
import resource
import select
import struct
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from medtransfer.data.images.dicom.elements import DAMAGE
from medtransfer.data.images.dicom.facts import DicomHeader
from medtransfer.data.images.dicom.reader import frame_comparison, frame_facts, frame_pixels
from medtransfer.errors import ImageError

IDLE_SECONDS = 60.0
"""After this long without a file it goes; it is started again when there is one."""
FLOOR_BYTES = 160 * 2**20
VALUE_BYTES = 48
"""Memory allowed for each value that a header claims: the code stream's own copies (JPEG 2000 needs
8), the decoder's text (GDCM needs 6), and floats where colours are mixed."""
FILE_COPIES = 6
FLOOR_SECONDS = 10
SECONDS_PER_MEGAPIXEL = 2
DECODERS = ("gdcm", "openjpeg.utils", "rle.utils")


def main() -> None:
    """Answer until the input ends."""
    logging.disable(logging.CRITICAL)
    out = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)  # what decoders print may quote a file
    os.dup2(nowhere, 2)
    for name in DECODERS:  # now: under the limit of a small file there is no room for a library
        with contextlib.suppress(ImportError):
            import_module(name)
    for what in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(what, (0, 0))
    listen(sys.stdin.buffer, lambda content: _send(out, content))


def listen(requests: BinaryIO, send: Callable[[bytes | memoryview], None]) -> None:
    """Answer requests until there are no more, or none comes for a while."""
    while select.select([requests], [], [], IDLE_SECONDS)[0]:
        size = requests.read(4)
        if len(size) < 4:
            return
        request = json.loads(requests.read(struct.unpack(">L", size)[0]))
        limit_process(FLOOR_BYTES + FILE_COPIES * request["size"], FLOOR_SECONDS)
        reply, content = answer(request, requests.read(request["size"]))
        message = json.dumps({**reply, "size": len(content)}).encode()
        send(struct.pack(">L", len(message)) + message)
        send(content)


def answer(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], memoryview]:
    """Facts, pixels or the comparison of one file, or the reason why there are none."""
    try:
        if request["want"] == "facts":
            return asdict(frame_facts(data, request["limit"], request["frame"])), memoryview(b"")
        if request["want"] == "comparison":
            found = frame_comparison(data, request["limit"], request["frame"], _allow)
            return asdict(found), memoryview(b"")
        pixels = frame_pixels(data, request["limit"], request["frame"], _allow)
    except ImageError as error:
        return {"reason": str(error)}, memoryview(b"")
    except MemoryError:
        return {"reason": "ran out of memory while being unpacked"}, memoryview(b"")
    except DAMAGE as error:
        return {"reason": f"cannot be read ({type(error).__name__})"}, memoryview(b"")
    about = {"shape": pixels.shape, "dtype": pixels.dtype.name}
    return about, pixels.view(np.uint8).reshape(-1).data


def limit_process(more_bytes: int, more_seconds: int) -> None:
    """Let this process have so much more memory, and so many more seconds of its processor."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more_bytes, most))
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = math.ceil(used.ru_utime + used.ru_stime) + more_seconds
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, most))


def _allow(header: DicomHeader) -> None:
    values = header.rows * header.columns * header.samples
    more = FLOOR_SECONDS + SECONDS_PER_MEGAPIXEL * math.ceil(values / 2**20)
    limit_process(FLOOR_BYTES + VALUE_BYTES * values, more)


def _send(out: int, content: bytes | memoryview) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(out, rest) :]


if __name__ == "__main__":
    main()
