"""Sentences of the first page: one function a question, from numbers alone.

A mark and its sentence are made together, so they cannot part. Each says `shown` only if an
interval, and a p-value where the question has one, excludes chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import ndtri

from medtransfer.report.front_page.facts import Mark, Quantity
from medtransfer.report.text import ALPHA, fixed, joined, p_text, percent
from medtransfer.statistics.sample_size import POWER
from medtransfer.statistics.small_samples import NORMAL_QUANTILE

COULD = f"with {POWER:.0%} probability"
POINTS = 100
OF_TWO = float(ndtri(1 - ALPHA / 4)) / NORMAL_QUANTILE
"""Factor of an interval of which two are judged at once, so that either is wrong in 5 %."""
NO_INTERVAL = "no interval: "
"""Beginning of the reason of a number without an interval."""


@dataclass(frozen=True)
class Claim:
    """A sentence with the mark that its numbers allow."""

    mark: Mark
    sentence: str


@dataclass(frozen=True)
class HospitalLoss:
    """AUROC that is lost at another hospital.

    Attributes:
        cohort: The other hospital.
        drop: Above 0 is a loss.
        detectable: Smallest true loss that the study would have shown.
        missed: Cases that are missed beyond those at home, of 100 with the finding, at the
            operating point; None where there is none.
        called: Cases that are called beyond those at home, of 100 without it.
    """

    cohort: str
    drop: Quantity
    detectable: float | None = None
    missed: Quantity | None = None
    called: Quantity | None = None


@dataclass(frozen=True)
class GroupGap:
    """The most significant gap between the groups of an attribute.

    Attributes:
        attribute: Whose groups.
        measure: Metric in words, with the hospital.
        gap: Largest minus smallest value.
        p: After correction for all gaps that were tested.
        tests: Number of those.
        lowest: The group with the smallest value.
        highest: The group with the largest value.
        missed: Of 100 cases with the finding, those that are missed, by group; empty unless the
            gap is one of sensitivity.
        detectable: Smallest true gap that the study would have shown.
    """

    attribute: str
    measure: str
    gap: Quantity
    p: float
    tests: int
    lowest: str = ""
    highest: str = ""
    missed: Mapping[str, Quantity] | None = None
    detectable: float | None = None


def interval(estimate: Quantity, digits: int = 2, unit: str = "") -> str:
    """``0.87 [0.76, 0.96]``, or why there is no number."""
    if estimate.value is None:
        return f"unknown ({estimate.reason or 'no value'})"
    if estimate.low is None or estimate.high is None:
        return f"{fixed(estimate.value, digits)}{unit} [no interval]"
    ends = f"[{fixed(estimate.low, digits)}, {fixed(estimate.high, digits)}]"
    return f"{fixed(estimate.value, digits)}{unit} {ends}"


def left_out(estimate: Quantity) -> str:
    """Words on what a number with an interval leaves out, such as targets; mostly empty."""
    return "" if estimate.low is None else estimate.reason or ""


def noted(estimate: Quantity) -> str:
    """The number with its interval and what it leaves out."""
    note = left_out(estimate)
    return interval(estimate) + (f" ({note})" if note else "")


def could_show(noun: str, amount: float | None, digits: int = 2) -> str:
    """Sentence on what such a study would have shown; empty without an amount."""
    if amount is None:
        return ""
    return f" A true {noun} of {fixed(amount, digits)} would have been shown {COULD}."


def better_rung(
    rung: str,
    reference: str,
    cohort: str,
    difference: Quantity,
    detectable: float | None = None,
    *,
    trained_once: bool = False,
) -> Claim:
    """Claim on the difference in AUROC between two rungs.

    Args:
        rung: The first.
        reference: The second.
        cohort: Where they were compared.
        difference: Of the first minus the second; its interval holds for all rungs at once.
        detectable: Smallest true difference that the study would have shown.
        trained_once: The interval is over patients alone and holds for this training only.
    """
    if difference.value is None or difference.low is None or difference.high is None:
        why = (difference.reason or "too few cases for an interval").removeprefix(NO_INTERVAL)
        return Claim("not shown", f"{rung} and {reference} could not be compared: {why}.")
    subject = f"This one trained model of {rung}" if trained_once else rung
    if difference.is_above_zero:
        amount = interval(difference, 3)
        return Claim(
            "shown", f"{subject} is better than {reference}: AUROC higher by {amount} at {cohort}."
        )
    if difference.is_below_zero:
        amount = interval(difference.negated(), 3)
        return Claim(
            "shown", f"{subject} is worse than {reference}: AUROC lower by {amount} at {cohort}."
        )
    amount = interval(difference, 3)
    return Claim(
        "not shown",
        f"{rung} and {reference} do not differ significantly at {cohort} (difference in AUROC "
        f"{amount}).{could_show('difference', detectable, 3)}",
    )


def other_hospitals(home: str, losses: Sequence[HospitalLoss]) -> Claim:
    """Claim on AUROC lost at other hospitals, and on what the threshold of home does there.

    Args:
        home: The baseline of the losses.
        losses: At every other hospital.
    """
    lost = [_at(x.cohort, x.drop) for x in losses if x.drop.is_above_zero]
    higher = [_at(x.cohort, x.drop.negated()) for x in losses if x.drop.is_below_zero]
    measured = [x for x in losses if x.drop.value is not None]
    unclear = [x for x in measured if not (x.drop.is_above_zero or x.drop.is_below_zero)]
    parts: list[str] = []
    if lost:
        parts.append(f"AUROC is lower than at {home}: by {joined(lost)}.")
    if higher:
        parts.append(f"AUROC is higher than at {home}: by {joined(higher)}.")
    if unclear:
        amounts = joined([_at(x.cohort, x.drop) for x in unclear])
        sizes = [x.detectable for x in unclear if x.detectable is not None]
        parts.append(f"No change in AUROC from {home} was shown: the loss is {amounts}.")
        parts.append(could_show("loss", max(sizes, default=None)).strip())
    unknown: dict[str, list[str]] = {}
    for loss in losses:
        if loss.drop.value is None:
            unknown.setdefault(loss.drop.reason or "no value", []).append(loss.cohort)
    parts += [f"The loss at {joined(names)} is unknown: {why}." for why, names in unknown.items()]
    moved = [text for loss in losses for text in _moved_decisions(loss)]
    if moved:
        parts.append(f"At the threshold of {home}, {'; '.join(moved)}.")
    mark: Mark = "shown" if lost or higher or moved else "not shown"
    return Claim(mark, " ".join(part for part in parts if part))


def _moved_decisions(loss: HospitalLoss) -> list[str]:
    """Words on the decisions at a hospital that are shown to differ from those at home."""
    texts: list[str] = []
    for excess, cases, verb in (
        (loss.missed, "with the finding", "missed"),
        (loss.called, "without it", "called"),
    ):
        if excess is None:
            continue
        judged = excess.wider(OF_TWO)
        if judged.is_above_zero or judged.is_below_zero:
            more = judged.is_above_zero
            amount = interval(excess if more else excess.negated(), 0)
            word = "more" if more else "fewer"
            texts.append(f"of 100 {cases} {amount} {word} are {verb} at {loss.cohort}")
    return texts


def _at(cohort: str, amount: Quantity) -> str:
    """``0.05 [0.03, 0.07] at away``, with what the number leaves out."""
    return f"{noted(amount)} at {cohort}"


def fewer_labels(
    rung: str,
    reference: str,
    saved: Quantity,
    *,
    at_least: bool = False,
    detectable: float | None = None,
    by_itself: float | None = None,
) -> Claim:
    """Claim on training labels that a rung makes unnecessary.

    Args:
        rung: The rung with the largest saving.
        reference: Whose AUROC with all labels is reached with fewer.
        saved: Share of the labels.
        at_least: The smallest share that was tried is already enough.
        detectable: Smallest true saving that the study would have shown.
        by_itself: Share of the labels with which the reference reaches that AUROC itself; None
            where it takes all of them.
    """
    if saved.value is None:
        return Claim(
            "not shown", f"No network reaches the AUROC of {reference} with fewer labels than all."
        )
    low, high = ("no limit" if end is None else percent(end) for end in (saved.low, saved.high))
    amount = (
        f"{percent(saved.value)} or more [{low} or more]"
        if at_least
        else f"{percent(saved.value)} [{low}, {high}]"
    )
    if saved.is_above_zero:
        too = f" {reference} reaches it with {percent(by_itself)} itself." if by_itself else ""
        return Claim(
            "shown",
            f"{rung} saves {amount} of the labels that {reference} needs for its AUROC.{too}",
        )
    more = "" if detectable is None else f" A true saving of {percent(detectable)} would have been"
    more += f" shown {COULD}." if more else ""
    return Claim(
        "not shown",
        f"{rung} may save {amount} of the labels that {reference} needs: zero is not ruled out."
        f"{more}",
    )


def served_worse(gap: GroupGap) -> Claim:
    """Claim on the groups of patients that are served worse."""
    corrected = f", corrected for {gap.tests} tests" if gap.tests > 1 else ""
    p = f"{p_text(gap.p)}{corrected}"
    if gap.p < ALPHA:
        missed = gap.missed or {}
        frequencies = "; ".join(
            f"of 100 {group} with the finding, {interval(estimate, 0)} are missed"
            for group, estimate in missed.items()
        )
        between = f"lower for {gap.lowest}" if gap.lowest else "unequal"
        if gap.highest:
            between += f" than for {gap.highest}"
        tail = f": {frequencies}" if frequencies else ""
        return Claim(
            "shown",
            f"{gap.attribute}: {gap.measure} is {between} by {interval(gap.gap)} ({p}){tail}.",
        )
    return Claim(
        "not shown",
        f"No gap between groups was shown; the clearest is in {gap.measure} by {gap.attribute}, "
        f"{interval(gap.gap)} ({p}).{could_show('gap', gap.detectable)}",
    )


def probability_errors(errors: Mapping[str, Quantity]) -> Claim:
    """Claim on errors of the probabilities, as mean distance from observed frequencies.

    Args:
        errors: Calibration errors by hospital.
    """
    measured = {cohort: error for cohort, error in errors.items() if error.value is not None}
    if not measured:
        why = next((error.reason for error in errors.values()), None) or "no case has one"
        return Claim("not shown", f"The error of its probabilities is unknown: {why}.")
    wrong = [f"{_points(e)} at {c}" for c, e in measured.items() if e.is_above_zero]
    unclear = [f"{_points(e)} at {c}" for c, e in measured.items() if not e.is_above_zero]
    if wrong:
        rest = f" No error was shown elsewhere: {joined(unclear)}." if unclear else ""
        return Claim(
            "shown",
            "Its probabilities are wrong, on average by this many percentage points: "
            f"{joined(wrong)}.{rest}",
        )
    return Claim(
        "not shown",
        "No error of its probabilities was shown; the mean error in percentage points is "
        f"{joined(unclear)}. Errors up to the upper ends are not ruled out.",
    )


def _points(error: Quantity) -> str:
    return interval(error.times(POINTS), 0)
