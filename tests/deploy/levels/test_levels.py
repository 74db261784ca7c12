"""Units of several cases in a bundle: exams of two breasts, by the rule that the study stated."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from tests.deploy import handmade
from tests.deploy.dicom_images import write_dicom
from tests.deploy.validation.test_validate_bundle import QUICK, hospital_manifest
from tests.in_process import run_here

from medtransfer.deploy.adaptation.adapt import adapt_bundle
from medtransfer.deploy.bundle.export import export_bundle
from medtransfer.deploy.bundle.facts.targets import LevelFacts
from medtransfer.deploy.bundle.reader import Bundle, facts_text, read_bundle, read_facts
from medtransfer.deploy.inference.decisions import CaseImagesRead
from medtransfer.deploy.inference.model import BundleModel, load_bundle
from medtransfer.deploy.inference.predict_files import predict_files, prediction_summary
from medtransfer.deploy.inference.sources import case_source
from medtransfer.deploy.levels.units import unit_decisions
from medtransfer.errors import BundleError, TableError
from medtransfer.evaluation.comparison.levels.table import read_levels
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study

FACTS = handmade.facts(
    detectors=(handmade.DetectorFacts("energy", 1.0, 0.95),),
    levels=(
        LevelFacts("exam_id", "max", (handmade.target(thresholds={"sens90": 0.6}, sets=()),), ()),
    ),
)


def pictures(folder: Path, **columns: list[object]) -> Path:
    """A table of four images with some columns; the images are not opened."""
    names = [f"{number}.png" for number in range(4)]
    for name in names:
        (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    path = folder / "cases.csv"
    ids = {"case_id": ["a", "b", "c", "d"], "patient_id": ["p", "p", "q", "q"]}
    pl.DataFrame({"path": names, **ids, **columns}).write_csv(path)
    return path


def scores(cases: list[str], logits: list[float], energy: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "run_id": "b",
            "member": pl.Series([0] * len(cases), dtype=pl.Int64),
            "case_id": cases,
            "patient_id": ["p", "p", "q", "q"][: len(cases)],
            "cohort": "x",
            "split": "test",
            "target_x": pl.Series([None] * len(cases), dtype=pl.Float64),
            "logit_x": logits,
            "ood_energy": energy,
        }
    )


def test_a_unit_has_the_highest_logit_and_the_flags_of_its_cases(tmp_path: Path) -> None:
    table = pictures(tmp_path, exam_id=["one", "one", "two", "two"])
    source = case_source(table, "auto", images_per_case=1)
    given = scores(["a", "b", "c"], [-1.0, 0.5, 0.3], [0.0, 2.0, 0.0])
    images = {case: CaseImagesRead(1, 0, 0.5, 0.1) for case in "abc"}
    tables, notes = unit_decisions(FACTS, source, given, images)
    first, second = tables["exam_id"].sort("unit").rows(named=True)
    assert notes == []
    assert (first["unit"], first["patient_id"], first["cases"]) == ("one", "p", 2)
    assert first["logit_x"] == 0.5
    assert first["call_x_sens90"] == int(expit(0.5) >= 0.6)
    assert first["ood_by"] == "energy"
    assert first["deferred_because"] == "out of distribution by energy"
    assert (second["cases"], second["cases_missing"], second["images"]) == (2, 1, 1)
    assert second["deferred"]
    assert second["deferred_because"] == "1 case without a prediction"


def test_the_mean_is_of_probabilities_and_cases_without_a_unit_are_counted(tmp_path: Path) -> None:
    table = pictures(tmp_path, exam_id=["one", "one", None, None])
    source = case_source(table, "auto", images_per_case=1)
    level = replace(FACTS.levels[0], rule="mean")
    images = {case: CaseImagesRead(1, 0) for case in "abcd"}
    given = scores(["a", "b", "c", "d"], [-1.0, 0.5, 0.3, 0.3], [0.0] * 4)
    tables, notes = unit_decisions(replace(FACTS, levels=(level,)), source, given, images)
    (row,) = tables["exam_id"].rows(named=True)
    assert expit(row["logit_x"]) == pytest.approx((expit(-1) + expit(0.5)) / 2)
    assert notes == ["2 cases without 'exam_id': of no unit."]


def test_without_the_column_it_is_said_and_crossed_units_are_refused(tmp_path: Path) -> None:
    source = case_source(pictures(tmp_path), "auto", images_per_case=1)
    (note,) = unit_decisions(FACTS, source, scores([], [], []), {})[1]
    assert note.startswith("Nothing is predicted of units by 'exam_id': the cases come without th")
    table = pictures(tmp_path, exam_id=["one", "one", "one", "two"])
    with pytest.raises(TableError, match="1 group of values that several patients have"):
        unit_decisions(FACTS, case_source(table, "auto", images_per_case=1), scores([], [], []), {})


def test_sides_of_a_dicom_study_are_one_unit(tmp_path: Path) -> None:
    shades = np.full((16, 16), 90, np.uint8)
    for name, study, side in (("a", "1.2", "L"), ("b", "1.2", "R"), ("c", "1.3", "L")):
        write_dicom(tmp_path / f"{name}.dcm", shades, study=study, ImageLaterality=side)
    source = case_source([tmp_path], "side", images_per_case=1)
    ids = [case.case_id for case in source.cases]
    given = scores(ids, [1.0, 2.0, 3.0], [0.0] * 3)
    images = {case: CaseImagesRead(1, 0) for case in ids}
    tables, _ = unit_decisions(FACTS, source, given, images)
    units = tables["exam_id"].sort("unit")
    assert units["cases"].to_list() == [2, 1]
    assert units["logit_x"].to_list() == [2.0, 3.0]


def test_levels_of_other_targets_are_refused_and_left_out_where_there_are_none(
    tmp_path: Path,
) -> None:
    assert read_facts("b.medt", facts_text(FACTS).encode()) == FACTS
    assert '\n  "levels": ' in facts_text(FACTS)
    assert '\n  "levels": ' not in facts_text(handmade.facts())
    other = replace(FACTS, levels=(replace(FACTS.levels[0], targets=(handmade.target("y"),)),))
    with pytest.raises(BundleError, match="the targets of its levels are not its own"):
        handmade.write_by_hand(tmp_path / "b.medt", other)
    page = BundleModel(handmade.write_by_hand(tmp_path / "c.medt", FACTS)).show()
    assert "unit         cases of one exam_id together, by the highest logit of them" in page


@pytest.fixture(scope="module")
def study(
    tiny_study: Study, phantom_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> StudyFolder:
    folder = tmp_path_factory.mktemp("exams")
    frame = pl.read_parquet(phantom_folder / "lesion.parquet")
    frame.with_columns(exam_id=pl.col("patient_id")).write_parquet(folder / "lesion.parquet")
    fields = tiny_study.model_dump(exclude_unset=True)
    levels = {"exam_id": "max"}
    fields["data"] |= {"manifest": folder / "lesion.parquet", "levels": levels}
    return run_here(Study.model_validate(fields), folder / "study")


@pytest.fixture(scope="module")
def bundle(study: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export_bundle(study, tmp_path_factory.mktemp("bundle") / "exams.medt")


@pytest.mark.slow
def test_the_study_its_bundle_and_its_predictions_tell_the_same_of_exams(
    study: StudyFolder, bundle: Bundle, tmp_path: Path
) -> None:
    manifest = study.path.parent / "lesion.parquet"
    (level,) = bundle.facts.levels
    assert (level.name, level.rule) == ("exam_id", "max")
    results = read_levels(study.path / "curves" / "levels.parquet").filter(
        pl.col("run_id").is_null(), attribute="all", cohort="b", metric="sensitivity@sens90"
    )
    (promise,) = [
        n
        for n in level.promises
        if (n.split, n.cohort, n.metric, n.target)
        == ("test", "b", "sensitivity@sens90", "malignant")
    ]
    assert promise.value == pytest.approx(results.filter(target="malignant")["value"][0])
    made = predict_files(load_bundle(bundle.path, device="cpu"), manifest, tmp_path / "p.csv")
    units = pl.read_csv(tmp_path / "p.exam_id.csv")
    assert made.levels["exam_id"].name == "p.exam_id.csv"
    assert f"{len(units)} units by exam_id" in prediction_summary(made)
    cases = made.outcome.frame.join(
        pl.read_parquet(manifest).select("case_id", "exam_id").unique(), on="case_id"
    )
    highest = cases.group_by("exam_id").agg(pl.col("logit_malignant").max())
    both = units.join(highest, left_on="unit", right_on="exam_id", suffix="_case")
    assert len(both) == len(units)
    np.testing.assert_allclose(both["logit_malignant"], both["logit_malignant_case"], atol=1e-9)
    threshold = level.targets[0].thresholds["sens90"]
    assert threshold is not None
    called = expit(both["logit_malignant"].to_numpy()) >= threshold
    assert both["call_malignant_sens90"].to_list() == called.astype(int).tolist()
    assert "cases of one exam_id together, by the highest logit of them" in bundle.card


@pytest.mark.slow
def test_an_adapted_bundle_has_no_units_and_says_so(bundle: Bundle, tmp_path: Path) -> None:
    south = hospital_manifest(tmp_path, 40)
    made = adapt_bundle(bundle.path, south, tmp_path / "s.medt", arm="intercept", evaluation=QUICK)
    assert read_bundle(made.bundle.path).facts.levels == ()
    assert "units by exam_id were left out: their fits were the parent's" in made.changes
