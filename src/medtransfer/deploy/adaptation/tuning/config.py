"""Settings of the arm `sequential` of a bundle."""

from pathlib import Path
from typing import Literal

from medtransfer.settings import Settings, identity_if_set
from medtransfer.study.yaml_file import SettingsFile, read_settings

HELD_SHARE = 0.3
LEARNING_RATE = 0.001
FILE = SettingsFile(
    "Settings file",
    "It is YAML with settings of the further training, e.g. `learning_rate: 0.0003`; "
    "docs/how-to/validate-and-adapt.md lists them.",
)


class SequentialConfig(Settings):
    """Further training of a bundle's networks at another hospital."""

    learning_rate: float = identity_if_set(LEARNING_RATE, gt=0, lt=10)
    """Peak of the schedule, for batches of 32 cases."""
    steps: int | None = identity_if_set(None, ge=1, le=100_000)
    """Length of the training. Left out: 20 passes over the training cases, but at least 60 and at
    most 500 steps."""
    frozen_stages: int = identity_if_set(0, ge=0, le=100)
    """Groups of layers that stay as they are, from below; the stem is the first. 0 trains all."""
    batch_norm: Literal["fixed", "trained"] = identity_if_set("fixed")
    """Statistics of batch normalisation: `fixed` keeps those of the bundle, `trained` replaces them
    by those of the hospital's training cases. Networks without it are the same under both."""
    held_share: float = identity_if_set(HELD_SHARE, ge=0.1, le=0.5)
    """Share of the patients that is held back: they select the checkpoint, and thresholds,
    calibrators and the limits of the OOD gate are fitted on them."""
    seed: int = identity_if_set(0, ge=0)
    """Of the patients held back, the order of the cases and the crops. The patients that judge the
    network are the same under every seed."""


def read_sequential_config(path: Path | str) -> SequentialConfig:
    """Read settings of the arm `sequential`.

    Args:
        path: YAML file with fields of `SequentialConfig`.

    Returns:
        The settings.

    Raises:
        ConfigError: The file cannot be read, or settings are wrong; all of them, by line.
    """
    return read_settings(Path(path), SequentialConfig, FILE)
