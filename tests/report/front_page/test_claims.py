"""Sentences of page one on data sets of known truth, as `benchmarks/claims.py` counts them.

The counts stand in docs/explanation/intervals.md.
"""

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "claims.py"


@pytest.fixture(scope="module")
def claims() -> Iterator[ModuleType]:
    """The benchmark; its folder is no package."""
    spec = importlib.util.spec_from_file_location("claims", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["claims"] = module  # dataclasses look for the module of a class
    spec.loader.exec_module(module)
    yield module
    del sys.modules["claims"]


def test_a_verdict_counts_the_wrong_thing_shown_as_too_much(
    claims: ModuleType, tmp_path: Path
) -> None:
    world = claims.WORLDS["better at home, equal away"]
    page = claims.page_of(claims.draw_table(world, 0), tmp_path)
    assert claims.verdict(world, page, "transfer") == "right"
    turned = {"transfer": (f"{claims.FIRST} is better than {claims.SECOND}",)}
    assert claims.verdict(replace(world, shown=turned), page, "transfer") == "too much"
    assert claims.verdict(replace(world, shown={}), page, "transfer") == "too much"
    found = {"groups": ("is lower for F",)}
    assert claims.verdict(replace(world, shown=found), page, "groups") == "too little"


def test_the_truth_of_a_world_is_in_its_tables(claims: ModuleType) -> None:
    """Large samples: probabilities are right before noise, and women's cases carry less."""
    table = claims._draw_cohort(claims.WORLDS["one group worse"], 0, claims.HOME, 40_000)
    probability = 1 / (1 + np.exp(-table["logit_x"].to_numpy()))
    ill = table["target_x"].to_numpy()
    for low in (0.1, 0.4, 0.7):
        within = (probability > low) & (probability < low + 0.2)
        assert ill[within].mean() == pytest.approx(probability[within].mean(), abs=0.02)
    apart = {
        sex: np.diff(
            [
                rows["logit_x"].mean()
                for _, rows in part.sort("target_x").group_by("target_x", maintain_order=True)
            ]
        )[0]
        for (sex,), part in table.group_by("sex")
    }
    assert apart["F"] == pytest.approx(0.6**2, abs=0.05)
    assert apart["M"] == pytest.approx(1.5**2, abs=0.1)


@pytest.mark.parametrize(
    ("much", "right", "is_there", "met"),
    [(0, 100, False, True), (11, 89, False, True), (12, 88, False, False), (0, 30, True, False)],
)
def test_a_goal_is_missed_beyond_three_standard_errors(
    claims: ModuleType, much: int, right: int, *, is_there: bool, met: bool
) -> None:
    assert claims._meets(much / 100, right / 100, 100, is_there=is_there) is met


@pytest.mark.slow
def test_page_one_claims_what_is_true_and_little_else(
    claims: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert claims.main(["--quick"]) == 0, capsys.readouterr().out
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "goals missed: none"
    worlds = Counter(line[:30].strip() for line in lines[2:-1])
    assert worlds == {name: len(world.asked) for name, world in claims.WORLDS.items()}
