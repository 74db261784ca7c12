"""A finished study beside predictions of another framework, and beside itself."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from medtransfer.errors import ConfigError, StudyError, TableError
from medtransfer.report.compare.compare import compare_studies
from medtransfer.report.compare.side import OwnTable, Side, known_cases, own_side, study_side
from medtransfer.report.evaluate import Evaluation
from medtransfer.report.page import render_front
from medtransfer.report.reading import load_evaluation_data
from medtransfer.report.recommendation import recommend, recommendation_of
from medtransfer.runs.folders import StudyFolder
from medtransfer.tables.results import read_comparisons, read_results

OVERALL = (pl.col("attribute") == "all") & (pl.col("metric") == "auroc")


def own_predictions(study: StudyFolder) -> pl.DataFrame:
    """`case_id` and a score, of the cases that the study predicted."""
    cases = pl.read_parquet(study.path / "predictions.parquet").unique("case_id").sort("case_id")
    noise = np.random.default_rng(3).normal(size=len(cases))
    logit = cases["target_malignant"].to_numpy() * 2 - 1 + noise
    return cases.select("case_id", prob_malignant=pl.Series(1 / (1 + np.exp(-logit))))


@pytest.fixture(scope="module")
def compared(finished: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """The study beside a table that lacks all but ids and scores."""
    folder = tmp_path_factory.mktemp("compared")
    own_predictions(finished).write_csv(folder / "vendor.csv")
    return compare_studies([finished.path], folder / "out", predictions=[folder / "vendor.csv"])


def test_the_studys_own_numbers_are_those_of_its_report(
    finished: StudyFolder, compared: Evaluation
) -> None:
    of_means = OVERALL & pl.col("run_id").is_null() & (pl.col("label_fraction") == 1)
    of_means &= pl.col("retrain_fraction").is_null()
    names = ["rung", "cohort", "value", "low", "high"]
    both = [
        table.filter(of_means & (pl.col("rung") != "vendor")).select(names).sort("rung", "cohort")
        for table in (read_results(finished.path / "results.parquet"), compared.results)
    ]
    assert len(both[0]) == 4
    assert both[0].equals(both[1], null_equal=True)


def test_the_own_model_is_paired_with_the_reference_over_patients_and_seeds(
    finished: StudyFolder, compared: Evaluation
) -> None:
    rows = compared.comparisons.filter(pl.col("metric") == "auroc", pl.col("rung") == "vendor")
    assert rows["reference"].unique().to_list() == ["scratch/r14x0.5"]
    # the reference was trained twice, the own model once
    assert rows["contains"].drop_nulls().unique().to_list() == ["patients and some seeds"]
    assert rows["coverage"].unique().to_list() == [1.0]
    ours = compared.comparisons.filter(
        pl.col("metric") == "auroc", pl.col("rung") == "imagenet/effnet-lite0"
    )
    study = read_comparisons(finished.path / "comparisons.parquet").filter(
        pl.col("metric") == "auroc",
        pl.col("rung") == "imagenet/effnet-lite0",
        pl.col("label_fraction") == 1,
    )
    names = ["cohort", "difference", "low", "high", "p"]
    assert ours.select(names).equals(study.select(names), null_equal=True)


def test_what_was_taken_from_the_study_and_what_is_not_known_is_said(compared: Evaluation) -> None:
    text = " ".join(compared.notes)
    assert "vendor: Taken from the study by case_id: patient_id, cohort, split, target" in text
    assert "The patients that vendor was trained on are not known" in text
    assert "Compared on the" in text


def test_the_page_says_what_is_compared_and_names_no_case(
    finished: StudyFolder, compared: Evaluation
) -> None:
    page = compared.report.read_text("utf-8")
    assert "finished and vendor: comparison of studies" in page
    assert "Compared: vendor" in page
    data = load_evaluation_data(compared.folder)
    assert data.rungs == ["scratch/r14x0.5", "imagenet/effnet-lite0", "vendor"]
    infos = {info.name: info for info in data.rung_infos}
    assert infos["imagenet/effnet-lite0"].images == 1281167
    cases = pl.read_parquet(finished.path / "predictions.parquet")["case_id"].unique()
    assert not [case for case in cases if case in page]


def test_beside_a_model_trained_once_the_advice_is_that_of_the_study(
    finished: StudyFolder, compared: Evaluation
) -> None:
    data = load_evaluation_data(compared.folder)
    advice, own = recommendation_of(data), recommend(finished)
    assert advice.rung == own.rung
    assert advice.rests_on.pairs == own.rests_on.pairs
    assert [rung for rung, _ in advice.rests_on.left_out] == ["vendor"]
    assert advice.reason.startswith(own.reason)
    # nothing is known of the patients that the vendor's model was trained on
    assert advice.reason.endswith("may come from the training data.")
    front = render_front(data)
    assert "may come from the training data." in front
    assert "No recommendation is made" not in front


@pytest.mark.slow
def test_a_copy_of_a_study_is_told_and_differs_by_nothing(
    finished: StudyFolder, tmp_path: Path
) -> None:
    shutil.copytree(finished.path, tmp_path / "copy")
    both = compare_studies([finished.path, tmp_path / "copy"], tmp_path / "out")
    assert any("hold 4 runs that are the same" in note for note in both.notes)
    rung = "scratch/r14x0.5 (finished 2)"
    row = both.comparisons.filter(pl.col("metric") == "auroc", pl.col("rung") == rung)
    assert row["difference"].to_list() == [0.0, 0.0]


def read_own(study: StudyFolder, table: pl.DataFrame, path: Path, **settings: Any) -> Side:
    """A table of an own model as it stands beside the study."""
    table.write_csv(path)
    known = known_cases([study_side(study.path).side])
    return own_side(OwnTable(path, **settings), known, single_label=False)


def test_words_of_a_class_column_are_read_as_asked(finished: StudyFolder, tmp_path: Path) -> None:
    truth = pl.read_parquet(finished.path / "predictions.parquet").unique("case_id")
    words = pl.when(pl.col("target_malignant") == 1).then(pl.lit("mel")).otherwise(pl.lit("nev"))
    dx = truth.select("case_id", dx=words)
    table = own_predictions(finished).join(dx, on="case_id", maintain_order="left")
    settings = {"columns": {"target_malignant": "dx"}, "values": {"dx": {"mel": "1", "nev": "0"}}}
    side = read_own(finished, table, tmp_path / "own.csv", **settings)
    same = side.frame.join(truth, on=["case_id", "target_malignant"], how="semi")
    assert len(same) == len(table)
    assert any("written as '1'" in note for note in side.notes)
    with pytest.raises(TableError, match="column 'diagnosis' of --values is not in the table"):
        read_own(finished, table, tmp_path / "own.csv", values={"diagnosis": {"mel": "1"}})


def test_rows_of_cases_that_no_study_predicted_are_counted(
    finished: StudyFolder, tmp_path: Path
) -> None:
    table = own_predictions(finished)
    stranger = table.head(1).with_columns(case_id=pl.lit("stranger"))
    side = read_own(finished, pl.concat([table, stranger]), tmp_path / "own.csv")
    assert "own: 1 row of cases that the study did not predict: left out." in side.notes
    assert len(side.frame) == len(table)


def test_a_study_knows_the_patients_it_was_trained_and_selected_on(
    finished: StudyFolder,
) -> None:
    side = study_side(finished.path).side
    assert side.knows_training
    tested = side.frame.filter(pl.col("split") == "test")["patient_id"]
    assert not side.trained.is_in(tested.implode()).any()
    tuned = side.frame.filter(pl.col("split") == "tune")["patient_id"]
    assert tuned.is_in(side.trained.implode()).all()
    assert len(side.trained) > tuned.n_unique()


def test_a_cohort_under_another_name_is_a_fault_and_internal_names_it(
    finished: StudyFolder, tmp_path: Path
) -> None:
    path = tmp_path / "own.csv"
    own_predictions(finished).write_csv(path)
    with pytest.raises(TableError, match="'cohort' of 24 case_ids is not the same"):
        compare_studies([finished.path], tmp_path / "out", predictions=[path], internal="a")


def test_faults_of_the_call_come_before_any_work(finished: StudyFolder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one study is named; a comparison needs another"):
        compare_studies([finished.path], tmp_path / "out")
    with pytest.raises(ConfigError, match="is named twice"):
        compare_studies([finished.path, finished.path], tmp_path / "out")
    with pytest.raises(StudyError, match="is the folder of a study. Name another"):
        compare_studies([finished.path], finished.path, predictions=[tmp_path / "x.csv"])
    with pytest.raises(ConfigError, match="no study is named"):
        compare_studies([], tmp_path / "out", predictions=[tmp_path / "x.csv"])


def test_an_edited_predictions_table_is_refused(finished: StudyFolder, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished.path, copy)
    table = pl.read_parquet(copy / "predictions.parquet")
    flipped = table.with_columns(logit_malignant=-pl.col("logit_malignant"))
    flipped.write_parquet(copy / "predictions.parquet")
    with pytest.raises(StudyError, match=r"Not as sealed .*predictions\.parquet"):
        compare_studies([copy, finished.path], tmp_path / "out")
