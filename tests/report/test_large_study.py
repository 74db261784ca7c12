"""A report of forty rungs, thirty targets, five hospitals and six attributes stays readable."""

import time

import pytest
from tests.report.large_study import large_data

from medtransfer.report.components import Fold, Note, ReportTable
from medtransfer.report.page import render
from medtransfer.report.questions.metric_tables import detailed_rungs, every_metric

SECONDS, MEGABYTES = 20, 5


@pytest.mark.slow
def test_a_large_study_is_drawn_in_seconds_and_stays_small() -> None:
    data = large_data()
    start = time.process_time()
    page = render(data)
    assert time.process_time() - start < SECONDS  # of this process, whatever else runs
    assert len(page.encode()) < MEGABYTES * 10**6
    assert all(rung in page for rung in data.rungs)


def test_of_many_rungs_the_best_and_the_reference_have_every_number() -> None:
    data = large_data(rungs=14, targets=2, cohorts=2, attributes=1)
    shown = detailed_rungs(data)
    assert data.best in shown
    assert data.reference in shown
    assert len(shown) in (8, 9)
    value = {rung: (data.headline_row(rung, data.main_cohort) or {})["value"] for rung in shown}
    rest = [rung for rung in data.rungs if rung not in shown]
    best = max((data.headline_row(rung, data.main_cohort) or {})["value"] for rung in rest)
    assert all(value[rung] > best for rung in shown if rung != data.reference)
    note, *folds = every_metric(data)[1:]
    assert isinstance(note, Note)
    assert f"all numbers of the other {len(rest)}" in note.text
    assert isinstance(folds[0], Fold)
    table = folds[0].parts[0]
    assert isinstance(table, ReportTable)
    assert list(table.head[2:]) == shown
