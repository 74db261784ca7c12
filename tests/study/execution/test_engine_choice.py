"""The engine that an option names, and how many runs it carries out at once."""

from pathlib import Path

import pytest

from medtransfer.engines.ray.engine import RayEngine
from medtransfer.engines.slurm import SlurmEngine
from medtransfer.errors import ConfigError
from medtransfer.study.execution.engine_choice import EngineChoice
from medtransfer.study.execution.workers import plan_workers


@pytest.mark.parametrize(
    ("on", "name"),
    [("local", "local"), ("slurm", "slurm"), ("ray", "ray"), ("h:1", "ray"), ("ray://h:1", "ray")],
)
def test_a_place_has_an_engine(on: str, name: str, tmp_path: Path) -> None:
    choice = EngineChoice(on)
    assert choice.name == name
    make = choice.maker(tmp_path, [], 3)
    kinds = {"local": None, "slurm": SlurmEngine, "ray": RayEngine}
    made = None if make is None else type(make())
    assert made is kinds[name]


def test_runs_at_once_are_those_of_the_machine_or_those_asked_for() -> None:
    here = plan_workers(None, [])
    assert EngineChoice("ray").workers(None, []) == (here, here)
    asked_of_ray = EngineChoice("ray").workers(7, [])
    assert (asked_of_ray[0], asked_of_ray[1].count) == (here, 7)
    assert EngineChoice("h:1").workers(700, [])[1].count == 700
    assert EngineChoice().workers(2, [])[0].count == 2


@pytest.mark.parametrize("on", ["local", "slurm", "ray", "h:1"])
def test_no_runs_at_once_are_refused(on: str) -> None:
    with pytest.raises(ConfigError, match=r"workers holds 0 \(allowed: 1 to "):
        EngineChoice(on).workers(0, [])


def test_a_word_that_is_no_place_is_refused_before_anything_else() -> None:
    with pytest.raises(ConfigError, match="--on holds 'moon'"):
        EngineChoice("moon").check()
