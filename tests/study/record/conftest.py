"""Copies of a finished study, to be spoilt."""

import shutil
from pathlib import Path

import pytest

from medtransfer.runs.folders import StudyFolder


@pytest.fixture
def study(finished: StudyFolder, tmp_path: Path) -> StudyFolder:
    """A copy of the finished study."""
    shutil.copytree(finished.path, tmp_path / "study", copy_function=shutil.copy2)
    return StudyFolder(tmp_path / "study")
