"""Sentences of the first page: one function a question, from numbers alone.

A mark and its sentence are made together, so they cannot part. Each says `shown` only if an
interval, and a p-value where the question has one, excludes chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import ndtri

from medtransfer.evaluation.scoring.estimate import NO_SPREAD
from medtransfer.language.numbers import localised
from medtransfer.language.reasons import reason_text
from medtransfer.language.translation import template, translate
from medtransfer.report.front_page.facts import Mark, Quantity
from medtransfer.report.text import ALPHA, bracketed, fixed, joined, percent
from medtransfer.statistics.sample_size import POWER
from medtransfer.statistics.small_samples import NORMAL_QUANTILE

COULD_SHOW = {
    "difference": template(
        "A true difference of {amount} would have been shown with {power} probability."
    ),
    "loss": template("A true loss of {amount} would have been shown with {power} probability."),
    "gap": template("A true gap of {amount} would have been shown with {power} probability."),
    "saving": template("A true saving of {amount} would have been shown with {power} probability."),
}
"""Sentence on what such a study would have shown, by what it is of."""
POINTS = 100
OF_TWO = float(ndtri(1 - ALPHA / 4)) / NORMAL_QUANTILE
"""Factor of an interval of which two are judged at once, so that either is wrong in 5 %."""
NO_INTERVAL = "no interval: "
"""Beginning of the reason of a number without an interval."""
ALL_EQUAL = NO_SPREAD.removeprefix(NO_INTERVAL)
"""Reason of a difference of two rungs with the same value in every replicate."""


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


def interval(estimate: Quantity, digits: int = 2, unit: str = "") -> str:
    """``0.87 [0.76, 0.96]``, or why there is no number."""
    if estimate.value is None:
        reason = reason_text(estimate.reason or "no value")
        return translate("unknown ({reason})", reason=reason)
    value = fixed(estimate.value, digits) + unit
    if estimate.low is None or estimate.high is None:
        return translate("{value} [no interval]", value=value)
    return f"{value} {bracketed(fixed(estimate.low, digits), fixed(estimate.high, digits))}"


def left_out(estimate: Quantity) -> str:
    """Words on what a number with an interval leaves out, such as targets; mostly empty."""
    return "" if estimate.low is None else reason_text(estimate.reason or "")


def noted(estimate: Quantity, digits: int = 2) -> str:
    """The number with its interval and what it leaves out."""
    note = left_out(estimate)
    return interval(estimate, digits) + (f" ({note})" if note else "")


def could_show(noun: str, amount: str | None) -> str:
    """Sentence on what such a study would have shown; empty without an amount.

    Args:
        noun: A key of `COULD_SHOW`.
        amount: As text.
    """
    if amount is None:
        return ""
    return translate(COULD_SHOW[noun], amount=amount, power=localised(f"{POWER:.0%}"))


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
    if difference.value == 0 and (difference.reason or "").endswith(ALL_EQUAL):
        return Claim(
            "not shown",
            translate(
                "{rung} and {reference} have the same AUROC at {cohort}, whichever of its patients "
                "are drawn: these cases cannot tell them apart.",
                rung=rung,
                reference=reference,
                cohort=cohort,
            ),
        )
    if difference.value is None or difference.low is None or difference.high is None:
        why = (difference.reason or "too few cases for an interval").removeprefix(NO_INTERVAL)
        return Claim(
            "not shown",
            translate(
                "{rung} and {reference} could not be compared: {why}.",
                rung=rung,
                reference=reference,
                why=reason_text(why),
            ),
        )
    values = {"reference": reference, "cohort": cohort}
    subject = translate("This one trained model of {rung}", rung=rung) if trained_once else rung
    if difference.is_above_zero:
        better = translate(
            "{subject} is better than {reference}: AUROC higher by {amount} at {cohort}.",
            subject=subject,
            amount=noted(difference, 3),
            **values,
        )
        return Claim("shown", better)
    if difference.is_below_zero:
        worse = translate(
            "{subject} is worse than {reference}: AUROC lower by {amount} at {cohort}.",
            subject=subject,
            amount=noted(difference.negated(), 3),
            **values,
        )
        return Claim("shown", worse)
    unclear = translate(
        "{rung} and {reference} do not differ significantly at {cohort} (difference in AUROC "
        "{amount}).",
        rung=rung,
        amount=noted(difference, 3),
        **values,
    )
    shown = could_show("difference", None if detectable is None else fixed(detectable, 3))
    return Claim("not shown", f"{unclear} {shown}".rstrip())


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
        parts.append(
            translate(
                "AUROC is lower than at {home}: by {amounts}.", home=home, amounts=joined(lost)
            )
        )
    if higher:
        parts.append(
            translate(
                "AUROC is higher than at {home}: by {amounts}.", home=home, amounts=joined(higher)
            )
        )
    if unclear:
        amounts = joined([_at(x.cohort, x.drop) for x in unclear])
        sizes = [x.detectable for x in unclear if x.detectable is not None]
        parts.append(
            translate(
                "No change in AUROC from {home} was shown: the loss is {amounts}.",
                home=home,
                amounts=amounts,
            )
        )
        parts.append(could_show("loss", fixed(max(sizes)) if sizes else None))
    unknown: dict[str, list[str]] = {}
    for loss in losses:
        if loss.drop.value is None:
            unknown.setdefault(loss.drop.reason or "no value", []).append(loss.cohort)
    parts += [
        translate(
            "The loss at {cohorts} is unknown: {why}.", cohorts=joined(names), why=reason_text(why)
        )
        for why, names in unknown.items()
    ]
    moved = [text for loss in losses for text in _moved_decisions(loss)]
    if moved:
        parts.append(
            translate(
                "At the threshold of {home}, {decisions}.", home=home, decisions="; ".join(moved)
            )
        )
    mark: Mark = "shown" if lost or higher or moved else "not shown"
    return Claim(mark, " ".join(part for part in parts if part))


MOVED = (
    (
        template("of 100 with the finding {amount} more are missed at {cohort}"),
        template("of 100 with the finding {amount} fewer are missed at {cohort}"),
    ),
    (
        template("of 100 without it {amount} more are called at {cohort}"),
        template("of 100 without it {amount} fewer are called at {cohort}"),
    ),
)
"""Words on cases that are missed, and on those that are called: more of them, and fewer."""


def _moved_decisions(loss: HospitalLoss) -> list[str]:
    """Words on the decisions at a hospital that are shown to differ from those at home."""
    texts: list[str] = []
    for excess, (more, fewer) in zip((loss.missed, loss.called), MOVED, strict=True):
        if excess is None:
            continue
        judged = excess.wider(OF_TWO)
        if judged.is_above_zero or judged.is_below_zero:
            is_more = judged.is_above_zero
            amount = interval(excess if is_more else excess.negated(), 0)
            words = more if is_more else fewer
            texts.append(translate(words, amount=amount, cohort=loss.cohort))
    return texts


def _at(cohort: str, amount: Quantity) -> str:
    """``0.05 [0.03, 0.07] at away``, with what the number leaves out."""
    return translate("{amount} at {cohort}", amount=noted(amount), cohort=cohort)


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
        none = translate(
            "No network reaches the AUROC of {reference} with fewer labels than all.",
            reference=reference,
        )
        return Claim("not shown", none)
    values = {"rung": rung, "reference": reference, "amount": _saved_amount(saved, at_least)}
    if saved.is_above_zero:
        saves = translate(
            "{rung} saves {amount} of the labels that {reference} needs for its AUROC.", **values
        )
        too = translate(
            "{reference} reaches it with {share} itself.",
            reference=reference,
            share=percent(by_itself),
        )
        return Claim("shown", f"{saves} {too}" if by_itself else saves)
    may_save = translate(
        "{rung} may save {amount} of the labels that {reference} needs: zero is not ruled out.",
        **values,
    )
    shown = could_show("saving", None if detectable is None else percent(detectable))
    return Claim("not shown", f"{may_save} {shown}".rstrip())


def _saved_amount(saved: Quantity, at_least: bool) -> str:
    """Share of the labels with its interval: ``70% [55%, 82%]``."""
    value, low, high = (
        translate("no limit") if end is None else percent(end)
        for end in (saved.value, saved.low, saved.high)
    )
    if at_least and saved.low is None:
        return translate("{value} or more", value=value)
    if at_least:
        return translate("{value} or more [{low} or more]", value=value, low=low)
    return f"{value} {bracketed(low, high)}"


def probability_errors(errors: Mapping[str, Quantity]) -> Claim:
    """Claim on errors of the probabilities, as mean distance from observed frequencies.

    Args:
        errors: Calibration errors by hospital.
    """
    measured = {cohort: error for cohort, error in errors.items() if error.value is not None}
    if not measured:
        why = next((error.reason for error in errors.values()), None) or "no case has one"
        unknown = translate(
            "The error of its probabilities is unknown: {why}.", why=reason_text(why)
        )
        return Claim("not shown", unknown)
    wrong = joined([_points_at(c, e) for c, e in measured.items() if e.is_above_zero])
    rest = {cohort: error for cohort, error in measured.items() if not error.is_above_zero}
    unclear = joined([_points_at(cohort, error) for cohort, error in rest.items()])
    if wrong:
        error = translate(
            "Its probabilities are wrong, on average by this many percentage points: {amounts}.",
            amounts=wrong,
        )
        elsewhere = translate("No error was shown elsewhere: {amounts}.", amounts=unclear)
        return Claim("shown", f"{error} {elsewhere}" if unclear else error)
    bounded = [_points_at(cohort, error) for cohort, error in rest.items() if error.low is not None]
    open_ended = [_points_at(cohort, error) for cohort, error in rest.items() if error.low is None]
    parts: list[str] = []
    if bounded:
        parts.append(
            translate(
                "No error of its probabilities was shown; the mean error in percentage points is "
                "{amounts}. Errors up to the upper ends are not ruled out.",
                amounts=joined(bounded),
            )
        )
    if open_ended:
        parts.append(
            translate(
                "The mean error of its probabilities in percentage points is {amounts}: without an "
                "interval, no error is ruled out.",
                amounts=joined(open_ended),
            )
        )
    return Claim("not shown", " ".join(parts))


def _points_at(cohort: str, error: Quantity) -> str:
    amount = interval(error.times(POINTS), 0)
    return translate("{amount} at {cohort}", amount=amount, cohort=cohort)
