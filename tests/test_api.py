"""The public functions do in Python what the commands do, and say what they take and return."""

import inspect
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import medtransfer
from medtransfer import (
    EvaluationConfig,
    StudyError,
    TableError,
    evaluate,
    rank,
    read_comparisons,
    read_results,
    savings,
)
from tests.prediction_tables import Site, binary_table

FUNCTIONS = [
    name
    for name in medtransfer.__all__
    if inspect.isfunction(getattr(medtransfer, name)) and not name.startswith("read_")
]
COMMANDS = {
    "import": "import_source",
    "join": "join_manifests",
    "init": "init_study",
    "auto": "auto_study",
    "check": "check_study",
    "prepare": "prepare_study",
    "pretrain": "pretrain",
    "run": "run_study",
    "report": "write_report",
    "recommend": "recommend",
    "evaluate": "evaluate",
    "compare": "compare_studies",
    "leaderboard": "leaderboard",
    "rank": "rank",
    "savings": "savings",
    "size": "sample_size",
    "fsck": "fsck",
    "export": "export_bundle",
    "predict": "predict_files",
    "validate": "validate_bundle",
    "adapt": "adapt_bundle",
    "features": "write_features",
    "plan": "plan_study",
    "monitor": "monitor",
    "serve": "serve",
    "gallery": "make_gallery",
    "cancel": "cancel_study",
    "retry": "retry_runs",
    "gc": "collect_garbage",
    "forget": "forget_runs",
    "export-log": "export_log",
    "watch": "watch_study",
    "drift": "study_drift",
    "reproduce": "reproduce_run",
}


WITHOUT_COMMAND = {
    "make_duplicates_gallery",  # `gallery --duplicates`
    "adaptation_curves",
    "adaptation_savings",
    "check_manifest",
    "export_layout",
    "follow_folder",
    "export_report",
    "forget_patient",
    "load_bundle",
    "probe_study",
    "remake_bundle",
    "run_one",
    "validate_predictions",
    "write_dicom_reports",
}
"""Functions that only Python has, or whose command calls another one."""


def test_every_command_that_computes_has_a_public_function() -> None:
    assert set(COMMANDS.values()) | WITHOUT_COMMAND == set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_documents_arguments_result_and_errors(name: str) -> None:
    function = getattr(medtransfer, name)
    text = inspect.getdoc(function) or ""
    for section in ("Args:", "Returns:", "Raises:"):
        assert section in text, section
    for parameter in inspect.signature(function).parameters:
        assert f"    {parameter}: " in text, parameter


@pytest.mark.parametrize("name", medtransfer.__all__)
def test_every_public_name_has_a_docstring_of_its_own(name: str) -> None:
    assert inspect.getdoc(getattr(medtransfer, name))


@pytest.mark.slow
def test_a_table_is_evaluated_and_tasks_are_ranked(tmp_path: Path) -> None:
    config = EvaluationConfig(replicates=20, permutations=0)
    for seed, task in enumerate(("skin", "chest")):
        sites = {"a": Site({"tune": 30, "test": 60})}
        strong = binary_table(sites, seed=seed, run_id="strong")
        noise = 4 * np.random.default_rng(seed).normal(size=len(strong))
        weak = strong.with_columns(run_id=pl.lit("weak"), logit_x=pl.col("logit_x") + noise)
        strong.vstack(weak).write_parquet(tmp_path / f"{task}.parquet")
        evaluation = evaluate(tmp_path / f"{task}.parquet", tmp_path / task, config=config)
        assert evaluation.report.is_file()
        assert evaluation.notes[-1] == "One target: the task is binary."
        assert read_results(tmp_path / task / "results.parquet").equals(evaluation.results)
        path = tmp_path / task / "comparisons.parquet"
        assert read_comparisons(path).equals(evaluation.comparisons)
    ranked = rank([tmp_path / "skin", tmp_path / "chest"])
    assert ranked.tasks == ("skin", "chest")
    assert set(ranked.rungs) == {"strong", "weak"}
    with pytest.raises(StudyError, match=r'skin.parquet" is a file'):
        evaluate(tmp_path / "chest.parquet", tmp_path / "skin.parquet")


def test_labels_saved_are_read_from_a_table_of_curves(tmp_path: Path) -> None:
    rows = "rung,label_fraction,value\na,0.1,0.6\na,1,0.8\nb,0.1,0.8\nb,1,0.9\n"
    (tmp_path / "curves.csv").write_text(rows, "utf-8")
    (saving,) = savings(tmp_path / "curves.csv", "a")
    assert (saving.rung, saving.saved) == ("b", pytest.approx(0.9))
    with pytest.raises(TableError, match="reference 'c' is not among a, b"):
        savings(tmp_path / "curves.csv", "c")
