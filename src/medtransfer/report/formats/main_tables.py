"""Main tables of a report: hospitals, rungs, and the answers to the questions."""

from medtransfer.report.components import ReportTable
from medtransfer.report.content import ReportData
from medtransfer.report.front_page.facts import FrontPage
from medtransfer.report.front_page.sentences import interval, noted
from medtransfer.report.questions.transfer import difference_table

INTERVALS = "In brackets 95% intervals."


def main_tables(data: ReportData, front: FrontPage) -> list[ReportTable]:
    """The tables that a paper or a slide shows.

    Args:
        data: Of the report.
        front: The first page's facts.
    """
    return [hospital_table(front), difference_table(data), answer_table(front)]


def hospital_table(front: FrontPage) -> ReportTable:
    """Test cases, labels and performance of every hospital."""
    head = ["Hospital", "Cases", "Patients", "Target", "Positive", "Negative", "Unlabelled"]
    head += ["AUROC", "Missed of 100", "Called of 100"]
    rows: list[list[str]] = []
    for hospital in front.hospitals:
        numbers = [
            noted(hospital.auroc),
            interval(hospital.missed, 0),
            interval(hospital.called, 0),
        ]
        start = [hospital.cohort, hospital.cases, hospital.patients]
        if not hospital.targets:
            rows.append([*start, "–", "–", "–", "–", *numbers])
        for place, counts in enumerate(hospital.targets):
            labels = [counts.target, counts.positive, counts.negative, counts.unlabelled]
            rows.append([*(start if place == 0 else [""] * 3), *labels])
            rows[-1] += numbers if place == 0 else [""] * 3
    caption = f"Test cases and performance of {front.subject}. {INTERVALS}"
    if front.point:
        caption += f" Missed: of 100 positive cases; called: of 100 negative, at {front.point}."
    if front.hospitals and len(front.hospitals[0].targets) > 1:
        caption += " AUROC, missed and called: means over targets."
    return ReportTable(head, rows, caption, frozenset((1, 2, 4, 5, 6, 7, 8, 9)))


def answer_table(front: FrontPage) -> ReportTable:
    """The five questions with their marks and sentences."""
    rows = [[line.question, line.mark, line.sentence] for line in front.findings]
    return ReportTable(["Question", "Mark", "Answer"], rows, "Answers of the study.")
