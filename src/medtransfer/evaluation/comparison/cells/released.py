"""A cell's mean without the replicates that nothing over several cells asks for.

A study of thousands of runs would not fit into memory with all of them: a run has some hundred
numbers of a thousand replicates each.
"""

from dataclasses import replace

from medtransfer.evaluation.comparison.scaling import SCALED
from medtransfer.evaluation.comparison.seed_means import HEADLINE, Mean
from medtransfer.evaluation.comparison.target_means import WITHIN
from medtransfer.evaluation.scoring.estimate import Estimate, ResultKey
from medtransfer.tables.results import ALL


def released(mean: Mean, *, is_largest: bool) -> Mean:
    """A mean with what comparisons and summaries over several cells need.

    Kept with all replicates are the means of whole test sets, which are compared with other rungs;
    each seed's headline metric, which curves and robustness are made of; and, at the largest label
    fraction, each seed's metrics that have effects of scale. Of all other numbers the value in the
    sample stays.

    Args:
        mean: Whose own rows have been made.
        is_largest: True if no cell of the same setting has a larger label fraction.
    """
    return replace(
        mean,
        estimates={key: _shortened(key, e) for key, e in mean.estimates.items()},
        by_seed={
            key: values if _needs_seeds(key, is_largest) else values[:, :1].copy()
            for key, values in mean.by_seed.items()
        },
        decisions={key: right.copy() for key, right in mean.decisions.items()},
        shared={key: both for key, both in mean.shared.items() if key.metric == HEADLINE},
        gaps=(),
    )


def _needs_seeds(key: ResultKey, is_largest: bool) -> bool:
    """True if the replicates of each seed are asked for after the cell."""
    if key.attribute == ALL and key.metric in (HEADLINE, WITHIN):
        return True
    return is_largest and (key.attribute == ALL or key.metric == HEADLINE) and key.metric in SCALED


def _shortened(key: ResultKey, estimate: Estimate) -> Estimate:
    """An estimate of a group with its value alone; one of a whole test set as it is."""
    if key.attribute == ALL or estimate.values is None:
        return estimate
    return replace(estimate, values=estimate.values[:1].copy(), left_out=None)
