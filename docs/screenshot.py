"""Pictures of a report's first screen for the README, one light and one dark.

    python docs/screenshot.py medtransfer-demo/report.html

The report must hold phantom data only: the pictures are committed.
"""

import argparse
from pathlib import Path
from typing import Literal, get_args

from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
WIDTH, HEIGHT = 1200, 1360
COLOURS = 128
Scheme = Literal["light", "dark"]
CHARTS_ARE_DRAWN = "document.querySelectorAll('figure .static').length === 0"


def take_screenshots(
    report: Path, folder: Path = IMAGES, browser_path: str = CHROMIUM, *, name: str = "report"
) -> dict[Scheme, Path]:
    """Write `NAME-light.png` and `NAME-dark.png` into a folder.

    Args:
        report: The report's HTML file.
        folder: Created if it is missing.
        browser_path: The Chromium that renders the page.
        name: Of the pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[Scheme, Path] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(FLAGS))
        for scheme in get_args(Scheme):
            tab = browser.new_page(color_scheme=scheme, viewport={"width": WIDTH, "height": HEIGHT})
            tab.goto(report.resolve().as_uri())
            tab.wait_for_function(CHARTS_ARE_DRAWN)
            pictures[scheme] = folder / f"{name}-{scheme}.png"
            tab.screenshot(path=pictures[scheme])
            tab.close()
            with Image.open(pictures[scheme]) as picture:
                # text and few colours: a palette serves. Median cut, the default, would give the
                # small marks of two hospitals one colour.
                small = picture.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
                small.save(pictures[scheme], optimize=True)
        browser.close()
    return pictures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("--folder", type=Path, default=IMAGES)
    arguments = parser.parse_args()
    for picture in take_screenshots(arguments.report, arguments.folder).values():
        print(picture)
