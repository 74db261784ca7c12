"""Reports of a finished study, and of an evaluation without a study."""

from pathlib import Path

import pytest
from tests.report.ladders import Ladder, write_evaluation

from medtransfer.report.page import write_evaluation_report, write_report
from medtransfer.runs.folders import StudyFolder


@pytest.fixture(scope="session")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation of two rungs, two label fractions and two seeds."""
    ladder = Ladder(fractions=(0.2, 1.0), seeds=(0, 1), retrained=(0.1, 1.0))
    return write_evaluation(ladder, tmp_path_factory.mktemp("evaluation"))


@pytest.fixture(scope="session")
def evaluation_page(evaluation: Path) -> Path:
    """Its report."""
    return write_evaluation_report(evaluation)


@pytest.fixture(scope="session")
def page(finished: StudyFolder) -> Path:
    """The report of a finished study."""
    return write_report(finished)
