"""Numbers in words: an interval, a p-value, a verdict that its interval bears out."""

import re
from collections.abc import Sequence
from typing import Literal

from medtransfer.metrics.catalog import CATALOG
from medtransfer.metrics.metric import POINT
from medtransfer.report.content import Row

SMALL = 0.05
"""P-values below are called shown."""
FINE = (
    "ece",
    "brier",
    "aurc",
    "threshold_drift",
    "auroc_sd",
    "calibration_bias",
    "diversity",
    "mutual_information",
    "disagreement",
)
"""Metrics that need a third decimal begin so."""
NO_BREAK = "\N{NO-BREAK SPACE}"
MARKS = "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖ"
EXTRA = {
    "auroc_delong": "AUROC, interval by DeLong",
    "auroc_curve_area": "Mean height of the curve",
    "auroc_drop": "Drop of AUROC from home",
    "equalized_odds": "Equalised odds",
}
"""Titles of numbers that are made of others and so are not in the catalogue."""
Judged = Literal["better", "worse", "not shown"]


def fixed(value: float, digits: int = 2) -> str:
    """A number with its decimals and a proper minus, never ``−0.00``."""
    return f"{value:z.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 2) -> str:
    """The same with its sign, plus or minus."""
    return f"{value:+z.{digits}f}".replace("-", "−")


def interval_text(row: Row | None, digits: int = 2) -> str:
    """``0.87 [0.76, 0.96]``, or why there is no number."""
    if row is None:
        return "–"
    value = row.get("value", row.get("difference"))
    if value is None:
        return f"undefined ({why(row.get('reason'))})"
    return f"{fixed(value, digits)} {_ends(row, digits) or '[no interval]'}"


def _ends(row: Row, digits: int) -> str:
    if row["low"] is None or row["high"] is None:
        return ""
    return f"[{fixed(row['low'], digits)}, {fixed(row['high'], digits)}]"


def why(reason: str | None) -> str:
    """Why there is no number, in few words."""
    return re.sub(r"^(\d+) of \1 targets left out: ", "", reason or "no value")


def p_text(p: float | None) -> str:
    """``p < 0.01`` or ``p = 0.08``; nothing where there is none."""
    if p is None:
        return ""
    return "p < 0.01" if p < 0.01 else f"p = {p:.2f}"


def p_cell(p: float | None) -> str:
    """A p-value in a table."""
    return p_text(p).removeprefix("p = ").removeprefix("p ") or "–"


def judged(row: Row) -> Judged:
    """What a comparison shows, where more is better: interval and corrected p must agree."""
    corrected = row["p_holm"]
    if row["low"] is None or (corrected is not None and corrected >= SMALL):
        return "not shown"
    return "better" if row["low"] > 0 else "worse" if row["high"] < 0 else "not shown"


def digits_of(metric: str) -> int:
    """Decimals that a metric is given with."""
    return 3 if metric.startswith(FINE) else 2


def metric_title(name: str) -> str:
    """A metric in words, with its operating point."""
    base, at, point = name.partition("@")
    entry = CATALOG.get(base + POINT if at else name)
    title = entry.title if entry is not None else EXTRA.get(base, base)
    return f"{title} at {point}" if at else title


def point_words(point: str) -> str:
    """An operating point in words: ``sens90`` is ``90 % sensitivity on tune``."""
    if point == "youden":
        return "the largest sum of sensitivity and specificity on tune"
    side = {"sens": "sensitivity", "spec": "specificity"}[point[:4]]
    return f"{point[4:]} % {side} on tune"


def points_text(points: Sequence[str]) -> str:
    """What short names of operating points in titles mean; nothing where there are none."""
    return "; ".join(f"{point} is the threshold of {point_words(point)}" for point in points)


def unbroken(text: str) -> str:
    """The text with spaces that no line is broken at: in intervals, p-values and percentages."""
    text = re.sub(r"\[[−–\d.,% ]+\]", lambda found: found[0].replace(" ", NO_BREAK), text)
    text = re.sub(r"\bp ([=<]) (?=\d)", rf"p{NO_BREAK}\1{NO_BREAK}", text)
    return re.sub(r"(?<=\d) %", f"{NO_BREAK}%", text)


def percent(value: float | None) -> str:
    """``42%``, or a dash."""
    return "–" if value is None else f"{value:.0%}"


def saved_text(row: Row) -> str:
    """``≥ 70% [55%, 82%]``, or ``none``."""
    if row["value"] is None:
        return "none"
    least = "≥ " if str(row["reason"] or "").startswith("at least") else ""
    return f"{least}{row['value']:.0%} [{percent(row['low'])}, {percent(row['high'])}]"


def counted(value: float | None, unit: str = "") -> str:
    """A large number: ``23.5 M``, or a dash."""
    if value is None:
        return "–"
    if value >= 1e6:
        return f"{value / 1e6:.1f} M{unit}"
    return f"{value:,.0f}{unit}"


class Cells:
    """Cells of a table, and why some are empty: said once, below it."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}

    def __call__(self, row: Row | None, digits: int = 2) -> str:
        """``0.87 [0.76, 0.96]``, a dash with a mark where there is none."""
        if row is None:
            return "–"
        value, reason = row.get("value", row.get("difference")), row.get("reason")
        ends = "" if value is None else _ends(row, digits)
        number = "–" if value is None else fixed(value, digits)
        mark = "" if not reason else self._mark(why(reason) if value is None else reason)
        return " ".join(part for part in (number, ends, mark) if part)

    @property
    def notes(self) -> list[str]:
        """What the marks mean."""
        return [f"{mark} {reason}" for reason, mark in self._marks.items()]

    def _mark(self, reason: str) -> str:
        if reason not in self._marks:
            number = len(self._marks)
            self._marks[reason] = MARKS[number] if number < len(MARKS) else f"({number + 1})"
        return self._marks[reason]
