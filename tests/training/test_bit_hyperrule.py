"""BiT-HyperRule, against the published code retold independently."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medtransfer.training.bit_hyperrule import (
    check_steps,
    make_schedule,
    mixup_alpha,
    resolution,
)


def published_rate(step: int, size: int, base: float) -> float | None:
    """`get_lr` of google-research/big_transfer, bit_hyperrule.py; None ends training."""
    if size < 20_000:
        supports = [100, 200, 300, 400, 500]
    elif size < 500_000:
        supports = [500, 3000, 6000, 9000, 10_000]
    else:
        supports = [500, 6000, 12_000, 18_000, 20_000]
    if step < supports[0]:
        return base * step / supports[0]
    if step >= supports[-1]:
        return None
    for support in supports[1:]:
        if support < step:
            base /= 10
    return base


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 19_999, 20_000, 499_999, 500_000, 10_000_000])
def test_the_schedule_is_the_published_one_at_every_step(size: int) -> None:
    schedule = make_schedule(size, 0.003)
    for step in range(schedule.steps):
        assert schedule.at(step) == pytest.approx(published_rate(step, size, 0.003), rel=1e-12)
    assert published_rate(schedule.steps, size, 0.003) is None


@pytest.mark.parametrize(
    ("height", "width", "sides"),
    [(95, 96, (160, 128)), (96, 96, (512, 480)), (64, 64, (160, 128)), (2000, 1500, (512, 480))],
)
def test_resolution_goes_by_the_images_area(height: int, width: int, sides) -> None:
    assert resolution(height * width) == sides


def test_mixup_starts_with_medium_tasks() -> None:
    assert [mixup_alpha(n) for n in (19_999, 20_000, 600_000)] == [0.0, 0.1, 0.1]


@given(steps=st.integers(1, 30_000), cases=st.integers(1, 1_000_000))
def test_another_length_keeps_warm_up_and_drops_in_order(steps: int, cases: int) -> None:
    schedule = make_schedule(cases, 0.01, steps)
    assert schedule.steps == steps
    rates = [schedule.at(s) for s in range(0, steps, max(1, steps // 200))]
    assert all(0 <= rate <= 0.01 for rate in rates)
    peak = rates.index(max(rates))
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    if steps >= 100:
        whole = make_schedule(cases, 0.01)
        share = whole.supports[0] / whole.steps
        assert schedule.supports[0] / steps == pytest.approx(share, abs=1 / steps)


@given(steps=st.integers(1, 5000), checks=st.integers(1, 60))
def test_the_last_step_is_always_checked(steps: int, checks: int) -> None:
    found = check_steps(steps, checks)
    assert found[-1] == steps
    assert found == sorted(set(found))
    assert min(found) >= 1
    assert len(found) == min(checks, len(found))


@pytest.mark.parametrize("size", [100, 30_000])
def test_a_cosine_is_torchs_after_the_warm_up(size: int) -> None:
    schedule = make_schedule(size, 0.02, 300, "cosine")
    warmup = schedule.supports[0]
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.02)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=300 - warmup)
    plain = make_schedule(size, 0.02, 300)
    for step in range(300):
        if step < warmup:
            assert schedule.at(step) == plain.at(step)
            continue
        assert schedule.at(step) == pytest.approx(peer.get_last_lr()[0], abs=1e-9)
        optimiser.step()
        peer.step()
    assert schedule.at(299) < 0.02 * 1e-4
