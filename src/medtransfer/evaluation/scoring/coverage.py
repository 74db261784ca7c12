"""Coverage to expect of prediction sets, given the draw of the tuning cases."""

from collections.abc import Iterator

import numpy as np

from medtransfer.evaluation.scoring.estimate import Estimate, ResultKey
from medtransfer.evaluation.scoring.run import WHOLE_CASE
from medtransfer.evaluation.scoring.test_set import TestSet
from medtransfer.metrics.kernels.sums import Flags
from medtransfer.posthoc.conformal import Conformal
from medtransfer.posthoc.coverage_law import (
    CoverageRange,
    TestedCases,
    coverage_range,
    effective_size,
)
from medtransfer.tables.results import ALL, MACRO, Result

EXPECTED = "_expected"
"""Suffix of a coverage's name: its mean and 95 % range if the cases are like the tuning cases."""


def coverage_rows(test_set: TestSet) -> Iterator[Result]:
    """Expected coverage of every target, as rows of `coverage_<method>_expected`.

    Value and interval are the mean and the 95 % range of the coverage of cases that are
    exchangeable with the tuning cases. The range of `macro` is the mean of the targets' ranges:
    it supposes that targets err together, so it is not too narrow.
    """
    run = test_set.run
    of_targets: dict[str, list[CoverageRange]] = {}
    labelled = {target: test_set.cases & run.labelled(target) for target in run.numbers()}
    for target, rows in labelled.items():
        for method, conformal in test_set.fit[target].conformal.items() if rows.any() else ():
            expected = expected_coverage(test_set, target, rows, conformal)
            yield _row(test_set, target, method, rows, expected)
            of_targets.setdefault(method, []).append(expected)
    if len(run.names) > 1 and not run.single_label:
        any_labelled = np.logical_or.reduce(list(labelled.values()))
        for method, ranges in of_targets.items():
            ends = [(r.mean, r.low, r.high) for r in ranges]
            expected = CoverageRange(*np.mean(ends, axis=0).tolist())
            yield _row(test_set, None, method, any_labelled, expected)


def expected_coverage(
    test_set: TestSet, target: int, rows: Flags, conformal: Conformal
) -> CoverageRange:
    """Coverage to expect of labelled test cases if they are like the tuning cases.

    Args:
        test_set: The test set.
        target: Number of the target, or `WHOLE_CASE`.
        rows: Mask of the cases over the run's cases; some are True. [N]
        conformal: Sets with one threshold for all cases, or with one for each class.
    """
    run = test_set.run
    classes = run.truth(target)[rows]
    scores = conformal.score.of(run.probabilities_of(target)[rows])
    true_scores = scores[np.arange(len(classes)), classes]
    patients = run.frame["patient_id"].to_numpy().astype(np.str_)[rows]
    shared = np.full(len(classes), ALL)
    names = classes.astype(np.str_) if conformal.condition == "class" else shared
    tested: list[TestedCases] = []
    for name in conformal.names:
        cases = names == name
        size = effective_size(true_scores[cases], patients[cases])
        tested.append(TestedCases(int(cases.sum()), size))
    return coverage_range(conformal.draws, tested)


def _row(
    test_set: TestSet, target: int | None, method: str, rows: Flags, expected: CoverageRange
) -> Result:
    """Row of a target, or of their mean for None."""
    run = test_set.run
    positives = None
    if target is not None and target != WHOLE_CASE:
        positives = int(run.truth(target)[rows].sum())
    estimate = Estimate(
        values=None,
        cases=int(rows.sum()),
        patients=run.patients(rows),
        positives=positives,
    )
    name = MACRO if target is None else run.name_of(target)
    key = ResultKey(test_set.name, ALL, ALL, name, f"coverage_{method}{EXPECTED}")
    interval = (expected.low, expected.high)
    return estimate.row(key, expected.mean, interval, run_id=run.run_id)
