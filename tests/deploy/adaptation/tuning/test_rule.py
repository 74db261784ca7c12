"""Settings of a tuning from the number of its cases."""

import pytest

from medtransfer.deploy.adaptation.tuning.config import SequentialConfig
from medtransfer.deploy.adaptation.tuning.rule import training_size, tuning_rule


@pytest.mark.parametrize(("cases", "steps"), [(17, 60), (160, 100), (70_000, 500)])
def test_steps_follow_the_cases_within_bounds(cases: int, steps: int) -> None:
    assert tuning_rule(cases, SequentialConfig()).steps == steps


def test_settings_go_before_the_rule() -> None:
    asked = SequentialConfig(learning_rate=0.01, steps=4, frozen_stages=2)
    training = tuning_rule(70_000, asked)
    assert (training.learning_rate, training.steps, training.checks) == (0.01, 4, 4)
    assert (training.tuning.mode, training.tuning.frozen_stages) == ("partial", 2)
    assert tuning_rule(17, SequentialConfig()).tuning.mode == "full"


def test_training_images_leave_room_for_a_crop() -> None:
    assert training_size(128) == 160
    assert training_size(480) == 512
    assert training_size((896, 672)) == (956, 717)
