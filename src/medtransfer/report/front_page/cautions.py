"""Conclusions that the numbers do not allow, each with the reason."""

from collections.abc import Iterator, Sequence

from medtransfer.report.content import ReportData
from medtransfer.report.front_page.facts import HospitalFacts, QuestionLine
from medtransfer.report.front_page.hospitals import few_positive
from medtransfer.report.text import fixed, joined


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
            f"That the AUROC of {data.best} will be as high on new patients: it was picked among "
            f"{len(data.rungs)} on these."
        )
    if data.seeds == 1:
        yield "That a network trained again does the same: one run of each was evaluated."


def _of_hospitals(data: ReportData, findings: Sequence[QuestionLine]) -> Iterator[str]:
    if not data.shifted:
        why = "where it was trained is unknown" if data.internal_name is None else "none was tested"
        yield f"That it works at another hospital: {why}."
        return
    shift = _finding(findings, "shift")
    if shift.mark == "not shown":
        amount = "" if shift.detectable is None else f" below {fixed(shift.detectable)}"
        measured = [name for name, loss in shift.estimates.items() if loss.value is not None]
        unknown = [name for name in shift.estimates if name not in measured]
        if measured:
            places = _named(measured)
            yield f"That nothing is lost at {places}: a loss{amount} may have been overlooked."
        if unknown:
            yield f"That nothing is lost at {_named(unknown)}: the loss could not be measured."
    yield f"That it works at further hospitals: only {_named(data.shifted)} took part."


def _named(cohorts: Sequence[str]) -> str:
    """The first hospitals in words."""
    rest = ["others"] if len(cohorts) > 3 else []
    return joined([*cohorts[:3], *rest])


def _of_groups(findings: Sequence[QuestionLine]) -> Iterator[str]:
    groups = _finding(findings, "groups")
    if groups.mark == "not studied":
        yield "That it serves all patients alike: no group was looked at."
    elif groups.mark == "not shown":
        yield "That it serves all patients alike: a gap was not shown, and not ruled out."


def _of_counts(data: ReportData, hospitals: Sequence[HospitalFacts]) -> Iterator[str]:
    """Hospitals with so few positive cases that the missed share is hardly known."""
    few = [
        hospital.cohort
        for hospital in hospitals
        if any(entry.few_positive for entry in hospital.targets)
    ]
    if few:
        finding = "the finding" if len(data.targets) == 1 else "a finding"
        yield (
            f"That the share of missed cases is well known at {joined(few)}: fewer than "
            f"{few_positive(data.evaluation.minimum_group)} test cases with {finding}."
        )
