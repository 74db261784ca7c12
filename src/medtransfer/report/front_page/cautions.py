"""Conclusions that the numbers do not allow, each with the reason."""

from collections.abc import Iterator, Sequence

from medtransfer.report.content import ReportData
from medtransfer.report.front_page.facts import HospitalFacts, QuestionLine
from medtransfer.report.text import fixed, joined

FEW = 30
"""Positive test cases below which a share of them is hardly known."""


def not_concluded(
    data: ReportData, findings: Sequence[QuestionLine], hospitals: Sequence[HospitalFacts]
) -> tuple[str, ...]:
    """Sentences that must not be concluded, the most tempting first."""
    return (
        *_of_networks(data, findings),
        *_of_hospitals(data, findings),
        *_of_groups(findings),
        *_of_counts(data, hospitals),
        "That it may be used in care: no doctor worked with it, and it is no medical device.",
    )


def _finding(findings: Sequence[QuestionLine], topic: str) -> QuestionLine:
    return next(finding for finding in findings if finding.topic == topic)


def _of_networks(data: ReportData, findings: Sequence[QuestionLine]) -> Iterator[str]:
    transfer = _finding(findings, "transfer")
    if transfer.mark == "not shown":
        yield "That the networks are equal: this study could not tell them apart."
    if len(data.rungs) > 1:
        yield (
            "That its AUROC will be as high on new patients: it was picked among "
            f"{len(data.rungs)} on these."
        )
    if data.seeds == 1:
        yield "That a network trained again does the same: each was trained once."


def _of_hospitals(data: ReportData, findings: Sequence[QuestionLine]) -> Iterator[str]:
    if not data.shifted:
        yield "That it works at another hospital: none was tested."
        return
    shift = _finding(findings, "shift")
    tested = joined(data.shifted[:3]) + (" and others" if len(data.shifted) > 3 else "")
    if shift.mark == "not shown":
        amount = "" if shift.detectable is None else f" below {fixed(shift.detectable)}"
        yield f"That nothing is lost at {tested}: a loss{amount} may have been overlooked."
    yield f"That it works at further hospitals: only {tested} took part."


def _of_groups(findings: Sequence[QuestionLine]) -> Iterator[str]:
    groups = _finding(findings, "groups")
    if groups.mark == "not studied":
        yield "That it serves all patients alike: no group was looked at."
    elif groups.mark == "not shown":
        yield "That it serves all patients alike: a gap was not shown, and not ruled out."


def _of_counts(data: ReportData, hospitals: Sequence[HospitalFacts]) -> Iterator[str]:
    """Hospitals with so few positive cases that the missed share is hardly known."""
    least = data.evaluation.minimum_group
    few = [
        hospital.cohort
        for hospital in hospitals
        if any(_number(entry.positive, least) < FEW for entry in hospital.targets)
    ]
    if few:
        yield (
            f"That the missed cases are well known at {joined(few)}: fewer than {FEW} test cases "
            "with the finding."
        )


def _number(text: str, least: int) -> int:
    """A count; of one that is hidden, the most that the text allows to be said."""
    digits = text.replace(",", "")
    return int(digits) if digits.isdigit() else 0 if digits.startswith("<") else max(FEW, least)
