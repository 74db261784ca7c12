"""Which pre-trained network to fine-tune on your medical images, and how far to trust it.

from medtransfer import read_study, run_study, write_report

folder = run_study(read_study("study.yaml"))
write_report(folder)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medtransfer.errors import (
        ConfigError,
        ImageError,
        MedTransferError,
        StudyError,
        TableError,
        WeightsError,
    )
    from medtransfer.report.page import write_report
    from medtransfer.runs.folders import StudyFolder
    from medtransfer.study.config import Study
    from medtransfer.study.schedule import run_study
    from medtransfer.study.yaml_file import read_study
    from medtransfer.tables.manifest import Manifest, read_manifest
    from medtransfer.tables.predictions import read_predictions
    from medtransfer.tables.results import read_results

__all__ = [
    "ConfigError",
    "ImageError",
    "Manifest",
    "MedTransferError",
    "Study",
    "StudyError",
    "StudyFolder",
    "TableError",
    "WeightsError",
    "read_manifest",
    "read_predictions",
    "read_results",
    "read_study",
    "run_study",
    "write_report",
]

_HOME = {
    "Manifest": "tables.manifest",
    "Study": "study.config",
    "StudyFolder": "runs.folders",
    "read_manifest": "tables.manifest",
    "read_predictions": "tables.predictions",
    "read_results": "tables.results",
    "read_study": "study.yaml_file",
    "run_study": "study.schedule",
    "write_report": "report.page",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used, so that `import medtransfer` is quick."""
    if name not in __all__:
        raise AttributeError(f"module 'medtransfer' has no attribute '{name}'")
    return getattr(import_module(f"medtransfer.{_HOME.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
