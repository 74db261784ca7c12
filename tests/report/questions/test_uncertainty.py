"""Figures of the section on uncertainty."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from tests.prediction_tables import Site
from tests.report.ladders import AWAY, HOME, SMALL, Ladder, write_evaluation

from medtransfer.report.components import Figure, figures_of
from medtransfer.report.formats.figure_files import figure_numbers
from medtransfer.report.questions import uncertainty
from medtransfer.report.reading import load_evaluation_data
from medtransfer.tables.results import Curve, read_curve_tables

SITES = {
    HOME: Site({"tune": 40, "test": 60}, separation=2.0),
    AWAY: Site({"test": 60}, separation=1.6),
}
LADDER = Ladder(noise={SMALL: 1.0}, sites=SITES)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_evaluation(LADDER, tmp_path_factory.mktemp("evaluated"))


def drawn(folder: Path, *kinds: Curve, without: str = "") -> Figure:
    """The first figure that is made of some kinds of curves.

    Args:
        folder: Of the evaluation.
        kinds: Of curves.
        without: Cohort that has no flexible curve, as if its probabilities were all the same.
    """
    data = load_evaluation_data(folder)
    curves = {kind: data.curves[kind] for kind in kinds}
    if "calibration" in curves:
        curves["calibration"] = curves["calibration"].filter(pl.col("cohort") != without)
    section = uncertainty.section(replace(data, curves=curves))
    return next(figures_of(section.parts))


def test_reliability_has_bins_and_the_flexible_curve_of_each_hospital(evaluated: Path) -> None:
    figure = drawn(evaluated, "reliability", "calibration")
    points = figure_numbers(figure)
    curves = read_curve_tables(evaluated / "curves")
    for cohort in (HOME, AWAY):
        smooth = points.filter(cohort=cohort, dash=uncertainty.FLEXIBLE, panel="uncalibrated")
        table = curves["calibration"].filter(cohort=cohort, series="none")
        assert smooth["y"].to_list() == pytest.approx(table["y"].to_list(), abs=1e-4)
        bins = points.filter(pl.col("bin").is_not_null(), cohort=cohort, panel="uncalibrated")
        counted = curves["reliability"].filter(cohort=cohort, series="none")
        assert bins["count"].to_list() == counted["count"].to_list()
    assert uncertainty.FLEXIBLE in figure.svg
    assert "is the ICI in the table" in figure.caption
    assert "No curve" not in figure.caption


def test_a_study_scored_earlier_has_bins_alone(evaluated: Path) -> None:
    figure = drawn(evaluated, "reliability")
    assert uncertainty.FLEXIBLE not in figure.svg
    assert "Solid line" not in figure.caption
    assert "bin" not in figure_numbers(figure).columns


def test_a_hospital_without_a_curve_is_named_with_its_reason(evaluated: Path) -> None:
    caption = drawn(evaluated, "reliability", "calibration", without=AWAY).caption
    assert f"No curve for {AWAY}: its probabilities span less than 1% in all seeds." in caption
    assert f"No curve for {HOME}" not in caption


def test_the_share_left_to_people_stands_below_the_share_answered(evaluated: Path) -> None:
    figure = drawn(evaluated, "risk_coverage")
    assert "left to people (lower numbers)" in figure.svg
    texts = [text for text in re.sub("<[^>]*>", "\n", figure.svg).split("\n") if text]
    pairs = list(pairwise(texts))
    assert pairs.count(("80%", "20%")) == pairs.count(("20%", "80%")) == 2  # in both panels
    data = load_evaluation_data(evaluated)
    for cohort in (HOME, AWAY):
        every, sure = (
            data.result_row(SMALL, cohort, name) for name in ("accuracy", "accuracy_at_coverage80")
        )
        assert every is not None
        assert sure is not None
        words = f"{1 - sure['value']:.0%} of the rest at {cohort} ({1 - every['value']:.0%} of all"
        assert words in figure.caption
