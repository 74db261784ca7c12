"""Pages for the clinic: the first page's facts in words, numbers of 100 and pictures."""

from collections.abc import Iterator, Sequence

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


def clinic_sections(data: ReportData, front: FrontPage) -> list[Section]:
    """Sections that only readers of the clinic pages see.

    Args:
        data: Of the report, its rungs under readable names.
        front: The first page's facts.
    """
    sections = [
        _section("decisions", "What it misses and what it calls", _decisions(front)),
        _section("people", "For whom", _people(data, front)),
        _section("labels-needed", "How many labelled cases", _line(front, "labels")),
        _section("defer", "When to ask a person", _deferral(data, front)),
        _section("terms", "Words on these pages", [Facts(TERMS)]),
    ]
    return [section for section in sections if section.parts]


def _section(anchor: str, title: str, parts: Iterator[Component] | Sequence[Component]) -> Section:
    return Section(f"clinic-{anchor}", title, "", list(parts), reader=CLINIC)


def _line(front: FrontPage, *topics: str) -> Iterator[Component]:
    """The first page's line on a question, with its mark."""
    for finding in front.findings:
        if finding.topic in topics:
            yield Note(f"{finding.question} {finding.mark.capitalize()}. {finding.sentence}")


def _decisions(front: FrontPage) -> Iterator[Component]:
    if not front.point:
        yield Note("No threshold was fixed, so nothing can be said of single decisions.")
        return
    yield Note(
        f"{front.subject} turns its score into a decision at {front.point}. The threshold was "
        "fixed before the test cases were seen and is the same at every hospital."
    )
    for hospital in front.hospitals:
        yield from _of_hospital(hospital)


def _of_hospital(hospital: HospitalFacts) -> Iterator[Component]:
    missed, called = hospital.missed, hospital.called
    if missed.value is None and called.value is None:
        yield Note(f"{hospital.cohort}: unknown ({missed.reason}).")
        return
    place = hospital.cohort + (", where it was trained" if hospital.trained else "")
    words = [
        _of_100("cases with the finding", "missed", missed),
        _of_100("cases without it", "called although there is nothing", called),
    ]
    pictures = [
        of_hundred(quantity.value, f"{hospital.cohort}: {text}")
        for quantity, text in zip((missed, called), words, strict=True)
        if quantity.value is not None
    ]
    yield Picture(f"{place} ({hospital.cases} test cases)", tuple(pictures), " ".join(words))


def _of_100(cases: str, verb: str, quantity: Quantity) -> str:
    if quantity.value is None:
        return f"Of 100 {cases}: unknown ({quantity.reason})."
    text = f"Of 100 {cases}, about {fixed(quantity.value, 0)} are {verb}"
    if quantity.low is None or quantity.high is None:
        return f"{text}; so few were tested that no range can be given."
    return (
        f"{text}; with so many test cases it may be anything from {fixed(quantity.low, 0)} to "
        f"{fixed(quantity.high, 0)}."
    )


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
        text = f"of 100 with the finding, {interval(missed, 0)} are missed"
        lines.append((f"{row['group']} ({cases} test cases)", text))
    if lines:
        yield Note(f"Missed by {attribute} at {data.main_cohort}, with 95% ranges:")
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
            f"{cohort}: if a person reads the 20 of 100 cases that it is least sure of, about "
            f"{fixed(100 * sure.value, 0)} of 100 of its own answers on the rest are right, "
            f"instead of {fixed(100 * every.value, 0)} on all cases."
        )
