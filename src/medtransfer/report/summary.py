"""The five answers, in words that match the interval."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from medtransfer.evaluation.fairness import GAP, GAP_P
from medtransfer.evaluation.means import HEADLINE
from medtransfer.report.content import Content
from medtransfer.tables.results import ALL

SMALL = 0.05
"""P-values below are called shown."""


@dataclass(frozen=True)
class Answer:
    """One card.

    Attributes:
        question: What was asked.
        sentence: What the numbers say.
        studied: False where the study did not look.
    """

    question: str
    sentence: str
    studied: bool = True


def answers(content: Content) -> list[Answer]:
    """One card per question of the study."""
    best = best_rung(content)
    return [
        _transfer(content, best),
        _shift(content, best),
        _labels(content),
        _fairness(content, best),
        _uncertainty(content, best),
    ]


def best_rung(content: Content) -> str:
    """The rung with the best mean AUROC on the internal test at the full label fraction."""
    rows = content.overall(HEADLINE, content.full)
    rows = rows.filter((pl.col("cohort") == content.places[0]) & pl.col("value").is_not_null())
    if rows.is_empty():
        return content.study.reference_rung
    return str(rows.sort("value", descending=True)["rung"][0])


def interval_text(row: dict[str, Any] | None, digits: int = 2) -> str:
    """``0.87 [0.76, 0.96]``, or why there is no number."""
    if row is None:
        return "–"
    value = row.get("value", row.get("difference"))
    if value is None:
        return f"undefined ({row.get('reason') or 'no value'})"
    if row["low"] is None or row["high"] is None:
        return f"{value:.{digits}f} [no interval]"
    return f"{value:.{digits}f} [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"


def p_text(p: float | None) -> str:
    """``p < 0.01`` or ``p = 0.08``; nothing where there is none."""
    if p is None:
        return ""
    return "p < 0.01" if p < 0.01 else f"p = {p:.2f}"


def _transfer(content: Content, best: str) -> Answer:
    question = "Transfer: which rung is better, and by how much?"
    reference, place = content.study.reference_rung, content.places[0]
    others = [rung.name for rung in content.rungs if rung.name != reference]
    if not others:
        value = interval_text(content.number(reference, place, HEADLINE))
        return Answer(question, f"Only {reference} was run: AUROC {value} on {place}.")
    rung = best if best != reference else _closest(content, others, place)
    row = content.comparison(rung, place, HEADLINE)
    if row is None or row["difference"] is None or row["low"] is None:
        return Answer(question, f"{rung} and {reference} could not be compared on {place}.")
    among = f", the best of {len(others)} compared with it," if len(others) > 1 else ""
    gap = f"{abs(row['difference']):.3f} AUROC"
    ends = f"[{row['low']:.3f}, {row['high']:.3f}]"
    p = p_text(row["p_holm"])
    if row["low"] > 0 and (row["p_holm"] or 0) < SMALL:
        said = f"On {place}, {rung}{among} is better than {reference} by {gap} {ends}, {p}."
    elif row["high"] < 0 and (row["p_holm"] or 0) < SMALL:
        low, high = -row["high"], -row["low"]
        said = (
            f"On {place}, {rung} is worse than {reference} by {gap} [{low:.3f}, {high:.3f}], {p}."
        )
    else:
        said = (
            f"On {place}, no difference between {rung} and {reference} could be shown "
            f"({row['difference']:+.3f} {ends}, {p})."
        )
    return Answer(question, said)


def _shift(content: Content, best: str) -> Answer:
    question = "Shift: how does it hold at another hospital?"
    if not content.shifted:
        return Answer(question, "Not studied: all cohorts were trained on.", studied=False)
    said: list[str] = []
    for cohort in content.shifted[:3]:
        value = content.number(best, cohort, HEADLINE)
        drop = content.number(best, cohort, f"{HEADLINE}_drop")
        text = f"At {cohort}, {best} reaches AUROC {interval_text(value)}"
        if drop is not None and drop["value"] is not None and drop["low"] is not None:
            ends = f"{abs(drop['value']):.2f} [{drop['low']:.2f}, {drop['high']:.2f}]"
            if drop["low"] > 0:
                text += f", {ends} below {content.inside}"
            elif drop["high"] < 0:
                text += f", above {content.inside} by {-drop['value']:.2f}"
            else:
                text += f"; no drop from {content.inside} could be shown ({interval_text(drop)})"
        said.append(text + _shift_difference(content, best, cohort) + ".")
    if len(content.shifted) > 3:
        said.append(f"{len(content.shifted) - 3} more cohorts are below.")
    return Answer(question, " ".join(said))


def _shift_difference(content: Content, best: str, cohort: str) -> str:
    row = content.comparison(best, cohort, HEADLINE)
    if row is None or row["low"] is None:
        return ""
    reference = content.study.reference_rung
    ends = f"{row['difference']:+.2f} [{row['low']:.2f}, {row['high']:.2f}]"
    if row["low"] > 0:
        return f"; there too it is better than {reference} ({ends})"
    if row["high"] < 0:
        return f"; there it is worse than {reference} ({ends})"
    return f"; there no difference from {reference} could be shown ({ends})"


def _labels(content: Content) -> Answer:
    question = "Data efficiency: how many labels does pre-training save?"
    reference = content.study.reference_rung
    rows = content.overall("labels_saved").filter(pl.col("cohort") == content.places[0])
    if rows.is_empty():
        why = "one label fraction" if len(content.fractions) < 2 else "one rung"
        return Answer(question, f"Not studied: only {why} was run.", studied=False)
    rows = rows.sort("value", descending=True, nulls_last=True)
    row = rows.row(0, named=True)
    if row["value"] is None:
        said = (
            f"No rung reaches the full-data AUROC of {reference} on {content.places[0]} with "
            "fewer labels."
        )
        return Answer(question, said)
    least = str(row["reason"] or "").startswith("at least")
    needed = f"{1 - row['value']:.0%} of the labels{', the smallest share run, or fewer' * least}"
    ends = ["not bounded" if row[end] is None else f"{row[end]:.0%}" for end in ("low", "high")]
    saved = f"{'at least ' * least}{row['value']:.0%} saved [{ends[0]}, {ends[1]}]"
    said = (
        f"On {content.places[0]}, {row['rung']} reaches the full-data AUROC of {reference} with "
        f"{needed}: {saved}."
    )
    return Answer(question, said)


def _fairness(content: Content, best: str) -> Answer:
    question = "Fairness: whom does it serve worse?"
    gaps = content.results.filter(
        (pl.col("rung") == best)
        & (pl.col("label_fraction") == content.full)
        & (pl.col("cohort") == content.places[0])
        & (pl.col("metric").is_in([HEADLINE + GAP, HEADLINE + GAP_P]))
        & (pl.col("attribute") != ALL)
    )
    if gaps.is_empty():
        return Answer(question, "Not studied: no attribute was named.", studied=False)
    table = gaps.group_by("attribute", "metric").agg(pl.col("value").median())
    wide = table.pivot(on="metric", index="attribute", values="value")
    defined = wide.drop_nulls().sort(HEADLINE + GAP_P) if len(wide.columns) == 3 else wide.clear()
    if defined.is_empty():
        return Answer(question, "No attribute has two groups large enough to compare.")
    row = defined.row(0, named=True)
    gap, p = row[HEADLINE + GAP], row[HEADLINE + GAP_P]
    count = len(defined)
    p_all = min(1.0, p * count)
    note = f"{p_text(p_all)} after correction for {count} attributes" if count > 1 else p_text(p)
    verdict = "shown" if p_all < SMALL else "not shown, not ruled out"
    worst = _worst(content, best, str(row["attribute"]))
    said = (
        f"By {row['attribute']}, the AUROC of {best} on {content.places[0]} differs by "
        f"{gap:.2f} between groups{worst}, {note}: {verdict}."
    )
    return Answer(question, said)


def _worst(content: Content, rung: str, attribute: str) -> str:
    rows = content.means.filter(
        (pl.col("rung") == rung)
        & (pl.col("label_fraction") == content.full)
        & (pl.col("cohort") == content.places[0])
        & (pl.col("attribute") == attribute)
        & (pl.col("metric") == HEADLINE)
        & pl.col("value").is_not_null()
    )
    if rows.is_empty():
        return ""
    row = rows.sort("value").row(0, named=True)
    return f" (lowest: {row['group']}, {interval_text(row)}, {row['num_cases']} cases)"


def _uncertainty(content: Content, best: str) -> Answer:
    question = "Uncertainty: can its probabilities be trusted?"
    place = content.places[0]
    before = content.number(best, place, "ece")
    after = content.number(best, place, "ece_scaled")
    said = f"On {place}, the calibration error (ECE) of {best} is {interval_text(before)}"
    if after is not None and after["value"] is not None:
        said += f", and {interval_text(after)} after temperature scaling on tune"
    for cohort in content.shifted[:2]:
        carried = content.number(best, cohort, "ece_scaled")
        if carried is not None and carried["value"] is not None:
            said += f"; with the same temperature {interval_text(carried)} at {cohort}"
    return Answer(question, said + ".")


def _closest(content: Content, others: list[str], place: str) -> str:
    """The best of the other rungs."""
    values = {name: content.number(name, place, HEADLINE) for name in others}
    return max(others, key=lambda name: (values[name] or {}).get("value") or -1.0)
