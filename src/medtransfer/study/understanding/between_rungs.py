"""Similarity of the rungs of a study to each other after training, stage by stage. No torch.

What is kept of a run are the Gram matrices of its stages, so that no pair of networks has to be in
memory at once.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from medtransfer.analysis.grams import NetworkGrams, between, read_grams
from medtransfer.analysis.questions import FEATURES
from medtransfer.analysis.table import AskedRun, UnderstandingRow
from medtransfer.errors import StudyError
from medtransfer.study.plan import PlannedRun


def between_rungs(runs: Sequence[PlannedRun], files: Mapping[str, Path]) -> list[UnderstandingRow]:
    """CKA of every two rungs, of runs with the same seed.

    Networks whose stages have the same names are compared stage by stage, others by the features
    before their heads alone: the stages of networks of different families do not belong together.

    Args:
        runs: Finished runs that are asked, one for each rung and seed.
        files: Gram matrices by run id; runs without a file are left out.

    Raises:
        StudyError: Runs looked at different cases.
    """
    rows: list[UnderstandingRow] = []
    for seed in sorted({run.cell.seed for run in runs}):
        grams: list[tuple[AskedRun, NetworkGrams]] = []
        for run in runs:
            if run.cell.seed != seed or not files[run.run_id].is_file():
                continue
            try:
                asked = AskedRun(run.cell.rung, run.run_id, seed)
                grams.append((asked, read_grams(files[run.run_id])))
            except StudyError as error:
                logging.getLogger(__name__).warning("%s", error)
        for first, second in combinations(grams, 2):
            rows += _pair(*first, *second)
    return rows


def _pair(
    run: AskedRun, grams: NetworkGrams, other: AskedRun, others: NetworkGrams
) -> Iterator[UnderstandingRow]:
    """Rows of two runs: the first's stages against the second's."""
    alike = list(grams.by_stage) == list(others.by_stage)
    for stage in grams.by_stage if alike else [FEATURES]:
        yield run.row(
            "rung_similarity",
            (grams.numbers[stage], stage),
            other.rung,
            "cka",
            between(grams, others, stage, stage),
            cases=len(grams.case_ids),
        )
