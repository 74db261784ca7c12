"""Figures of adaptation: every way by the patients that it was fitted on."""

from collections.abc import Sequence
from dataclasses import replace

from tests.report.hand_made import areas, report_data

from medtransfer.evaluation.comparison.adaptation.table import AdaptRow, adapt_frame
from medtransfer.report.beside.adaptation import adaptation_passage
from medtransfer.report.components import Component, Figure

NUMBERS = (25, 50, 100)


def row(arm: str, patients: int, metric: str, value: float) -> AdaptRow:
    return AdaptRow(
        RUNG,
        1.0,
        None,
        "south",
        "y",
        arm,
        patients,
        metric,
        value,
        low=value - 0.05,
        high=value + 0.05,
    )


DATA = report_data(areas())
RUNG = DATA.best


def drawn(arms: Sequence[str]) -> list[Figure]:
    rows = [row("carried", 0, metric, 0.6) for metric in ("nll", "auroc")]
    for arm in arms:
        for number in NUMBERS:
            rows += [row(arm, number, "nll", 0.5 - number / 1000), row(arm, number, "auroc", 0.7)]
    parts: list[Component] = adaptation_passage(replace(DATA, adaptation=adapt_frame(rows)))
    return [part for part in parts if isinstance(part, Figure)]


def test_ways_that_train_again_stand_beside_those_that_do_not() -> None:
    loss, auroc = drawn(["selected", "platt", "internal+shifted"])
    assert (loss.name, auroc.name) == ("adapt-nll", "adapt-auroc")
    ways = {value["dash"] for value in loss.spec["datasets"]["rows"]}
    assert ways == {"selected", "platt", "internal+shifted"}
    assert {value["level"] for value in loss.spec["datasets"]["rows"]} == {0.6}
    # a calibrator leaves the AUROC as it is
    assert {value["dash"] for value in auroc.spec["datasets"]["rows"]} == {"internal+shifted"}


def test_calibrators_alone_have_no_figure_of_auroc() -> None:
    assert [figure.name for figure in drawn(["selected", "platt"])] == ["adapt-nll"]


def test_at_most_four_ways_are_drawn() -> None:
    arms = ["threshold", "intercept", "platt", "temperature", "isotonic", "selected"]
    (loss,) = drawn(arms)
    ways = {value["dash"] for value in loss.spec["datasets"]["rows"]}
    assert len(ways) == 4
    assert "selected" in ways
    assert "threshold" not in ways  # it leaves the log loss as it is
