"""Tables of the levels that a study asks for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from medtransfer.evaluation.comparison.cells.kept_runs import KeptRuns
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.ladder import compare_runs
from medtransfer.evaluation.comparison.levels.predictions import level_runs
from medtransfer.evaluation.comparison.levels.table import (
    LEVEL_COMPARISONS_FILE,
    LEVELS_FILE,
    at_level,
)
from medtransfer.files import remove
from medtransfer.study.config import Study
from medtransfer.tables.schema import write_frame


def write_levels(
    study: Study,
    curves: Path,
    runs: Sequence[LadderRun],
    units: Mapping[str, pl.DataFrame],
    kept: KeptRuns,
) -> list[Path]:
    """Write results and comparisons of levels if they are asked for, else remove earlier ones.

    Args:
        study: Names the levels.
        curves: Folder of the tables.
        runs: Finished runs, in the order of their rungs.
        units: Of each level, from `evaluation.comparison.levels.units.level_units`.
        kept: Runs that were measured before.

    Returns:
        The files written.
    """
    paths = [curves / LEVELS_FILE, curves / LEVEL_COMPARISONS_FILE]
    if not units:
        for path in paths:
            remove(path)
        return []
    config = study.evaluation.model_copy(update={"intersections": (), "group_thresholds": ()})
    tables: list[tuple[pl.DataFrame, pl.DataFrame]] = []
    for level, rule in study.data.levels.items():
        compared = compare_runs(
            level_runs(runs, units[level], rule),
            pl.DataFrame(schema={"case_id": pl.String}),
            study.data.task,
            config,
            reference=study.reference_rung,
            kept=kept,
        )
        tables.append(
            (at_level(compared.results, level, rule), at_level(compared.comparisons, level, rule))
        )
    written: list[Path] = []
    for path, of_kind in zip(paths, zip(*tables, strict=True), strict=True):
        table = pl.concat(of_kind)
        if table.is_empty():  # one rung has no differences
            remove(path)
        else:
            write_frame(table, path)
            written.append(path)
    return written
