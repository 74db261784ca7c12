"""Bets against uniform p-values: evidence of a change that may be read at any time.

A gambler starts with one unit and bets on each p-value before it is seen. Every bet is fair while
the p-values are independent and uniform, so the probability that the wealth ever reaches 1 / α is
at most α, however often and for however long one looks (Ville 1939).
"""

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.kernels.sums import Floats

STAKES = (0.5, 1.0, 1.9)
"""Slopes of the bets; below 2, so that no bet can lose everything."""
PATIENCE = 100
"""Observations after which half of the money is at stake: the later it is staked, the later the
change that it waits for. At observation k the share PATIENCE / (k + PATIENCE)² is staked."""


def log_wealth(p_values: Floats) -> Floats:
    """Natural logarithm of the wealth after each p-value, for several streams at once.

    Bets are on small, on large, on extreme and on central p-values, each at three stakes. New money
    is staked at every observation, so a change is noticed whenever it comes, and what was lost
    before it does not matter.

    Args:
        p_values: NaN after the end of a stream. [K, n]

    Returns:
        Constant after the end of a stream. [K, n]
    """
    streams, length = p_values.shape
    stakes = np.array(STAKES)
    slopes = np.concatenate([stakes, -stakes])  # [6]
    staked = np.zeros((streams, 2 * len(slopes)))
    saved = np.ones(streams)
    scale = np.zeros(streams)  # logarithm that staked and saved are multiplied by
    wealth = np.zeros((streams, length))
    runs = ~np.isnan(p_values)
    for step in range(length):
        on = runs[:, step]
        release = np.where(on, saved / (step + 1 + PATIENCE), 0.0)
        saved = saved - release
        staked += release[:, None] / staked.shape[1]
        p = np.where(on, p_values[:, step], 0.5)
        factors = np.concatenate([_payoffs(p, slopes), _payoffs(np.abs(2 * p - 1), slopes)], axis=1)
        staked = np.where(on[:, None], staked * factors, staked)
        total = saved + staked.sum(axis=1)
        staked, saved, scale = staked / total[:, None], saved / total, scale + np.log(total)
        wealth[:, step] = scale
    return wealth


def _payoffs(uniform: Floats, slopes: Floats) -> Floats:
    """Payoffs of linear bets on values that are uniform if nothing has changed; mean 1. [K, 6]"""
    return 1 + slopes[None, :] * (uniform[:, None] - 0.5)


def first_alarm(wealth: Floats, rate: float) -> NDArray[np.int64]:
    """Position of the first observation at which the wealth reaches 1 / rate; -1 for never.

    Args:
        wealth: Of `log_wealth`. [K, n]
        rate: Probability, at most, that a stream without a change ever alarms.

    Returns:
        [K]
    """
    reached = wealth >= -np.log(rate)
    first = reached.argmax(axis=1) if wealth.shape[1] else np.zeros(len(wealth), dtype=np.int64)
    return np.where(reached.any(axis=1), first, -1).astype(np.int64)
