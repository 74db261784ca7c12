"""The README's pictures of a report: files that exist, and the script that makes them."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
MAX_BYTES = 250_000


@pytest.fixture
def screenshot() -> ModuleType:
    """`docs/screenshot.py`; docs is no package."""
    spec = importlib.util.spec_from_file_location("screenshot", ROOT / "docs" / "screenshot.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_shows_pictures_that_exist_and_are_small() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    paths = re.findall(r'(?:src|srcset)="([^":]+)"', text)
    assert {"docs/images/report-light.png", "docs/images/report-dark.png"} <= set(paths)
    for path in paths:
        picture = ROOT / path
        assert picture.is_file(), path
        assert picture.stat().st_size < MAX_BYTES


@pytest.mark.slow
@pytest.mark.browser
def test_the_script_takes_a_light_and_a_dark_picture(
    chromium: str, screenshot: ModuleType, page: Path, tmp_path: Path
) -> None:
    pictures = screenshot.take_screenshots(page, tmp_path / "images", chromium)
    assert {path.name for path in pictures.values()} == {"report-light.png", "report-dark.png"}
    brightness: dict[str, int] = {}
    for scheme, path in pictures.items():
        with Image.open(path) as image:
            assert image.size == (screenshot.WIDTH, screenshot.HEIGHT)
            brightness[scheme] = int(np.asarray(image.convert("L"))[2, 2])
    assert brightness["dark"] < 64 < 192 < brightness["light"]
