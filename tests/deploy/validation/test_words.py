"""Words of a validation in every language: the same numbers and the same answer."""

import re
from collections import Counter
from functools import cache
from typing import get_args

import polars as pl
import pytest
from tests.language.test_catalogues import TRANSLATED
from tests.prediction_tables import Site, binary_table
from tests.report.test_language import WORDS, numbers

from medtransfer.deploy.validation.config import ValidationConfig
from medtransfer.deploy.validation.from_predictions import LocalValidation, validate_predictions
from medtransfer.deploy.validation.verdict import VerdictAnswer
from medtransfer.deploy.validation.words import ANSWERS, verdict_lines, verdict_sentence
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.language.translation import Language, in_language, translate

QUICK = EvaluationConfig(replicates=60, permutations=0, decision_thresholds=())
HOME = binary_table({"home": Site({"tune": 150, "test": 400}, prevalence=0.4)}, seed=3)


def hospital(patients: int, *, move: float = 0.0) -> pl.DataFrame:
    frame = binary_table({"south": Site({"test": patients}, prevalence=0.4)}, seed=7)
    return frame.with_columns(pl.col("logit_x") + move)


HOSPITALS = {
    "like home": hospital(300),
    "logits lower": hospital(300, move=-1.5),
    "seven patients": hospital(7),
    "no positive": hospital(30).with_columns(target_x=pl.lit(0.0)),
}


@cache
def validation(name: str) -> LocalValidation:
    config = ValidationConfig(margin=0.02 if name == "like home" else 0.2)
    return validate_predictions(HOME, HOSPITALS[name], "binary", evaluation=QUICK, config=config)


@cache
def sentences(name: str, language: Language) -> tuple[str, ...]:
    with in_language(language):
        made = validation(name)
        return (verdict_sentence(made), *verdict_lines(made))


def counted(lines: tuple[str, ...]) -> Counter[str]:
    return numbers(" ".join(re.sub(r"sens90", "", line) for line in lines))


def test_the_sentences_are_those_of_the_numbers() -> None:
    lines = sentences("logits lower", "en")
    assert lines[0].startswith("south, 300 patients (")
    missed = 100 * (1 - (validation("logits lower").verdict.carried[1].here.value or 0))
    assert lines[1].startswith(f"as carried (sens90): of 100 with x {missed:.0f} [")
    assert "are missed (promised " in lines[1]
    assert sentences("no positive", "en")[-1].endswith("this hospital: no positive case")
    assert "with x an unknown number are missed" in sentences("no positive", "en")[1]


@pytest.mark.parametrize("language", TRANSLATED)
@pytest.mark.parametrize("name", HOSPITALS)
def test_every_language_says_the_same_numbers(name: str, language: Language) -> None:
    english, spoken = sentences(name, "en"), sentences(name, language)
    assert len(spoken) == len(english)
    assert counted(spoken) == counted(english)
    assert not re.search(r"\d\.\d", " ".join(spoken))
    assert [words for words in WORDS if words in " ".join(spoken)] == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_four_answers_stay_four(language: Language) -> None:
    assert set(ANSWERS) == set(get_args(VerdictAnswer))
    with in_language(language):
        texts = {translate(text, hospital="a", patients="b") for text in ANSWERS.values()}
    assert len(texts) == len(ANSWERS)
    assert not texts & {text.format(hospital="a", patients="b") for text in ANSWERS.values()}
