"""Settings of further training from a file, refused by line before a bundle is opened."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from medtransfer.cli.main import app
from medtransfer.deploy.adaptation.tuning.config import SequentialConfig, read_sequential_config
from medtransfer.errors import ConfigError

WRONG = """learning_rate: -1
steps: many
frozen_stages: -2
batch_norm: frozen
held_share: 0.9
lerning_rate: 1
"""


def test_settings_are_read_and_the_rest_is_as_by_rule(tmp_path: Path) -> None:
    path = tmp_path / "tune.yaml"
    path.write_text("learning_rate: 0.0003\nsteps: 200\n", "utf-8")
    assert read_sequential_config(path) == SequentialConfig(learning_rate=0.0003, steps=200)


def test_all_that_is_wrong_is_said_with_its_line_and_what_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "tune.yaml"
    path.write_text(WRONG, "utf-8")
    with pytest.raises(ConfigError) as refusal:
        read_sequential_config(path)
    assert str(refusal.value).splitlines() == [
        "tune.yaml:1: learning_rate holds -1 (allowed: over 0 below 10)",
        "tune.yaml:2: steps holds many (allowed: whole numbers from 1 up to 100000)",
        "tune.yaml:3: frozen_stages holds -2 (allowed: whole numbers from 0 up to 100)",
        "tune.yaml:4: batch_norm holds frozen (allowed: fixed, trained)",
        "tune.yaml:5: held_share holds 0.9 (allowed: from 0.1 up to 0.5)",
        "tune.yaml:6: 'lerning_rate' is not a setting. Did you mean 'learning_rate'?",
        "6 faults; nothing was run.",
    ]
    with pytest.raises(ConfigError, match=r'Settings file "none.yaml" does not exist. It is YAML'):
        read_sequential_config("none.yaml")


def test_a_wrong_file_is_refused_before_the_bundle_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "tune.yaml"
    path.write_text("steps: 0\n", "utf-8")
    words = ["adapt", "none.medt", "none.csv", "-o", "new.medt", "--arm", "sequential"]
    outcome = CliRunner().invoke(app, [*words, "--settings", str(path)])
    assert isinstance(outcome.exception, ConfigError)
    assert "steps holds 0 (allowed: whole numbers from 1" in str(outcome.exception)
