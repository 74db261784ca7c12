"""Sentences of a report's first page against known truth: right, claiming too much, too little.

    python benchmarks/claims.py [--quick]

Predictions tables of two rungs and three seeds are simulated, 200 tuning and 300 test patients at
home and 300 away, and evaluated; every line of the first page is read by its mark and its words.

(a) Nothing differs, and all probabilities are right.
(b) One rung is better at home, and equal away.
(c) Women's cases carry 40 % of the evidence.
(d) The finding is rarer away, and the networks do not know it.

Too much: something is shown that is not there, or in the wrong direction. Too little: something
that is there is not shown. Goal of every line: at most 5 % too much, and what is there is found
more often than not. A goal is missed where the share is beyond it by more than three standard
errors of so many data sets: 100 of each kind, 8 with --quick, in under a minute of processor time.
"""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import polars as pl

from medtransfer.evaluation.comparison.evaluate_table import evaluate_table, write_evaluation
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.report.front_page.build import front_page
from medtransfer.report.front_page.facts import FrontPage, Topic
from medtransfer.report.reading import load_evaluation_data
from medtransfer.seeds import generator

HOME, AWAY = "home", "away"
FIRST, SECOND = "first", "second"
SEEDS = (0, 1, 2)
DATA_SETS, QUICK = 100, 8
TUNE, TEST = 200, 300
SEPARATION, RARE = 1.5, 0.15
MOST, LEAST = 0.05, 0.5
CONFIG = EvaluationConfig(
    replicates=300, permutations=300, metrics=("auroc", "ece", "sensitivity", "specificity")
)
Verdict = Literal["right", "too much", "too little"]


@dataclass(frozen=True)
class World:
    """A truth that data sets are drawn from: nothing is different unless it is said.

    Attributes:
        asked: Topics whose truth is known.
        noise: Standard deviation that each rung adds to the evidence, at home and away.
        lost: Share of the evidence that is missing for sex F.
        rare: True if the finding is rarer away, and the networks do not know it.
        shown: Topics in which something is there to be found, with words of the sentences that
            name it; any of them is right.
    """

    asked: tuple[Topic, ...]
    noise: dict[str, tuple[float, float]] = field(
        default_factory=lambda: {FIRST: (1.0, 1.0), SECOND: (1.0, 1.0)}
    )
    lost: float = 0.0
    rare: bool = False
    shown: dict[Topic, tuple[str, ...]] = field(default_factory=dict[Topic, tuple[str, ...]])


WORLDS = {
    "all equal": World(("transfer", "shift", "groups", "probabilities")),
    "better at home, equal away": World(
        ("transfer", "shift", "groups"),
        noise={FIRST: (2.0, 2.0), SECOND: (0.5, 2.0)},
        shown={
            "transfer": (f"{SECOND} is better than {FIRST}",),
            "shift": (f"AUROC is lower than at {HOME}: by", "more are missed", "more are called"),
        },
    ),
    "one group worse": World(
        ("transfer", "shift", "groups"),
        lost=0.6,
        shown={"groups": ("is lower for F than for M",)},
    ),
    "probabilities too high away": World(
        ("transfer", "shift", "groups", "probabilities"),
        rare=True,
        shown={"probabilities": ("wrong, on average",)},
    ),
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} data sets of each kind")
    number = QUICK if parser.parse_args(arguments).quick else DATA_SETS
    print(f"{number} data sets of each kind")
    print(f"{'truth':<30}{'question':<16}{'right':>7}{'too much':>10}{'too little':>12}")
    missed = 0
    for name, world in WORLDS.items():
        for topic, counted in count_claims(world, number).items():
            right, much, little = (counted[v] for v in ("right", "too much", "too little"))
            met = _meets(much / number, right / number, number, is_there=topic in world.shown)
            missed += not met
            row = f"{name:<30}{topic:<16}{right:>7}{much:>10}{little:>12}"
            print(f"{row}{'' if met else '   MISSED'}", flush=True)
    print(f"goals missed: {missed or 'none'}")
    return 1 if missed else 0


def _meets(much: float, right: float, number: int, *, is_there: bool) -> bool:
    """True if the shares of a line are within the goals and the error of so many data sets."""
    error = 3 * (MOST * (1 - MOST) / number) ** 0.5
    found = not is_there or right >= LEAST - 3 * (LEAST * (1 - LEAST) / number) ** 0.5
    return much <= MOST + error and found


def count_claims(world: World, number: int) -> dict[Topic, Counter[Verdict]]:
    """Verdicts on the first pages of simulated data sets.

    Args:
        world: Their truth.
        number: Of data sets.
    """
    counts: dict[Topic, Counter[Verdict]] = {topic: Counter() for topic in world.asked}
    with TemporaryDirectory() as folder:
        for seed in range(number):
            page = page_of(draw_table(world, seed), Path(folder))
            for topic, counted in counts.items():
                counted[verdict(world, page, topic)] += 1
    return counts


def draw_table(world: World, number: int) -> pl.DataFrame:
    """Predictions of two rungs and three seeds, with `sex` beside.

    Evidence is N(d, 1) with the finding and N(0, 1) without it; its logit is the log-odds that
    follow from it, so that the probabilities are right before a rung adds its noise.
    """
    truth = pl.concat(
        [
            _draw_cohort(world, number, HOME, TUNE + TEST),
            _draw_cohort(world, number, AWAY, TEST),
        ]
    )
    is_away = (truth["cohort"] == AWAY).to_numpy()
    frames: list[pl.DataFrame] = []
    for rung, (home, away) in world.noise.items():
        for seed in SEEDS:
            noise = generator(number, "claims", rung, seed).normal(size=len(truth))
            logit = truth["logit_x"].to_numpy() + noise * np.where(is_away, away, home)
            frames.append(
                truth.with_columns(
                    run_id=pl.lit(f"{rung}-{seed}"),
                    member=pl.lit(0, dtype=pl.Int64),
                    rung=pl.lit(rung),
                    seed=pl.lit(seed, dtype=pl.Int64),
                    logit_x=pl.Series(logit),
                )
            )
    return pl.concat(frames)


def _draw_cohort(world: World, number: int, cohort: str, patients: int) -> pl.DataFrame:
    rng = generator(number, "claims", cohort)
    is_female = np.arange(patients) % 2 == 0
    strength = SEPARATION * (1 - world.lost * is_female)
    prevalence = RARE if world.rare and cohort == AWAY else 0.5
    is_ill = rng.random(patients) < prevalence
    evidence = strength * is_ill + rng.normal(size=patients)
    names = [f"{cohort}-{patient}" for patient in range(patients)]
    is_tuned = (np.arange(patients) < TUNE) & (cohort == HOME)
    return pl.DataFrame(
        {
            "case_id": names,
            "patient_id": names,
            "cohort": cohort,
            "split": np.where(is_tuned, "tune", "test"),
            "sex": np.where(is_female, "F", "M"),
            "target_x": is_ill.astype(np.float64),
            "logit_x": strength * evidence - strength**2 / 2,
        }
    )


def page_of(table: pl.DataFrame, folder: Path) -> FrontPage:
    """The first page of an evaluation.

    Args:
        table: Predictions with `sex` beside.
        folder: For tables; those of an earlier one are replaced.
    """
    predictions = table.drop("sex")
    tables = evaluate_table(
        predictions, table.select("case_id", "sex").unique("case_id"), "binary", CONFIG
    )
    source = folder / "claims.csv"
    source.write_text("", "utf-8")
    write_evaluation(
        folder,
        tables,
        predictions,
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


if __name__ == "__main__":
    sys.exit(main())
