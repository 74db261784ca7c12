"""Small pictures of the first page."""

import re

from medtransfer.report.front_page.facts import CurvePoint, Quantity
from medtransfer.report.front_page.pictures import auroc_scale, curve_pictures, interval_picture


def test_a_dot_lies_inside_its_interval_and_says_its_numbers() -> None:
    svg = interval_picture(Quantity(0.8, 0.7, 0.9), "AUROC at <north>", 0.5, 1.0)
    drawn = re.search(r'<line x1="([\d.]+)" x2="([\d.]+)".*<circle cx="([\d.]+)"', svg)
    assert drawn is not None
    left, right, dot = map(float, drawn.groups())
    assert left < dot < right
    assert "<title>AUROC at &lt;north&gt;: 0.80, 95% interval 0.70 to 0.90</title>" in svg


def test_nothing_is_drawn_of_an_undefined_number() -> None:
    assert interval_picture(Quantity(None), "AUROC", 0.5, 1.0) == ""


def test_the_scale_holds_every_interval() -> None:
    assert auroc_scale([Quantity(0.8, 0.7, 0.9)]) == (0.5, 1.0)
    assert auroc_scale([Quantity(0.4, 0.33, 0.6), Quantity(None)]) == (0.3, 1.0)


def test_a_curve_rises_with_its_values() -> None:
    points = [CurvePoint("r", f, Quantity(v)) for f, v in ((0.1, 0.6), (1.0, 0.9))]
    ((name, svg),) = curve_pictures(points, "r")
    assert name == "r"
    places = re.search(r'points="([\d.]+),([\d.]+) ([\d.]+),([\d.]+)"', svg)
    assert places is not None
    x0, y0, x1, y1 = map(float, places.groups())
    assert x0 < x1
    assert y0 > y1  # up is less
    assert 'class="level"' in svg
