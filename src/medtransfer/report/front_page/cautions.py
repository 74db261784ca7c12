"""Conclusions that the numbers do not allow, each with the reason."""

from collections.abc import Iterator, Sequence

from medtransfer.language.numbers import localised
from medtransfer.language.translation import template, translate
from medtransfer.report.content import ReportData
from medtransfer.report.front_page.facts import HospitalFacts, QuestionLine
from medtransfer.report.front_page.hospitals import TUNE, few_positive, operating_point
from medtransfer.report.text import fixed, joined
from medtransfer.statistics.small_samples import FEW_OF_SHARE, MIN_BOOTSTRAP

FEW_OF_ONE = template(
    "That the share of missed cases is well known at {cohorts}: fewer than {least} test cases "
    "with the finding."
)
FEW_OF_SEVERAL = template(
    "That the share of missed cases is well known at {cohorts}: fewer than {least} test cases "
    "with a finding."
)

FEW_PATIENTS = template(
    "That the share of missed cases is well known at {cohorts}: too few patients have the finding "
    "for an interval."
)


def not_concluded(
    data: ReportData, findings: Sequence[QuestionLine], hospitals: Sequence[HospitalFacts]
) -> tuple[str, ...]:
    """Sentences that must not be concluded, the most tempting first."""
    return (
        *_of_networks(data, findings),
        *_of_hospitals(data, findings),
        *_of_groups(findings),
        *_of_counts(data, hospitals),
        translate(
            "That it may be used in care: no doctor worked with it, and it is no medical device."
        ),
    )


def _finding(findings: Sequence[QuestionLine], topic: str) -> QuestionLine:
    return next(finding for finding in findings if finding.topic == topic)


def _of_networks(data: ReportData, findings: Sequence[QuestionLine]) -> Iterator[str]:
    transfer = _finding(findings, "transfer")
    if transfer.mark == "not shown":
        yield translate("That the networks are equal: this study could not tell them apart.")
    if len(data.rungs) > 1:
        yield translate(
            "That the AUROC of {rung} will be as high on new patients: it was picked among "
            "{count} on these.",
            rung=data.best,
            count=len(data.rungs),
        )
    if data.seeds == 1:
        yield translate(
            "That a network trained again does the same: one run of each was evaluated."
        )


def _of_hospitals(data: ReportData, findings: Sequence[QuestionLine]) -> Iterator[str]:
    if not data.shifted:
        yield (
            translate("That it works at another hospital: where it was trained is unknown.")
            if data.internal_name is None
            else translate("That it works at another hospital: none was tested.")
        )
        return
    shift = _finding(findings, "shift")
    if shift.mark == "not shown":
        measured = [name for name, loss in shift.estimates.items() if loss.value is not None]
        unknown = [name for name in shift.estimates if name not in measured]
        if measured:
            yield _overlooked(_named(measured), shift.detectable)
        if unknown:
            yield translate(
                "That nothing is lost at {cohorts}: the loss could not be measured.",
                cohorts=_named(unknown),
            )
    yield translate(
        "That it works at further hospitals: only {cohorts} took part.",
        cohorts=_named(data.shifted),
    )


def _overlooked(cohorts: str, amount: float | None) -> str:
    """Sentence on a loss that the study would not have shown."""
    if amount is None:
        return translate(
            "That nothing is lost at {cohorts}: a loss may have been overlooked.", cohorts=cohorts
        )
    return translate(
        "That nothing is lost at {cohorts}: a loss below {amount} may have been overlooked.",
        cohorts=cohorts,
        amount=fixed(amount),
    )


def _named(cohorts: Sequence[str]) -> str:
    """The first hospitals in words."""
    rest = [translate("others")] if len(cohorts) > 3 else []
    return joined([*cohorts[:3], *rest])


def _of_groups(findings: Sequence[QuestionLine]) -> Iterator[str]:
    groups = _finding(findings, "groups")
    if groups.mark == "not studied":
        yield translate("That it serves all patients alike: no group was looked at.")
    elif groups.mark == "not shown":
        yield translate(
            "That it serves all patients alike: a gap was not shown, and not ruled out."
        )


def _of_counts(data: ReportData, hospitals: Sequence[HospitalFacts]) -> Iterator[str]:
    """Hospitals with so few positive cases that the missed share is hardly known."""
    few = [
        hospital.cohort
        for hospital in hospitals
        if any(entry.few_positive for entry in hospital.targets)
    ]
    if few:
        least = localised(f"{few_positive(data.evaluation.minimum_group)}")
        message = FEW_OF_ONE if len(data.targets) == 1 else FEW_OF_SEVERAL
        yield translate(message, cohorts=joined(few), least=least)
    unsure = [hospital.cohort for hospital in hospitals if _of_few_patients(hospital)]
    if rest := [cohort for cohort in unsure if cohort not in few]:
        yield translate(FEW_PATIENTS, cohorts=joined(rest))
    if operating_point(data) and _tuned_on_few(data):
        yield translate(
            "That the threshold does what it was set for: it was set on fewer than {least} tuning "
            "cases with a finding.",
            least=localised(f"{MIN_BOOTSTRAP}"),
        )


def _of_few_patients(hospital: HospitalFacts) -> bool:
    """True if its missed cases have no interval, as their patients are too few."""
    missed = hospital.missed
    return missed.value is not None and FEW_OF_SHARE in (missed.reason or "")


def _tuned_on_few(data: ReportData) -> bool:
    """True if a target has so few positive tuning cases that a threshold says little."""
    tuning = [count for count in data.counts if count.split == TUNE]
    positives = [sum(count.positive.get(name, 0) for count in tuning) for name in data.targets]
    return any(0 < number < MIN_BOOTSTRAP for number in positives)
