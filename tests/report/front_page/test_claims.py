"""Sentences of page one on data sets of known truth: right, claiming too much, claiming too little.

The counts stand in docs/explanation/comparisons.md.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest
from tests.prediction_tables import Site, binary_table

from medtransfer.evaluation.comparison.evaluate_table import evaluate_table, write_evaluation
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.report.front_page.build import front_page
from medtransfer.report.front_page.facts import FrontPage, Topic
from medtransfer.report.reading import load_evaluation_data
from medtransfer.seeds import generator

HOME, AWAY = "home", "away"
FIRST, SECOND = "first", "second"
SEEDS = (0, 1, 2)
DATA_SETS = 25
CONFIG = EvaluationConfig(
    replicates=300, permutations=300, metrics=("auroc", "ece", "sensitivity", "specificity")
)
Verdict = Literal["right", "too much", "too little"]


@dataclass(frozen=True)
class World:
    """A truth that data sets are drawn from: nothing is different unless it is said.

    Attributes:
        noise: Standard deviation that each rung adds to the evidence, at home and away.
        lost: Share of the evidence that is missing for sex F.
        rare: True if the finding is rarer away, and the networks do not know it.
        shown: Topics in which something is there to be found, with words of the sentences that
            name it; any of them is right.
    """

    noise: dict[str, tuple[float, float]] = field(
        default_factory=lambda: {FIRST: (1.0, 1.0), SECOND: (1.0, 1.0)}
    )
    lost: float = 0.0
    rare: bool = False
    shown: dict[Topic, tuple[str, ...]] = field(default_factory=dict[Topic, tuple[str, ...]])


WORLDS = {
    "all equal": World(),
    "better at home, equal away": World(
        noise={FIRST: (2.0, 2.0), SECOND: (0.5, 2.0)},
        shown={
            "transfer": (f"{SECOND} is better than {FIRST}",),
            "shift": (f"AUROC is lower than at {HOME}: by", "more are missed", "more are called"),
        },
    ),
    "one group worse": World(lost=0.6, shown={"groups": ("is lower for F than for M",)}),
    "probabilities too high away": World(
        rare=True, shown={"probabilities": ("wrong, on average",)}
    ),
}
ASKED: dict[str, tuple[Topic, ...]] = {
    "all equal": ("transfer", "shift", "groups", "probabilities"),
    "better at home, equal away": ("transfer", "shift", "groups"),
    "one group worse": ("transfer", "shift", "groups"),
    "probabilities too high away": ("transfer", "shift", "groups", "probabilities"),
}
"""Topics whose truth is known in each world."""


def drawn(world: World, number: int) -> pl.DataFrame:
    """Predictions of two rungs and three seeds: 300 test patients at home and 300 away."""
    away = Site({"test": 300}, lost=world.lost, prevalence=0.15 if world.rare else 0.5)
    sites = {HOME: Site({"tune": 200, "test": 300}, lost=world.lost), AWAY: away}
    truth = binary_table(sites, seed=number)
    if world.rare:  # the networks were trained where half have it
        odds = np.log(away.prevalence / (1 - away.prevalence))
        blind = pl.when(pl.col("cohort") == AWAY).then(odds).otherwise(0.0)
        truth = truth.with_columns(logit_x=pl.col("logit_x") - blind)
    is_away = (truth["cohort"] == AWAY).to_numpy()
    frames: list[pl.DataFrame] = []
    for rung, (home, other) in world.noise.items():
        for seed in SEEDS:
            noise = generator(number, "claims", rung, seed).normal(size=len(truth))
            logit = truth["logit_x"].to_numpy() + noise * np.where(is_away, other, home)
            frames.append(
                truth.with_columns(
                    run_id=pl.lit(f"{rung}-{seed}"),
                    rung=pl.lit(rung),
                    seed=pl.lit(seed, dtype=pl.Int64),
                    logit_x=pl.Series(logit),
                )
            )
    return pl.concat(frames)


def page_of(table: pl.DataFrame, folder: Path) -> FrontPage:
    """The first page of an evaluation."""
    place = pl.col("patient_id").str.extract(r"(\d+)$").cast(pl.Int64)
    sex = pl.when(place % 2 == 0).then(pl.lit("F")).otherwise(pl.lit("M"))
    attributes = table.select("case_id", sex=sex).unique("case_id")
    source = folder / "claims.csv"
    source.write_text("x")
    tables = evaluate_table(table, attributes, "binary", CONFIG)
    write_evaluation(
        folder,
        tables,
        table,
        source=source,
        task="binary",
        config=CONFIG,
        reference=FIRST,
        attributes=["sex"],
        said=[],
    )
    return front_page(load_evaluation_data(folder))


def verdict(world: World, page: FrontPage, topic: Topic) -> Verdict:
    """The line of a topic against the truth; the wrong thing shown is too much."""
    line = page.finding(topic)
    if topic not in world.shown:
        return "too much" if line.mark == "shown" else "right"
    if line.mark != "shown":
        return "too little"
    return "right" if any(text in line.sentence for text in world.shown[topic]) else "too much"


def test_a_verdict_counts_the_wrong_thing_shown_as_too_much(tmp_path: Path) -> None:
    world = WORLDS["better at home, equal away"]
    page = page_of(drawn(world, 0), tmp_path)
    assert verdict(world, page, "transfer") == "right"
    turned = World(noise=world.noise, shown={"transfer": (f"{FIRST} is better than {SECOND}",)})
    assert verdict(turned, page, "transfer") == "too much"
    assert verdict(World(), page, "transfer") == "too much"


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_page_one_claims_what_is_true_and_little_else(name: str, tmp_path: Path) -> None:
    world = WORLDS[name]
    counts: dict[Topic, Counter[Verdict]] = {topic: Counter() for topic in ASKED[name]}
    for number in range(DATA_SETS):
        page = page_of(drawn(world, number), tmp_path)
        for topic, counted in counts.items():
            counted[verdict(world, page, topic)] += 1
    print(f"\n{name}: { {topic: dict(counted) for topic, counted in counts.items()} }")
    for topic, counted in counts.items():
        # 4 of 25 or more happen in 3 % of such tests if 5 % of the data sets claim too much
        assert counted["too much"] <= 3, (topic, counted)
        if topic in world.shown:  # a true difference is found more often than not
            assert counted["right"] > DATA_SETS / 2, (topic, counted)
