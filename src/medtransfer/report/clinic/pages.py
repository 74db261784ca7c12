"""Pages for the clinic: the first page's facts in words, numbers of 100 and pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medtransfer.language.reasons import reason_text
from medtransfer.language.translation import template, translate, translated
from medtransfer.report.clinic.glossary import TERMS
from medtransfer.report.clinic.pictograms import of_hundred
from medtransfer.report.components import Component, Facts, Note, Picture, Reader, Section
from medtransfer.report.content import ReportData, Row
from medtransfer.report.front_page.facts import FrontPage, HospitalFacts, Quantity
from medtransfer.report.front_page.hospitals import operating_point
from medtransfer.report.front_page.sentences import interval
from medtransfer.report.small_counts import group_counts
from medtransfer.report.text import fixed

CLINIC: Reader = "clinic"
TRAINED_HERE = template("{cohort}, where it was trained ({cases} test cases)")
TRAINED_ELSEWHERE = template("{cohort} ({cases} test cases)")


@dataclass(frozen=True)
class ShareWords:
    """Sentences on a number of 100 cases.

    Attributes:
        unknown: Without a value.
        without_range: With a value alone.
        with_range: With a value and its interval.
    """

    unknown: str
    without_range: str
    with_range: str


MISSED = ShareWords(
    template("Of 100 cases with the finding: unknown ({reason})."),
    template(
        "Of 100 cases with the finding, about {value} are missed; so few were tested that no "
        "range can be given."
    ),
    template(
        "Of 100 cases with the finding, about {value} are missed; with so many test cases it may "
        "be anything from {low} to {high}."
    ),
)
CALLED = ShareWords(
    template("Of 100 cases without it: unknown ({reason})."),
    template(
        "Of 100 cases without it, about {value} are called although there is nothing; so few "
        "were tested that no range can be given."
    ),
    template(
        "Of 100 cases without it, about {value} are called although there is nothing; with so "
        "many test cases it may be anything from {low} to {high}."
    ),
)


def clinic_sections(data: ReportData, front: FrontPage) -> list[Section]:
    """Sections that only readers of the clinic pages see.

    Args:
        data: Of the report, its rungs under readable names.
        front: The first page's facts.
    """
    sections = [
        _section(
            "decisions", translate("What it misses and what it calls"), _decisions(data, front)
        ),
        _section("people", translate("For whom"), _people(data, front)),
        _section("labels-needed", translate("How many labelled cases"), _line(front, "labels")),
        _section("defer", translate("When to ask a person"), _deferral(data, front)),
        _section("terms", translate("Words on these pages"), [_terms()]),
    ]
    return [section for section in sections if section.parts]


def _section(anchor: str, title: str, parts: Iterator[Component] | Sequence[Component]) -> Section:
    return Section(f"clinic-{anchor}", title, "", list(parts), reader=CLINIC)


def _terms() -> Facts:
    return Facts([(translated(term), translated(words)) for term, words in TERMS])


def _line(front: FrontPage, *topics: str) -> Iterator[Component]:
    """The first page's line on a question, with its mark."""
    for finding in front.findings:
        if finding.topic in topics:
            mark = translated(finding.mark.capitalize())
            yield Note(f"{finding.question} {mark}. {finding.sentence}")


def _decisions(data: ReportData, front: FrontPage) -> Iterator[Component]:
    if not front.point:
        yield Note(translate("No threshold was fixed, so nothing can be said of single decisions."))
        return
    yield Note(
        translate(
            "{rung} turns its score into a decision at {point}. The threshold was fixed before "
            "the test cases were seen and is the same at every hospital.",
            rung=front.subject,
            point=front.point,
        )
    )
    if len(data.targets) > 1:
        yield Note(
            translate(
                "There are {count} findings, each with a threshold of its own. The numbers are "
                "means over the findings that have labels at the hospital.",
                count=str(len(data.targets)),
            )
        )
    for hospital in front.hospitals:
        yield from _of_hospital(hospital)


def _of_hospital(hospital: HospitalFacts) -> Iterator[Component]:
    missed, called = hospital.missed, hospital.called
    if missed.value is None and called.value is None:
        yield Note(
            translate(
                "{cohort}: unknown ({reason}).",
                cohort=hospital.cohort,
                reason=reason_text(str(missed.reason)),
            )
        )
        return
    title = TRAINED_HERE if hospital.trained else TRAINED_ELSEWHERE
    title = translate(title, cohort=hospital.cohort, cases=hospital.cases)
    words = [_of_100(MISSED, missed), _of_100(CALLED, called)]
    left_out = _left_out(missed)
    pictures = [
        of_hundred(quantity.value, f"{hospital.cohort}: {text}")
        for quantity, text in zip((missed, called), words, strict=True)
        if quantity.value is not None
    ]
    yield Picture(title, tuple(pictures), " ".join([*words, *left_out]))


def _left_out(quantity: Quantity) -> list[str]:
    """Sentence on what the mean of a hospital leaves out; none if it is over all."""
    if quantity.value is None or quantity.low is None or not quantity.reason:
        return []
    text = reason_text(quantity.reason)
    return [f"{text[0].upper()}{text[1:]}."]


def _of_100(words: ShareWords, quantity: Quantity) -> str:
    if quantity.value is None:
        return translate(words.unknown, reason=reason_text(str(quantity.reason)))
    value = fixed(quantity.value, 0)
    if quantity.low is None or quantity.high is None:
        return translate(words.without_range, value=value)
    low, high = fixed(quantity.low, 0), fixed(quantity.high, 0)
    return translate(words.with_range, value=value, low=low, high=high)


def _people(data: ReportData, front: FrontPage) -> Iterator[Component]:
    yield from _line(front, "groups")
    point = operating_point(data)
    if point is None or front.finding("groups").mark == "not studied":
        return
    for attribute in data.attributes:
        rows = [
            row
            for row in data.group_rows(data.best, attribute)
            if row["metric"] == f"sensitivity@{point}" and row["cohort"] == data.main_cohort
        ]
        yield from _of_groups(data, attribute, rows)


def _of_groups(data: ReportData, attribute: str, rows: Sequence[Row]) -> Iterator[Component]:
    counts = group_counts(rows, "num_cases", data.evaluation.minimum_group)
    lines: list[tuple[str, str]] = []
    for row in rows:
        cases = counts[attribute, row["group"], row["cohort"]]
        missed = Quantity.of(row).missed()
        name = translate("{group} ({cases} test cases)", group=row["group"], cases=cases)
        text = translate("of 100 with the finding, {amount} are missed", amount=interval(missed, 0))
        lines.append((name, text))
    if lines:
        yield Note(
            translate(
                "Missed by {attribute} at {cohort}, with 95% ranges:",
                attribute=attribute,
                cohort=data.main_cohort,
            )
        )
        yield Facts(lines)


def _deferral(data: ReportData, front: FrontPage) -> Iterator[Component]:
    """Accuracy of all cases, and of those that it is most sure of."""
    yield from _line(front, "probabilities")
    for cohort in data.cohorts:
        every, sure = (
            Quantity.of(data.result_row(data.best, cohort, name))
            for name in ("accuracy", "accuracy_at_coverage80")
        )
        if every.value is None or sure.value is None:
            continue
        yield Note(
            translate(
                "{cohort}: if a person reads the 20 of 100 cases that it is least sure of, about "
                "{sure} of 100 of its own answers on the rest are right, instead of {every} on "
                "all cases.",
                cohort=cohort,
                sure=fixed(100 * sure.value, 0),
                every=fixed(100 * every.value, 0),
            )
        )
