"""Figures are drawn in a process of their own: no label costs a report."""

from collections.abc import Generator

import pytest

from medtransfer.report import drawing
from medtransfer.report.components import Spec
from medtransfer.report.drawing import Drawer, printable_texts
from medtransfer.report.figures import Axis, intervals

ENDING = (
    "import sys, json\n"
    "for line in sys.stdin:\n"
    "    if 'deadly' in line: sys.exit(134)\n"
    "    print(json.dumps('<svg/>'), flush=True)\n"
)


@pytest.fixture
def drawer() -> Generator[Drawer]:
    made = Drawer()
    yield made
    made.close()


def spec(cohort: str) -> Spec:
    values = [{"row": "a", "cohort": cohort, "value": 0.7, "low": 0.6, "high": 0.8}]
    return intervals(values, Axis("AUROC"), rows=["a"], cohorts=[cohort])


def test_a_control_character_in_a_name_is_drawn_as_a_replacement(drawer: Drawer) -> None:
    svg = drawer.draw(spec("hospital\x0bb"))
    assert svg is not None
    assert "hospital\ufffdb" in svg
    assert drawer.draw(spec("hospital b")) is not None


def test_a_figure_that_ends_its_process_costs_only_itself(
    drawer: Drawer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "COMMAND", ("-c", ENDING))
    assert drawer.draw({"title": "a"}) == "<svg/>"
    assert drawer.draw({"title": "deadly"}) is None
    assert drawer.draw({"title": "b"}) == "<svg/>"


def test_a_figure_that_takes_for_ever_is_left_out(
    drawer: Drawer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "COMMAND", ("-c", "import time; time.sleep(100)"))
    monkeypatch.setattr(drawing, "SECONDS", 0.1)
    assert drawer.draw({"title": "a"}) is None


def test_what_cannot_stand_in_svg_is_replaced_and_the_rest_stays() -> None:
    text = "\x00a\x1bé\ud800\ufffe\u202e日\t"
    assert printable_texts({text: [text, 1, None]}) == {
        "\ufffda\ufffdé\ufffd\ufffd\u202e日\t": ["\ufffda\ufffdé\ufffd\ufffd\u202e日\t", 1, None]
    }
