"""The sections of a report in reading order: the five questions, then how they were asked."""

from medtransfer.report import efficiency, fairness, shift, transfer, uncertainty
from medtransfer.report.content import Content
from medtransfer.report.method import limits, method, runs
from medtransfer.report.parts import Section


def all_sections(content: Content) -> list[Section]:
    """Every section; a question that was not studied has one that says so."""
    sections = [
        transfer.section(content),
        shift.section(content),
        efficiency.section(content),
        fairness.section(content),
        uncertainty.section(content),
        runs(content),
        method(content),
        limits(content),
    ]
    return [section for section in sections if section is not None]
