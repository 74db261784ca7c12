"""Reads of test data: the number of ways in which each test cohort was evaluated.

Whoever looks at test results and then changes something fits to the test data. The study's folder
remembers each way in which its tables were made: with which runs, settings and labels. Making the
same tables again does not count.
"""

from collections.abc import Mapping
from typing import Any, cast

from medtransfer.errors import StudyError
from medtransfer.files import read_json
from medtransfer.runs.folders import StudyFolder

READS = "reads.json"


def note_reads(folder: StudyFolder, evaluations: Mapping[str, str]) -> None:
    """Remember that results of test cohorts are made.

    Args:
        folder: Of the study; the caller holds its lease.
        evaluations: Digest of the runs, settings and labels that each cohort is evaluated with.
    """
    earlier = _noted(folder)
    noted = {name: list(ways) for name, ways in earlier.items()}
    for cohort, way in evaluations.items():
        ways = noted.setdefault(cohort, [])
        ways += [] if way in ways else [way]
    if noted != earlier:
        folder.write(READS, noted)


def count_reads(folder: StudyFolder) -> dict[str, int]:
    """Number of ways in which each test cohort was evaluated, by its name."""
    return {cohort: len(ways) for cohort, ways in _noted(folder).items()}


def _noted(folder: StudyFolder) -> dict[str, list[str]]:
    """Evaluations by cohort; none where the file is missing or damaged, as in older folders."""
    path = folder.path / READS
    try:
        content = cast("dict[str, Any]", read_json(path)) if path.is_file() else {}
        return {str(name): [str(way) for way in ways] for name, ways in content.items()}
    except (StudyError, TypeError, AttributeError):
        return {}
