"""The gallery of the documentation: its pictures are those of reports that are made today."""

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest
from PIL import Image

from medtransfer.report.charts.style import PALETTE
from medtransfer.tables.predictions import check_predictions

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "gallery.md"
IMAGES = ROOT / "docs" / "images" / "gallery"
NAMES = ("chest", "retina", "phantom")
MAX_BYTES = 200_000
NUMBER = re.compile(r"\d+(?:\.\d+)?")
TOLERANCE = 0.02
"""Of a number of another processor, and 2 of a whole number or percentage."""


@pytest.fixture(scope="module")
def gallery() -> Iterator[ModuleType]:
    """`docs/gallery.py`; docs is no package."""
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "gallery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gallery"] = module  # dataclasses look for the module of a class
    spec.loader.exec_module(module)
    yield module
    del sys.modules["gallery"]


def test_the_page_shows_every_example_with_its_report(gallery: ModuleType) -> None:
    assert tuple(example.name for example in gallery.EXAMPLES) == NAMES
    text = PAGE.read_text("utf-8")
    pictures = re.findall(r'(?:src|srcset)="([^"]+)"', text)
    assert sorted(pictures) == sorted(
        f"images/gallery/{name}-{scheme}.png" for name in NAMES for scheme in ("light", "dark")
    )
    for path in pictures:
        assert 0 < (PAGE.parent / path).stat().st_size < MAX_BYTES, path
    assert re.findall(r'href="([^"]+)"', text) == [f"gallery/{name}.html" for name in NAMES]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_of_three_hospitals_survive_the_small_palette(scheme: str) -> None:
    with Image.open(IMAGES / f"chest-{scheme}.png") as picture:
        colours = picture.convert("RGB").getcolors()
    assert colours is not None
    seen = np.array([colour for _, colour in colours])
    for name in PALETTE[:3]:
        wanted = [int(name[start : start + 2], 16) for start in (1, 3, 5)]
        assert np.abs(seen - wanted).max(axis=1).min() <= 2, name


def test_its_tables_are_predictions_of_made_cases_alone(gallery: ModuleType) -> None:
    for example in gallery.EXAMPLES:
        table = example.table()
        assert check_predictions(table.drop(example.attributes)) == []
        per_case = table.group_by("case_id").agg(pl.col(n).n_unique() for n in example.attributes)
        assert per_case.drop("case_id").max().row(0) == (1,) * len(example.attributes)
        assert {"tune", "test"} == set(table["split"])


def compared(text: str) -> tuple[str, list[float]]:
    return NUMBER.sub("#", text), [float(number) for number in NUMBER.findall(text)]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_its_pictures_are_current(gallery: ModuleType, name: str, tmp_path: Path) -> None:
    (example,) = (example for example in gallery.EXAMPLES if example.name == name)
    shown = json.loads((IMAGES / gallery.PAGES).read_text("utf-8"))[name]
    made = gallery.first_page(gallery.make_report(example, tmp_path))
    assert list(made) == list(shown)
    for part, sentences in made.items():
        for new, old in zip(sentences, shown[part], strict=True):
            words, numbers = compared(new)
            old_words, old_numbers = compared(old)
            assert words == old_words, "stale: run python docs/gallery.py --pictures"
            for number, before in zip(numbers, old_numbers, strict=True):
                is_whole = number.is_integer() and before.is_integer()
                assert number == pytest.approx(before, abs=2 if is_whole else TOLERANCE)


def test_a_built_site_gets_reports_and_pictures(
    gallery: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "report.html"
    report.write_text("<html>", "utf-8")
    report.chmod(0o600)
    monkeypatch.setattr(gallery, "make_report", lambda _example, _folder: report)
    gallery.write_site(tmp_path / "site")
    for path in re.findall(r'(?:src|srcset|href)="([^"]+)"', PAGE.read_text("utf-8")):
        assert (tmp_path / "site" / path).is_file(), path
    served = (tmp_path / "site" / "gallery" / "chest.html").stat().st_mode
    assert served & 0o044, "a web server must be able to read it"
