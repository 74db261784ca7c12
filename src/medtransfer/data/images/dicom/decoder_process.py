"""Process that reads DICOM files. It receives them on its input, one after the other.

Decoders are C and C++ code that processes files from outside. So they run in a process whose memory
and time are limited by what a file claims, which cannot write a file, and whose death costs no more
than that file. Nothing leaves it but facts and pixels. `decoder_pool` starts it with `python -m`; a
message is its length in 4 bytes, JSON, and as many bytes as the JSON says.
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
from typing import BinaryIO

import numpy as np

from medtransfer.data.images.dicom.elements import DAMAGE
from medtransfer.data.images.dicom.facts import DicomHeader, Reply, Request
from medtransfer.data.images.dicom.reader import frame_comparison, frame_facts, frame_pixels
from medtransfer.errors import ImageError

IDLE_SECONDS = 60.0
"""The process ends after this long without a file; the pool starts a new one when needed."""
FLOOR_BYTES = 160 * 2**20
VALUE_BYTES = 48
"""Memory allowed for each value that a header claims: copies of the code stream (JPEG 2000 needs
8), the decoder's text (GDCM needs 6), and floats if colours are converted."""
FILE_COPIES = 6
FLOOR_SECONDS = 10
SECONDS_PER_MEGAPIXEL = 2
DECODERS = ("gdcm", "openjpeg.utils", "rle.utils")


def main() -> None:
    """Answer requests until the input ends."""
    logging.disable(logging.CRITICAL)
    out = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)  # decoders may print parts of a file
    os.dup2(nowhere, 2)
    for name in DECODERS:  # now: the memory limit of a small file has no room for a library
        with contextlib.suppress(ImportError):
            import_module(name)
    for what in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(what, (0, 0))
    listen(sys.stdin.buffer, lambda content: _send(out, content))


def listen(requests: BinaryIO, send: Callable[[bytes | memoryview], None]) -> None:
    """Answer requests until the input ends, or none comes for `IDLE_SECONDS`."""
    while select.select([requests], [], [], IDLE_SECONDS)[0]:
        size = requests.read(4)
        if len(size) < 4:
            return
        request: Request = json.loads(requests.read(struct.unpack(">L", size)[0]))
        limit_process(FLOOR_BYTES + FILE_COPIES * request["size"], FLOOR_SECONDS)
        reply, content = answer(request, requests.read(request["size"]))
        message = json.dumps({**reply, "size": len(content)}).encode()
        send(struct.pack(">L", len(message)) + message)
        send(content)


def answer(request: Request, data: bytes) -> tuple[Reply, memoryview]:
    """Facts, pixels or the comparison of one file, or the reason why they cannot be had."""
    try:
        if request["want"] == "facts":
            return asdict(frame_facts(data, request["limit"], request["frame"])), memoryview(b"")
        if request["want"] == "comparison":
            comparison = frame_comparison(data, request["limit"], request["frame"], _allow)
            return asdict(comparison), memoryview(b"")
        pixels = frame_pixels(data, request["limit"], request["frame"], _allow)
    except ImageError as error:
        return {"reason": str(error)}, memoryview(b"")
    except MemoryError:
        return {"reason": "ran out of memory while being unpacked"}, memoryview(b"")
    except DAMAGE as error:
        return {"reason": f"cannot be read ({type(error).__name__})"}, memoryview(b"")
    array = {"shape": pixels.shape, "dtype": pixels.dtype.name}
    return array, pixels.view(np.uint8).reshape(-1).data


def limit_process(more_bytes: int, more_seconds: int) -> None:
    """Limit this process to some more memory and some more seconds of CPU time."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size, (_, hard_limit) = pages * resource.getpagesize(), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + more_bytes, hard_limit))
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = math.ceil(used.ru_utime + used.ru_stime) + more_seconds
    _, hard_limit = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard_limit))


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
