"""Files of answers that are known: a table per run and question. They may be deleted."""

from pathlib import Path

from medtransfer.analysis.questions import Understanding
from medtransfer.runs.folders import StudyFolder
from medtransfer.settings import digest
from medtransfer.study.plan import PlannedRun

VERSION = 1
"""Raised when the same run gives other numbers."""
ANSWERS = "understanding"
"""Their folder in that of the study."""


def answer_place(folder: StudyFolder, run: PlannedRun, question: Understanding) -> Path:
    """File of one answer, named by all that it is made from."""
    key = {
        "version": VERSION,
        "cases": run.predicted.digest,
        "attributes": run.cell.run.data.attributes,
    }
    return folder.path / ANSWERS / f"{run.run_id}-{question}-{digest(key)[:12]}.parquet"
