"""Settings of a tuning from the number of its cases."""

import pytest

from medtransfer.deploy.adaptation.tuning.rule import training_size, tuning_rule


@pytest.mark.parametrize(("cases", "steps"), [(17, 60), (160, 100), (70_000, 500)])
def test_steps_follow_the_cases_within_bounds(cases: int, steps: int) -> None:
    assert tuning_rule(cases).steps == steps


def test_training_images_leave_room_for_a_crop() -> None:
    assert training_size(128) == 160
    assert training_size(480) == 512
    assert training_size((896, 672)) == (956, 717)
