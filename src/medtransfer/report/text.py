"""Text of a report: numbers, intervals, p-values, metric titles and short names."""

import re
from collections.abc import Sequence
from typing import Literal

from medtransfer.language.numbers import localised, word_list
from medtransfer.language.reasons import reason_text
from medtransfer.language.translation import (
    ENGLISH,
    language_in_use,
    template,
    translate,
)
from medtransfer.metrics.cases import BUDGET
from medtransfer.metrics.catalog import CATALOG, catalog_name
from medtransfer.metrics.decisions import RISK_START, is_risk
from medtransfer.posthoc.risk_control import guarantee_of
from medtransfer.report.content import Row
from medtransfer.statistics.contrasts import PATIENTS_AND_SOME
from medtransfer.statistics.sample_size import POWER, detectable_difference
from medtransfer.statistics.small_samples import NORMAL_QUANTILE

NOT_STUDIED = template("Not studied: {why}")
"""Answer to a question that a study did not address; the reason ends with a full stop."""
ALPHA = 0.05
"""Significance level."""
THREE_DECIMALS = (
    "ece",
    "brier",
    "aurc",
    "augrc",
    "ici",
    "calibration_e",
    "net_benefit",
    "threshold_drift",
    "auroc_sd",
    "calibration_bias",
    "diversity",
    "mutual_information",
    "disagreement",
)
"""Prefixes of the metrics that need a third decimal."""
NO_BREAK = "\N{NO-BREAK SPACE}"
MARKS = "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖ"
DERIVED_TITLES = {
    "auroc_delong": "AUROC (DeLong interval)",
    "auroc_curve_area": "Mean AUROC of the learning curve",
    "auroc_drop": "AUROC drop",
    "auroc_within": "AUROC within the training hospitals",
    "auroc_between": "AUROC owed to differences between them",
    "auroc_across": "AUROC, mean over such hospitals",
    "auroc_next_cohort": "AUROC at the next such hospital",
    "equalized_odds": "Equalised odds",
}
"""Titles of metrics that are derived from others and so are not in the catalogue."""
MAX_NAME = 40
"""Letters of a name that fit beside a chart and above a panel."""
Outcome = Literal["better", "worse", "not significant"]


def fixed(value: float, digits: int = 2) -> str:
    """A number with its decimals and a proper minus, never ``−0.00``."""
    return localised(f"{value:z.{digits}f}".replace("-", "−"))


def signed(value: float, digits: int = 2) -> str:
    """The same with its sign, plus or minus."""
    return f"{value:+z.{digits}f}".replace("-", "−")


def percent(value: float | None) -> str:
    """``42%``, or a dash."""
    return "–" if value is None else localised(f"{value:.0%}")


def large_number(value: float | None, unit: str = "") -> str:
    """``23.5 M`` or ``1,300``, or a dash."""
    if value is None:
        return "–"
    if value >= 1e6:
        return f"{value / 1e6:.1f} M{unit}"
    return f"{value:,.0f}{unit}"


def interval_text(row: Row | None, digits: int = 2) -> str:
    """``0.87 [0.76, 0.96]``, or the reason for a missing value."""
    if row is None:
        return "–"
    value = row.get("value", row.get("difference"))
    if value is None:
        return translate("undefined ({reason})", reason=short_reason(row.get("reason")))
    if row["low"] is None or row["high"] is None:
        return translate("{value} [no interval]", value=fixed(value, digits))
    return f"{fixed(value, digits)} {_interval(row, digits)}"


def difference_text(row: Row, digits: int = 3) -> str:
    """``−0.056 [−0.085, −0.023]`` of a paired difference; – where it is undefined."""
    if row["difference"] is None:
        return "–"
    text = signed(row["difference"], digits)
    if row["difference_low"] is None:
        return f"{text} [no interval]"
    ends = (fixed(row[f"difference_{end}"], digits) for end in ("low", "high"))
    return f"{text} [{', '.join(ends)}]"


def _interval(row: Row, digits: int) -> str:
    if row["low"] is None or row["high"] is None:
        return ""
    return bracketed(fixed(row["low"], digits), fixed(row["high"], digits))


def bracketed(low: str, high: str) -> str:
    """An interval in brackets; its ends are parted by a semicolon where decimals have a comma."""
    return translate("[{low}, {high}]", low=low, high=high)


def short_reason(reason: str | None) -> str:
    """The reason for a missing value, in few words."""
    return reason_text(re.sub(r"^(\d+) of \1 targets left out: ", "", reason or "no value"))


def saved_text(row: Row) -> str:
    """Labels saved: ``70% [55%, 82%]``, or ``none``.

    ``≥ 90% [≥ 87%]`` where the smallest label fraction is enough: it may be far more. Without a
    lower end ``≥ 90% [zero not ruled out]``.
    """
    if row["value"] is None:
        return "none"
    if str(row["reason"] or "").startswith("at least"):
        low = "zero not ruled out" if row["low"] is None else f"≥ {percent(row['low'])}"
        return f"≥ {row['value']:.0%} [{low}]"
    return f"{row['value']:.0%} [{percent(row['low'])}, {percent(row['high'])}]"


def p_text(p: float | None) -> str:
    """``p < 0.01`` or ``p = 0.08``; empty without a p-value."""
    if p is None:
        return ""
    return f"p < {localised('0.01')}" if p < 0.01 else f"p = {localised(f'{p:.2f}')}"


def p_cell(p: float | None) -> str:
    """A p-value in a table."""
    return p_text(p).removeprefix("p = ").removeprefix("p ") or "–"


def outcome(row: Row) -> Outcome:
    """Outcome of a comparison where higher is better: interval and corrected p must agree."""
    low, high, corrected = of_all_rungs(row)
    if low is None or high is None or (corrected is not None and corrected >= ALPHA):
        return "not significant"
    return "better" if low > 0 else "worse" if high < 0 else "not significant"


def of_all_rungs(row: Row) -> tuple[float | None, float | None, float | None]:
    """Interval and p-value that hold for all compared rungs at once; Holm's in older tables."""
    if row.get("p_all") is None:
        return row["low"], row["high"], row["p_holm"]
    return row["low_all"], row["high_all"], row["p_all"]


def trained(name: str, row: Row) -> str:
    """A rung as the subject of a sentence; with one seed it is one trained model that is meant."""
    once = row.get("contains") in ("patients", PATIENTS_AND_SOME)
    return f"this one trained model of {name}" if once else name


def answered_sentence(row: Row) -> str:
    """Cases that a side did not answer, and the score of the other there; empty if none."""
    coverage, of_reference = row.get("coverage"), row.get("coverage_reference")
    if coverage is None or of_reference is None or min(coverage, of_reference) >= 1:
        return ""
    shared = row["num_cases"]
    union = round(shared / (coverage + of_reference - 1)) if coverage + of_reference > 1 else None
    sentences: list[str] = []
    sides = (
        (row["rung"], coverage, row["reference"], row["rest_reference"]),
        (row["reference"], of_reference, row["rung"], row["rest"]),
    )
    for name, share, other, rest in sides:
        if share < 1 and union:
            counts = {
                "missing": localised(f"{round(union * (1 - share)):,}"),
                "union": localised(f"{union:,}"),
            }
            sentences.append(
                translate("{name} did not answer {missing} of {union} cases.", name=name, **counts)
                if rest is None
                else translate(
                    "{name} did not answer {missing} of {union} cases ({other} reaches {rest} "
                    "there).",
                    name=name,
                    other=other,
                    rest=localised(f"{rest:.2f}"),
                    **counts,
                )
            )
    sentences.append(
        translate(
            "The comparison is on the {shared} that both answered.",
            shared=localised(f"{shared:,}"),
        )
    )
    return " ".join(sentences)


def detectable(row: Row, comparisons: int = 1) -> float | None:
    """Smallest true value that such a study detects with 80% power; None without one below 1.

    From the wider half of the interval: the other may end at the metric's limit.
    """
    value, low, high = row["value"], row["low"], row["high"]
    if value is None or low is None or high is None or low == high:
        return None
    error = max(high - value, value - low) / NORMAL_QUANTILE
    amount = detectable_difference(error, comparisons=comparisons)
    return amount if amount < 1 else None  # no share and no AUROC changes by more


def detectable_text(noun: str, amount: float | None, *, as_percent: bool = False) -> str:
    """``; such a study has 80% power to detect a true drop of 0.060``; empty without an amount."""
    if amount is None:
        return ""
    size = percent(amount) if as_percent else fixed(amount, 3)
    return f"; such a study has {POWER:.0%} power to detect a true {noun} of {size}"


def digits_of(metric: str) -> int:
    """Number of decimals of a metric."""
    return 3 if metric.startswith(THREE_DECIMALS) else 2


def joined(words: Sequence[str]) -> str:
    """``a``, ``a and b`` or ``a, b and c``."""
    return word_list(words)


def metric_title(name: str) -> str:
    """A metric in words, with its operating point."""
    base, at, point = name.partition("@")
    entry = CATALOG.get(catalog_name(name))
    title = entry.title if entry is not None else DERIVED_TITLES.get(base, base)
    if at and is_risk(point):
        return f"{title} at {point.removeprefix(RISK_START)}% risk"
    return f"{title} at {point}" if at else title


def point_words(point: str) -> str:
    """An operating point in words: ``sens90`` is ``90% sensitivity on the tuning split``."""
    if point == "youden":
        return "the largest sum of sensitivity and specificity on the tuning split"
    if point.startswith(BUDGET):
        return f"at most {point.removeprefix(BUDGET)}% of the tuning split called"
    metric = {"sens": "sensitivity", "spec": "specificity"}[point[:4]]
    share = point[4:].partition("-")[0]
    match guarantee_of(point):
        case "sure":
            return f"at least {share}% {metric} of new patients in 95% of tuning splits"
        case "mean":
            return f"at least {share}% {metric} of new patients on average over tuning splits"
        case None:
            return f"{share}% {metric} on the tuning split"


def points_text(points: Sequence[str]) -> str:
    """Explanation of the operating points' short names; empty without any."""
    return "; ".join(f"{point}: threshold with {point_words(point)}" for point in points)


def unbroken(text: str) -> str:
    """The text without line breaks inside intervals, p-values and percentages."""
    if language_in_use() != ENGLISH:
        text = re.sub(r"\[[−–\d.,;% \u202f]+\]", lambda m: m[0].replace(" ", NO_BREAK), text)
    text = re.sub(r"\[[−–\d.,% ]+\]", lambda match: match[0].replace(" ", NO_BREAK), text)
    text = re.sub(r"(?<=[\d%]) (?=\[[−\d])", NO_BREAK, text)
    text = re.sub(r"\bp ([=<]) (?=\d)", rf"p{NO_BREAK}\1{NO_BREAK}", text)
    return re.sub(r"(?<=\d) %", f"{NO_BREAK}%", text)


class Cells:
    """Cells of a table; the reasons for empty ones become notes below it."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}

    def __call__(self, row: Row | None, digits: int = 2) -> str:
        """``0.87 [0.76, 0.96]``, or a dash with a mark if the value is missing."""
        if row is None:
            return "–"
        value, reason = row.get("value", row.get("difference")), row.get("reason")
        interval = "" if value is None else _interval(row, digits)
        number = "–" if value is None else fixed(value, digits)
        mark = "" if not reason else self._mark(short_reason(reason) if value is None else reason)
        return " ".join(part for part in (number, interval, mark) if part)

    @property
    def notes(self) -> list[str]:
        """Every mark with its reason."""
        return [f"{mark} {reason}" for reason, mark in self._marks.items()]

    def _mark(self, reason: str) -> str:
        if reason not in self._marks:
            number = len(self._marks)
            self._marks[reason] = MARKS[number] if number < len(MARKS) else f"({number + 1})"
        return self._marks[reason]


def short_names(names: Sequence[str], limit: int = MAX_NAME) -> dict[str, str]:
    """Every name to one of at most `limit` letters; different names stay different.

    The beginning and the end that all long names share are cut first, then the middle.
    """
    long = [name for name in names if len(name) > limit]
    start, end = _shared_prefix(long), _shared_prefix([name[::-1] for name in long])
    shortened: dict[str, str] = {}
    for name in dict.fromkeys(names):
        short = name
        if len(name) > limit and start + end < len(name):
            short = f"{'…' * (start > 0)}{name[start : len(name) - end]}{'…' * (end > 0)}"
        short = _without_middle(short, limit)
        number = 2
        while short in shortened.values() or (short in names and short != name):
            short = f"{_without_middle(name, limit - 5)} ({number})"
            number += 1
        shortened[name] = short
    return shortened


def _shared_prefix(names: Sequence[str]) -> int:
    """Letters of the longest common prefix of several names, in whole words."""
    if len(names) < 2:
        return 0
    first, last = min(names), max(names)  # a prefix of these two is one of all names in between
    same = [a == b for a, b in zip(first, last, strict=False)]
    count = same.index(False) if False in same else len(same)
    return max((i + 1 for i in range(count) if not first[i].isalnum()), default=0)


def _without_middle(name: str, limit: int) -> str:
    half = (limit - 1) // 2
    return name if len(name) <= limit else f"{name[: limit - 1 - half]}…{name[-half:]}"


def unmarked(text: str) -> str:
    """A text that cannot end a cell of a Markdown table or open a link or markup."""
    escaped = "".join(f"\\{letter}" if letter in "\\|[]<>*_`" else letter for letter in text)
    return " ".join(escaped.split())
