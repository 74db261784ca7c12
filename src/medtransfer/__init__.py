"""Compare pre-trained networks on your own medical images.

from medtransfer import read_study, run_study, write_report

folder = run_study(read_study("study.yaml"))
write_report(folder)

Every command of ``medtransfer`` calls one of these functions and prints what it returns.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medtransfer.analysis.table import read_understanding
    from medtransfer.analysis.trajectory import read_trajectory
    from medtransfer.automatic.advice import Advice
    from medtransfer.automatic.auto_study import AutoOutcome, auto_study
    from medtransfer.data.sources.combine_manifests import join_manifests
    from medtransfer.data.sources.import_source import import_source
    from medtransfer.deploy.adaptation.adapt import adapt_bundle
    from medtransfer.deploy.adaptation.adapted_bundle import AdaptedBundle
    from medtransfer.deploy.adaptation.tuning.config import (
        SequentialConfig,
        read_sequential_config,
    )
    from medtransfer.deploy.bundle.export import ExportOptions, export_bundle
    from medtransfer.deploy.bundle.reader import Bundle, read_bundle
    from medtransfer.deploy.dicom_report.reports import DicomReports, write_dicom_reports
    from medtransfer.deploy.exchange.export_layout import export_layout
    from medtransfer.deploy.exchange.file_input import FileInput
    from medtransfer.deploy.exchange.remake import remake_bundle
    from medtransfer.deploy.forgetting.forget_patient import ForgottenPatient, forget_patient
    from medtransfer.deploy.gallery.duplicates import make_duplicates_gallery
    from medtransfer.deploy.gallery.gallery import Gallery, make_gallery
    from medtransfer.deploy.gallery.selection import GalleryChoice
    from medtransfer.deploy.inference.decisions import BundlePredictions
    from medtransfer.deploy.inference.follow import Followed, follow_folder
    from medtransfer.deploy.inference.model import BundleModel, load_bundle
    from medtransfer.deploy.inference.predict_files import PredictionFiles, predict_files
    from medtransfer.deploy.monitoring.config import MonitorConfig
    from medtransfer.deploy.monitoring.monitor import Watch, monitor
    from medtransfer.deploy.server.config import ServerConfig
    from medtransfer.deploy.server.serve import serve
    from medtransfer.deploy.validation.config import ValidationConfig
    from medtransfer.deploy.validation.from_predictions import (
        LocalValidation,
        validate_predictions,
    )
    from medtransfer.deploy.validation.validate import Validation, validate_bundle
    from medtransfer.errors import (
        BundleError,
        ConfigError,
        ImageError,
        MedTransferError,
        StudyError,
        TableError,
        WeightsError,
    )
    from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
    from medtransfer.evaluation.comparison.adaptation.from_predictions import (
        AdaptationCurves,
        adaptation_curves,
    )
    from medtransfer.evaluation.comparison.adaptation.reading import (
        adaptation_savings,
        read_adaptation,
    )
    from medtransfer.evaluation.comparison.adaptation.table import read_adapt_table
    from medtransfer.evaluation.comparison.choice.rule import Recommendation
    from medtransfer.evaluation.comparison.corruptions.table import read_corruptions
    from medtransfer.evaluation.comparison.label_savings import savings
    from medtransfer.evaluation.comparison.levels.table import (
        read_level_comparisons,
        read_levels,
    )
    from medtransfer.evaluation.comparison.policies.table import read_group_thresholds
    from medtransfer.evaluation.comparison.readers.judged import read_readers
    from medtransfer.evaluation.comparison.size.goals import ExpectedPerformance, SizeGoals
    from medtransfer.evaluation.comparison.size.needed_size import SampleSizes, sample_size
    from medtransfer.evaluation.comparison.task_ranks import rank
    from medtransfer.evaluation.scoring.config import EvaluationConfig
    from medtransfer.integrity.fsck import FsckReport, fsck
    from medtransfer.pretraining.config import Pretrain
    from medtransfer.pretraining.run import PretrainingStopped, pretrain
    from medtransfer.report.compare.compare import compare_studies
    from medtransfer.report.compare.leaderboard import Leaderboard, leaderboard
    from medtransfer.report.evaluate import Evaluation, evaluate
    from medtransfer.report.formats.export import ReportFiles, ReportFormats, export_report
    from medtransfer.report.live.live_server import watch_study
    from medtransfer.report.page import write_report
    from medtransfer.report.recommendation import recommend
    from medtransfer.runs.embedded.make import FeatureFile, write_features
    from medtransfer.runs.folders import StudyFolder
    from medtransfer.study.caches import prepare_study
    from medtransfer.study.care.cancel import Cancellation, cancel_study
    from medtransfer.study.care.forget import ForgottenRuns, forget_runs
    from medtransfer.study.care.garbage import Garbage, collect_garbage
    from medtransfer.study.care.logs import LogEntry, read_log
    from medtransfer.study.care.retry import RetriedRun, retry_runs
    from medtransfer.study.check import CheckReport, check_manifest, check_study
    from medtransfer.study.config import Study
    from medtransfer.study.execution.one import run_one
    from medtransfer.study.execution.stopped import StudyStopped
    from medtransfer.study.planning.plan_study import plan_study
    from medtransfer.study.planning.study_plan import StudyPlan
    from medtransfer.study.record.drift import Drift, study_drift
    from medtransfer.study.record.export_log import ExportedLog, export_log
    from medtransfer.study.record.reproduce import Reproduction, reproduce_run
    from medtransfer.study.schedule import probe_study, run_study
    from medtransfer.study.template import init_study
    from medtransfer.study.yaml_file import read_evaluation_config, read_pretrain, read_study
    from medtransfer.tables.manifest import Manifest, read_manifest
    from medtransfer.tables.predictions import read_predictions
    from medtransfer.tables.results import read_comparisons, read_results

__all__ = [
    "AdaptConfig",
    "AdaptationCurves",
    "AdaptedBundle",
    "Advice",
    "AutoOutcome",
    "Bundle",
    "BundleError",
    "BundleModel",
    "BundlePredictions",
    "Cancellation",
    "CheckReport",
    "ConfigError",
    "DicomReports",
    "Drift",
    "Evaluation",
    "EvaluationConfig",
    "ExpectedPerformance",
    "ExportOptions",
    "ExportedLog",
    "FeatureFile",
    "FileInput",
    "Followed",
    "ForgottenPatient",
    "ForgottenRuns",
    "FsckReport",
    "Gallery",
    "GalleryChoice",
    "Garbage",
    "ImageError",
    "Leaderboard",
    "LocalValidation",
    "LogEntry",
    "Manifest",
    "MedTransferError",
    "MonitorConfig",
    "PredictionFiles",
    "Pretrain",
    "PretrainingStopped",
    "Recommendation",
    "ReportFiles",
    "ReportFormats",
    "Reproduction",
    "RetriedRun",
    "SampleSizes",
    "SequentialConfig",
    "ServerConfig",
    "SizeGoals",
    "Study",
    "StudyError",
    "StudyFolder",
    "StudyPlan",
    "StudyStopped",
    "TableError",
    "Validation",
    "ValidationConfig",
    "Watch",
    "WeightsError",
    "adapt_bundle",
    "adaptation_curves",
    "adaptation_savings",
    "auto_study",
    "cancel_study",
    "check_manifest",
    "check_study",
    "collect_garbage",
    "compare_studies",
    "evaluate",
    "export_bundle",
    "export_layout",
    "export_log",
    "export_report",
    "follow_folder",
    "forget_patient",
    "forget_runs",
    "fsck",
    "import_source",
    "init_study",
    "join_manifests",
    "leaderboard",
    "load_bundle",
    "make_duplicates_gallery",
    "make_gallery",
    "monitor",
    "plan_study",
    "predict_files",
    "prepare_study",
    "pretrain",
    "probe_study",
    "rank",
    "read_adapt_table",
    "read_adaptation",
    "read_bundle",
    "read_comparisons",
    "read_corruptions",
    "read_evaluation_config",
    "read_group_thresholds",
    "read_level_comparisons",
    "read_levels",
    "read_log",
    "read_manifest",
    "read_predictions",
    "read_pretrain",
    "read_readers",
    "read_results",
    "read_sequential_config",
    "read_study",
    "read_trajectory",
    "read_understanding",
    "recommend",
    "remake_bundle",
    "reproduce_run",
    "retry_runs",
    "run_one",
    "run_study",
    "sample_size",
    "savings",
    "serve",
    "study_drift",
    "validate_bundle",
    "validate_predictions",
    "watch_study",
    "write_dicom_reports",
    "write_features",
    "write_report",
]

_MODULES = {
    "Advice": "automatic.advice",
    "AutoOutcome": "automatic.auto_study",
    "auto_study": "automatic.auto_study",
    "AdaptConfig": "evaluation.comparison.adaptation.config",
    "AdaptationCurves": "evaluation.comparison.adaptation.from_predictions",
    "adaptation_curves": "evaluation.comparison.adaptation.from_predictions",
    "adaptation_savings": "evaluation.comparison.adaptation.reading",
    "read_adapt_table": "evaluation.comparison.adaptation.table",
    "read_adaptation": "evaluation.comparison.adaptation.reading",
    "read_trajectory": "analysis.trajectory",
    "read_understanding": "analysis.table",
    "read_corruptions": "evaluation.comparison.corruptions.table",
    "read_group_thresholds": "evaluation.comparison.policies.table",
    "read_readers": "evaluation.comparison.readers.judged",
    "read_level_comparisons": "evaluation.comparison.levels.table",
    "read_levels": "evaluation.comparison.levels.table",
    "Bundle": "deploy.bundle.reader",
    "ExportOptions": "deploy.bundle.export",
    "export_bundle": "deploy.bundle.export",
    "read_bundle": "deploy.bundle.reader",
    "FileInput": "deploy.exchange.file_input",
    "Followed": "deploy.inference.follow",
    "follow_folder": "deploy.inference.follow",
    "export_layout": "deploy.exchange.export_layout",
    "remake_bundle": "deploy.exchange.remake",
    "BundleModel": "deploy.inference.model",
    "BundlePredictions": "deploy.inference.decisions",
    "PredictionFiles": "deploy.inference.predict_files",
    "load_bundle": "deploy.inference.model",
    "predict_files": "deploy.inference.predict_files",
    "CheckReport": "study.check",
    "Evaluation": "report.evaluate",
    "FeatureFile": "runs.embedded.make",
    "FsckReport": "integrity.fsck",
    "EvaluationConfig": "evaluation.scoring.config",
    "ExpectedPerformance": "evaluation.comparison.size.goals",
    "Leaderboard": "report.compare.leaderboard",
    "LocalValidation": "deploy.validation.from_predictions",
    "Manifest": "tables.manifest",
    "Pretrain": "pretraining.config",
    "PretrainingStopped": "pretraining.run",
    "Recommendation": "evaluation.comparison.choice.rule",
    "SampleSizes": "evaluation.comparison.size.needed_size",
    "SizeGoals": "evaluation.comparison.size.goals",
    "Study": "study.config",
    "StudyFolder": "runs.folders",
    "StudyStopped": "study.execution.stopped",
    "check_manifest": "study.check",
    "check_study": "study.check",
    "compare_studies": "report.compare.compare",
    "fsck": "integrity.fsck",
    "evaluate": "report.evaluate",
    "import_source": "data.sources.import_source",
    "init_study": "study.template",
    "join_manifests": "data.sources.combine_manifests",
    "leaderboard": "report.compare.leaderboard",
    "prepare_study": "study.caches",
    "pretrain": "pretraining.run",
    "rank": "evaluation.comparison.task_ranks",
    "read_comparisons": "tables.results",
    "read_evaluation_config": "study.yaml_file",
    "read_manifest": "tables.manifest",
    "read_predictions": "tables.predictions",
    "read_pretrain": "study.yaml_file",
    "read_results": "tables.results",
    "read_study": "study.yaml_file",
    "recommend": "report.recommendation",
    "ReportFiles": "report.formats.export",
    "ReportFormats": "report.formats.export",
    "export_report": "report.formats.export",
    "run_one": "study.execution.one",
    "run_study": "study.schedule",
    "probe_study": "study.schedule",
    "plan_study": "study.planning.plan_study",
    "StudyPlan": "study.planning.study_plan",
    "sample_size": "evaluation.comparison.size.needed_size",
    "savings": "evaluation.comparison.label_savings",
    "Gallery": "deploy.gallery.gallery",
    "GalleryChoice": "deploy.gallery.selection",
    "make_duplicates_gallery": "deploy.gallery.duplicates",
    "make_gallery": "deploy.gallery.gallery",
    "DicomReports": "deploy.dicom_report.reports",
    "write_dicom_reports": "deploy.dicom_report.reports",
    "ServerConfig": "deploy.server.config",
    "serve": "deploy.server.serve",
    "MonitorConfig": "deploy.monitoring.config",
    "Watch": "deploy.monitoring.monitor",
    "monitor": "deploy.monitoring.monitor",
    "SequentialConfig": "deploy.adaptation.tuning.config",
    "read_sequential_config": "deploy.adaptation.tuning.config",
    "ValidationConfig": "deploy.validation.config",
    "AdaptedBundle": "deploy.adaptation.adapted_bundle",
    "Validation": "deploy.validation.validate",
    "adapt_bundle": "deploy.adaptation.adapt",
    "validate_bundle": "deploy.validation.validate",
    "validate_predictions": "deploy.validation.from_predictions",
    "write_features": "runs.embedded.make",
    "write_report": "report.page",
    "Cancellation": "study.care.cancel",
    "cancel_study": "study.care.cancel",
    "RetriedRun": "study.care.retry",
    "retry_runs": "study.care.retry",
    "LogEntry": "study.care.logs",
    "read_log": "study.care.logs",
    "Drift": "study.record.drift",
    "study_drift": "study.record.drift",
    "Reproduction": "study.record.reproduce",
    "reproduce_run": "study.record.reproduce",
    "watch_study": "report.live.live_server",
    "ExportedLog": "study.record.export_log",
    "export_log": "study.record.export_log",
    "ForgottenPatient": "deploy.forgetting.forget_patient",
    "forget_patient": "deploy.forgetting.forget_patient",
    "ForgottenRuns": "study.care.forget",
    "forget_runs": "study.care.forget",
    "Garbage": "study.care.garbage",
    "collect_garbage": "study.care.garbage",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import medtransfer` is quick."""
    if name not in __all__:
        raise AttributeError(f"module 'medtransfer' has no attribute '{name}'")
    return getattr(import_module(f"medtransfer.{_MODULES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
