"""The seeds of a rung as one more rung: their networks answer together, and nothing is trained.

Members' probabilities are averaged, and the ensemble's logits are those of the mean, by the same
rule as for every table with several members (`evaluation.scoring.run`).
"""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.grid_key import GridKey, ensemble_name
from medtransfer.settings import digest

SMALLEST = 2


def seed_ensembles(runs: Sequence[LadderRun], seeds: int) -> list[LadderRun]:
    """Ensembles of the seeds of each rung and training set.

    Args:
        runs: One per seed.
        seeds: Seeds that an ensemble has; a rung that lacks one has no ensemble.

    Returns:
        In the order of the runs, each without a seed: an ensemble is counted as none.
    """
    by_key: dict[GridKey, list[LadderRun]] = {}
    for run in runs:
        by_key.setdefault(run.key, []).append(run)
    return [
        _together(key, sorted(of_key, key=lambda run: run.seed or 0))
        for key, of_key in by_key.items()
        if len(of_key) == seeds >= SMALLEST
    ]


def _together(key: GridKey, members: Sequence[LadderRun]) -> LadderRun:
    run_id = f"ensemble-{digest([run.run_id for run in members])[:12]}"

    def predictions() -> pl.DataFrame:
        return pl.concat(
            [
                run.predictions().with_columns(
                    run_id=pl.lit(run_id), member=pl.lit(number, pl.Int64)
                )
                for number, run in enumerate(members)
            ]
        )

    named = replace(key, rung=ensemble_name(key.rung, len(members)))
    return LadderRun(run_id, named, None, predictions)
