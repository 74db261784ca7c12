"""Static figures, drawn in a process of their own.

The chart library ends its process on some texts, for example on a control character in the name of
a cohort. A label must not cost a report: the figure is left out, and the page says so.
"""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Generator
from typing import Any, cast

from medtransfer.report.components import Spec

SECONDS = 120.0
"""Longest time that one figure may take."""
# controls but tab and new line, surrogates, and the last two code points of each plane
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff"
    + "".join(
        chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)
    )
    + "]"
)
"""Characters that are none of XML 1.0, or controls."""
COMMAND = ("-P", "-m", "medtransfer.report.drawing")


class Drawer:
    """A process that draws figures, started with the first and again after it was lost."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def draw(self, spec: Spec) -> str | None:
        """Draw one figure as SVG; None if it cannot be drawn."""
        process = self._start()
        try:
            assert process.stdin is not None  # noqa: S101 — pipes were asked for
            assert process.stdout is not None  # noqa: S101 — pipes were asked for
            with _ending(process):
                process.stdin.write(json.dumps(printable_texts(spec)) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            svg = json.loads(line)
            return svg if isinstance(svg, str) else None
        except (OSError, ValueError):  # it is gone, or was ended
            self.close()
            return None

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _start(self) -> "subprocess.Popen[str]":
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603 — our own module
                [sys.executable, *COMMAND],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
        return self._process


@contextlib.contextmanager
def _ending(process: "subprocess.Popen[str]") -> Generator[None]:
    """While inside, end a process that takes too long."""
    from threading import Timer

    timer = Timer(SECONDS, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def printable_texts(value: Any) -> Any:
    """A specification whose texts hold no character that cannot stand in SVG."""
    if isinstance(value, str):
        return UNPRINTABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        pairs = cast("Spec", value).items()
        return {printable_texts(name): printable_texts(item) for name, item in pairs}
    if isinstance(value, list | tuple):
        return [printable_texts(item) for item in cast("list[Any]", value)]
    return value


def main() -> None:
    """Draw the figures of standard input, one a line, and write one line for each."""
    import vl_convert

    for line in sys.stdin:
        try:
            svg = vl_convert.vegalite_to_svg(json.loads(line), allowed_base_urls=[])
        except ValueError:
            svg = None
        sys.stdout.write(json.dumps(svg) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
