"""Pages for the clinic: numbers of 100 that are those of the first page, without jargon."""

import re
from dataclasses import replace

from tests.report.front_page.test_build import two_hospitals

from medtransfer.report.clinic.glossary import TERMS
from medtransfer.report.clinic.pages import clinic_sections
from medtransfer.report.clinic.pictograms import of_hundred
from medtransfer.report.components import Facts, Note, Picture
from medtransfer.report.content import ReportData
from medtransfer.report.front_page.build import front_page
from medtransfer.report.front_page.facts import FrontPage

JARGON = ("sensitivity", "specificity", "prevalence", "logit", "bootstrap", "ECE", "rung", "macro")


def texts() -> str:
    data = two_hospitals()
    return words_of(data, front_page(data))


def words_of(data: ReportData, front: FrontPage) -> str:
    words: list[str] = []
    for section in clinic_sections(data, front):
        assert section.reader == "clinic"
        for part in section.parts:
            match part:
                case Note(text):
                    words.append(text)
                case Picture(title, _, caption):
                    words += [title, caption]
                case Facts(rows):
                    words += [" ".join(row) for row in rows]
                case _:
                    raise AssertionError(part)
    return "\n".join(words)


def test_what_is_missed_and_called_is_told_of_100() -> None:
    text = texts()
    assert "Of 100 cases with the finding, about 24 are missed" in text
    assert "it may be anything from 14 to 34." in text
    assert "Of 100 cases without it, about 21 are called although there is nothing" in text
    assert "of 100 with the finding, 30 [20, 40] are missed" in text


def test_numbers_of_several_findings_say_that_they_are_means_and_which_are_left_out() -> None:
    data = two_hospitals()
    front = front_page(data)
    assert "each with a threshold of its own" not in words_of(data, front)
    several = replace(data, targets=[*data.targets, "Mass"])
    away = replace(front.hospitals[1].missed, reason="1 of 2 targets left out: no labelled case")
    hospitals = (front.hospitals[0], replace(front.hospitals[1], missed=away))
    text = words_of(several, replace(front, hospitals=hospitals))
    assert "There are 2 findings, each with a threshold of its own." in text
    assert text.count("1 of 2 targets left out: no labelled case.") == 1


def test_no_term_stands_there_unexplained() -> None:
    lines = [line for line in texts().splitlines() if "sensitivity at" not in line]
    explained = {term for term, _ in TERMS}
    assert "AUROC" in explained
    for word in JARGON:
        assert not re.search(rf"\b{word}\b", "\n".join(lines)), word


def test_a_pictogram_marks_as_many_dots_as_it_says() -> None:
    svg = of_hundred(23.6, "24 <missed>")
    assert svg.count("<circle") == 100
    assert svg.count('class="on"') == 24
    assert "24 &lt;missed&gt;" in svg
    assert of_hundred(120, "all").count('class="on"') == 100
