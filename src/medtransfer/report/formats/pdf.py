"""PDF of a report, printed by a headless Chromium that is installed on the machine."""

import html
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from medtransfer.errors import StudyError
from medtransfer.files import write_text

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 300.0
"""Longest time that printing may take."""
OPTIONS = (
    "--headless",
    "--no-sandbox",  # the page is our own and holds no script when it is printed
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--no-pdf-header-footer",
    "--generate-pdf-document-outline",
)
SHEET = """@page { size: A4; margin: 14mm 12mm 16mm; font: 9px sans-serif; color: #5a6472;
  @bottom-left { content: "%s" }
  @bottom-right { content: counter(page) " / " counter(pages) } }
"""


def find_browser() -> str:
    """Path of a Chromium.

    Raises:
        StudyError: None is installed.
    """
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise StudyError(
        "No PDF was written: it is printed by Chromium, and none of "
        f"{', '.join(BROWSERS)} is installed. Install one, or open report.html in any browser and "
        "print it."
    )


def pdf_of(page: str, title: str) -> bytes:
    """The page as PDF, with page numbers and an outline of its headings.

    Args:
        page: HTML of a report.
        title: At the foot of every sheet.

    Raises:
        StudyError: No Chromium is installed, or it could not print.
    """
    browser = find_browser()
    with tempfile.TemporaryDirectory(prefix="medtransfer-pdf-") as folder:
        source, out = Path(folder) / "report.html", Path(folder) / "report.pdf"
        write_text(source, printable(page, title))
        command = [browser, *OPTIONS, f"--user-data-dir={folder}/profile"]
        command += [f"--print-to-pdf={out}", source.as_uri()]
        try:
            done = subprocess.run(  # noqa: S603 — a browser of the PATH on our own page
                command, capture_output=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise StudyError(f"No PDF was written: {browser} took over {SECONDS:g} s.") from error
        if done.returncode != 0 or not out.is_file():
            raise StudyError(
                f"No PDF was written: {browser} ended with code {done.returncode}. Open "
                "report.html in a browser and print it."
            )
        return out.read_bytes()


def printable(page: str, title: str) -> str:
    """The page without scripts, whose charts stay as drawn, and with numbered sheets."""
    still = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    named = re.sub(r'["\\\n<>]', " ", html.unescape(title))
    return still.replace("</style>", f"{SHEET % named}</style>", 1)
