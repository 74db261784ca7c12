"""The demonstration study without its files, for tests that need only its settings."""

from pathlib import Path
from unittest import mock

from medtransfer.recipes import demo
from medtransfer.study.config import Study


def demo_study_without_files() -> Study:
    """`recipes.demo.demo_study` with nothing written."""
    with mock.patch.object(demo, "write_phantom"), mock.patch.object(demo, "StudyFolder"):
        return demo.demo_study(Path("nowhere"))
