"""Three answers of the clinic's pages, derived from the tables of three studies of known truth.

Which rung to deploy, where it fails, for whom: each is worked out here from the rows alone and must
stand on page one and on the clinic's pages with its numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from tests.prediction_tables import Site
from tests.report.front_page.test_build import text_of
from tests.report.ladders import AWAY, HOME, LARGE, SMALL, Ladder, write_evaluation

from medtransfer.evaluation.comparison.choice.rung_pairs import pairs_frame, rung_pairs
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.report.clinic.pages import clinic_sections
from medtransfer.report.components import Facts, Note, Picture
from medtransfer.report.content import ReportData
from medtransfer.report.front_page.build import front_page
from medtransfer.report.front_page.names import with_readable_names
from medtransfer.report.page import render_front, with_choice
from medtransfer.report.reading import load_evaluation_data

pytestmark = pytest.mark.slow
READABLE = {SMALL: "ResNet-14 (from scratch)", LARGE: "ResNet-50 (ImageNet-21k)"}
POINT = "sens90"


@dataclass(frozen=True)
class Truth:
    """A made study and what was planted in it.

    Attributes:
        better: The rung that is better at home; None if both are equal.
        loses: True if evidence is missing at the other hospital.
        worse: The sex with less evidence; None if both have as much.
        targets: Names of the findings.
    """

    better: str | None
    loses: bool
    worse: str | None
    targets: tuple[str, ...] = ("edema",)

    @property
    def ladder(self) -> Ladder:
        """The study's runs."""
        wide: dict[str, float] = dict.fromkeys((SMALL, LARGE), 1.0 if self.better is None else 3.0)
        if self.better is not None:
            wide[self.better] = 0.5
        lost = 0.6 if self.worse == "F" else 0.0
        return Ladder(
            task="multi-label" if len(self.targets) > 1 else "binary",
            targets=self.targets,
            noise=wide,
            seeds=(0, 1, 2),
            sites={
                HOME: Site({"tune": 150, "test": 400}, separation=2.0, lost=lost),
                AWAY: Site({"test": 300}, separation=1.0 if self.loses else 2.0, lost=lost),
            },
            attributes=("sex",),
            config=EvaluationConfig(replicates=100, permutations=100, minimum_group=10),
        )


TRUTHS = {
    "large better, lost away, worse for women": Truth(LARGE, loses=True, worse="F"),
    "all equal": Truth(None, loses=False, worse=None),
    "small better on two findings, lost away": Truth(SMALL, True, None, ("edema", "nodule")),
}


@dataclass(frozen=True)
class Study:
    """Tables of a study, and the words that a reader of the clinic's pages sees.

    Attributes:
        data: Tables, with the recommended rung.
        first: Words of page one.
        clinic: Words of the clinic's pages.
    """

    data: ReportData
    first: str
    clinic: str

    @property
    def target(self) -> str:
        """Target of overall numbers."""
        return self.data.targets[0] if len(self.data.targets) == 1 else "macro"

    def row(self, metric: str, cohort: str, group: str = "all") -> dict[str, Any]:
        """The only row of the subject's mean over seeds."""
        rows = self.data.results.filter(
            pl.col("run_id").is_null(),
            rung=self.subject,
            metric=metric,
            cohort=cohort,
            target=self.target,
            attribute="all"
            if group == "all" and not metric.endswith(("_gap", "_gap_p"))
            else "sex",
            group=group,
        )
        assert len(rows) == 1, (metric, cohort, group, rows)
        return rows.row(0, named=True)

    @property
    def subject(self) -> str:
        """The rung that the numbers are of: the better one, else that of the highest AUROC."""
        chosen, _ = decided(self.data.pairs)
        if chosen is not None:
            return chosen
        means = self.data.results.filter(
            pl.col("run_id").is_null(),
            metric="auroc",
            cohort=HOME,
            target=self.target,
            attribute="all",
        )
        return str(means.sort("value")["rung"][-1])


@cache
def study(name: str) -> Study:
    """A study's tables and pages."""
    ladder = TRUTHS[name].ladder
    tables = ladder.tabulated()
    with TemporaryDirectory() as folder:
        write_evaluation(ladder, Path(folder), tables=tables)
        data = load_evaluation_data(Path(folder))
    data = with_choice(replace(data, pairs=pairs_frame(rung_pairs(tables.means))))
    readable = with_readable_names(data)
    words: list[str] = []
    for section in clinic_sections(readable, front_page(readable)):
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
    return Study(data, text_of(render_front(data)), "\n".join(words))


def number(value: float, digits: int = 2) -> str:
    """A number as the page writes it."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def amount(row: Mapping[str, Any], digits: int = 2) -> str:
    """A value with its interval."""
    value = row["difference"] if row.get("difference") is not None else row["value"]
    ends = f"[{number(row['low'], digits)}, {number(row['high'], digits)}]"
    return f"{number(value, digits)} {ends}"


def missed(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """100 minus a share in percent, and the ends of its interval."""
    shares = (row["value"], row["high"], row["low"])
    value, low, high = (number(100 * (1 - share), 0) for share in shares)
    return value, low, high


def decided(pairs: pl.DataFrame | None) -> tuple[str | None, dict[str, Any]]:
    """The better of two rungs at home, if the interval of their difference leaves zero out."""
    assert pairs is not None
    (row,) = pairs.filter(use="choice").to_dicts()
    if row["high"] < 0:
        ends = {"difference": -row["difference"], "low": -row["high"], "high": -row["low"]}
        return row["reference"], {**row, **ends}
    return (row["rung"] if row["low"] > 0 else None), row


@pytest.mark.parametrize("name", TRUTHS)
def test_the_rung_to_deploy_is_the_one_that_the_pairs_of_rungs_show(name: str) -> None:
    made, truth = study(name), TRUTHS[name]
    chosen, pair = decided(made.data.pairs)
    assert chosen == truth.better
    if chosen is None:
        assert "No network can be recommended over another." in made.first
        assert "Take " not in made.first
        other = {"difference": -pair["difference"], "low": -pair["high"], "high": -pair["low"]}
        assert amount(pair, 3) in made.first or amount(other, 3) in made.first
        assert "That the networks are equal: this study could not tell them apart." in made.first
    else:
        other = next(rung for rung in READABLE if rung != chosen)
        assert f"Take {READABLE[chosen]}." in made.first
        better = f"its AUROC is higher than that of {READABLE[other]} by {amount(pair, 3)}"
        assert better in made.first
        assert READABLE[chosen] in made.clinic


@pytest.mark.parametrize("name", TRUTHS)
def test_where_it_fails_is_where_the_loss_leaves_zero_out(name: str) -> None:
    made, truth = study(name), TRUTHS[name]
    drop = made.row("auroc_drop", AWAY)
    assert (drop["low"] > 0) == truth.loses
    lower = f"AUROC is lower than at {HOME}: by {amount(drop)} at {AWAY}."
    unclear = f"No change in AUROC from {HOME} was shown: the loss is {amount(drop)} at {AWAY}."
    assert (lower in made.first, unclear in made.first) == (truth.loses, not truth.loses)
    for cohort in (HOME, AWAY):
        value, low, high = missed(made.row(f"sensitivity@{POINT}", cohort))
        assert f"{value} [{low}, {high}]" in made.first
        words = f"Of 100 cases with the finding, about {value} are missed; with so many test cases"
        assert f"{words} it may be anything from {low} to {high}." in made.clinic
        value, low, high = missed(made.row(f"specificity@{POINT}", cohort))
        assert f"about {value} are called although there is nothing" in made.clinic


@pytest.mark.parametrize("name", TRUTHS)
def test_for_whom_it_fails_is_the_group_whose_gap_survives_correction(name: str) -> None:
    made, truth = study(name), TRUTHS[name]
    metrics = ("auroc", f"sensitivity@{POINT}")
    gaps = sorted(
        (
            made.row(f"{metric}_gap_p", HOME)["value"],
            -made.row(f"{metric}_gap", HOME)["value"],
            metric,
        )
        for metric in metrics
    )
    p, _, metric = gaps[0]
    gap = made.row(f"{metric}_gap", HOME)
    shown = min(1.0, 2 * p) < 0.05  # Holm's correction of the smaller of two p-values
    assert shown == (truth.worse is not None)
    title = "AUROC" if metric == "auroc" else "sensitivity"
    groups = {group: made.row(metric, HOME, group)["value"] for group in ("F", "M")}
    lowest, highest = sorted(groups, key=groups.__getitem__)
    worse = f"sex: {title} at {HOME} is lower for {lowest} than for {highest} by {amount(gap)}"
    unclear = "No gap between groups was shown; the clearest is in"
    for page in (made.first, made.clinic):
        assert (worse in page, unclear in page) == (shown, not shown)
    if shown:
        assert lowest == truth.worse
    else:
        assert f"{title} at {HOME} by sex, {amount(gap)}" in made.first
    for group in groups:
        value, low, high = missed(made.row(f"sensitivity@{POINT}", HOME, group))
        line = f"of 100 with the finding, {value} [{low}, {high}] are missed"
        assert any(x.startswith(f"{group} (") and line in x for x in made.clinic.splitlines())
