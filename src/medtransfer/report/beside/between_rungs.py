"""Similarity of rungs to each other after training, in the section *Why*."""

from collections.abc import Sequence

from medtransfer.report.components import Component, Fold, Heading, ReportTable
from medtransfer.report.content import Row
from medtransfer.report.text import fixed, interval_text

CAPTION = (
    "Debiased CKA of the features before the heads of every two rungs after training, mean over "
    "seeds: 1 is the same up to a rotation and one scale, 0 is unrelated. Two trainings of one "
    "network from scratch are not at 1 either."
)


def between_rungs_sentence(rows: Sequence[Row]) -> list[str]:
    """The two rungs whose features are most alike, and those whose features are least alike."""
    pairs = [row for row in _of_features(rows) if row["value"] is not None]
    if len(pairs) < 2:
        return []
    near = max(pairs, key=lambda row: row["value"])
    far = min(pairs, key=lambda row: row["value"])
    apart = None not in (near["low"], far["high"]) and near["low"] > far["high"]
    note = "" if apart else "; the intervals overlap"
    sentence = (
        f"After training, the features of {near['rung']} and {near['network']} are most alike (CKA "
        f"{interval_text(near, 2)}), those of {far['rung']} and {far['network']} least "
        f"({interval_text(far, 2)}){note}."
    )
    return [sentence]


def between_rungs_passage(rows: Sequence[Row], rungs: Sequence[str]) -> list[Component]:
    """A matrix of rungs, and folded intervals of every stage; nothing if it was not asked.

    Args:
        rows: Means over seeds of the table of understanding.
        rungs: In reading order.
    """
    pairs = [row for row in rows if row["question"] == "rung_similarity"]
    if not pairs:
        return []
    values = {(row["rung"], row["network"]): row["value"] for row in _of_features(rows)}
    values |= {(second, first): value for (first, second), value in values.items()}
    shown = [rung for rung in rungs if any(rung in pair for pair in values)]
    numbers = {rung: str(place) for place, rung in enumerate(shown, 1)}
    lines = [
        [f"{numbers[rung]}: {rung}", *(_cell(values, rung, other) for other in shown)]
        for rung in shown
    ]
    matrix = ReportTable(
        ["Rung", *numbers.values()], lines, CAPTION, frozenset(range(1, len(shown) + 1))
    )
    stages = [
        [row["rung"], row["network"], row["stage"], interval_text(row, 3)]
        for row in sorted(pairs, key=lambda row: (row["rung"], row["network"], row["number"]))
    ]
    head = ["Rung", "Other rung", "Stage, from below", "CKA"]
    return [
        Heading("Similarity between rungs"),
        matrix,
        Fold("Every stage with its interval", [ReportTable(head, stages, "", frozenset({3}))]),
    ]


def _of_features(rows: Sequence[Row]) -> list[Row]:
    return [
        row for row in rows if row["question"] == "rung_similarity" and row["stage"] == "features"
    ]


def _cell(values: dict[tuple[str, str], float | None], rung: str, other: str) -> str:
    value = values.get((rung, other))
    return "–" if value is None else fixed(value, 2)
