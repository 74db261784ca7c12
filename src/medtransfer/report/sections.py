"""The sections of a report in reading order: the five questions, then how they were asked."""

from medtransfer.report import efficiency, fairness, shift, transfer, uncertainty
from medtransfer.report.content import Content
from medtransfer.report.method import limits, method, runs
from medtransfer.report.parts import Answer, Section

QUESTIONS = (transfer, shift, efficiency, fairness, uncertainty)


def all_sections(content: Content) -> list[Section]:
    """Every section; a question that was not studied has one that says so."""
    sections = [question.section(content) for question in QUESTIONS]
    sections += [section for section in (runs(content), method(content)) if section is not None]
    return [*sections, limits(content)]


def answers(content: Content) -> list[Answer]:
    """One card per question."""
    return [question.answer(content) for question in QUESTIONS]
