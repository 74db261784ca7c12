"""Units of a study's levels, fitted and measured for a bundle."""

import polars as pl

from medtransfer.data.config import LevelRule
from medtransfer.deploy.bundle.facts.targets import LevelFacts
from medtransfer.deploy.bundle.fits import all_target_facts
from medtransfer.deploy.bundle.promises import promised_numbers
from medtransfer.evaluation.comparison.levels.predictions import level_predictions
from medtransfer.evaluation.comparison.levels.units import level_units
from medtransfer.evaluation.scoring.score import measure_run
from medtransfer.posthoc.calibrators import CalibratorKind
from medtransfer.runs.config import Transfer


def measured_levels(
    run: Transfer, frame: pl.DataFrame, cases: pl.DataFrame, calibrator: CalibratorKind
) -> tuple[LevelFacts, ...]:
    """Facts of each level of a run: thresholds, calibrators and sets of its units, their numbers.

    Args:
        run: Configuration of the run.
        frame: Rows of its manifest.
        cases: Predictions of its cases, every member.
        calibrator: The one that is reported, if tune determines it.

    Raises:
        TableError: No unit is in the tuning split.
    """
    rules = run.data.levels
    units = level_units(frame, rules)
    return tuple(
        _measured(name, rule, level_predictions(cases, units[name], rule), run, calibrator)
        for name, rule in rules.items()
    )


def _measured(
    name: str, rule: LevelRule, frame: pl.DataFrame, run: Transfer, calibrator: CalibratorKind
) -> LevelFacts:
    nothing = frame.filter(member=0).select("case_id")
    measured = measure_run(frame, nothing, run.data.task, run.evaluation)
    return LevelFacts(
        name=name,
        rule=rule,
        targets=all_target_facts(run.data.targets, measured.fit, calibrator),
        promises=promised_numbers(measured, run.evaluation, []),
    )
