"""Adapted bundles of several classes, and of networks that see clinical data."""

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest
from tests.deploy.validation.test_validate_bundle import QUICK
from tests.in_process import run_here
from typer.testing import CliRunner

from medtransfer.cli.main import app
from medtransfer.data.phantom import CLASSES, Hospital, Phantom, write_phantom
from medtransfer.deploy.adaptation.adapt import adapt_bundle
from medtransfer.deploy.adaptation.adapted_bundle import AdaptedBundle
from medtransfer.deploy.adaptation.patients import require_answers
from medtransfer.deploy.adaptation.tuning.config import SequentialConfig
from medtransfer.deploy.bundle.export import ExportOptions, export_bundle
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.inference.model import load_bundle
from medtransfer.deploy.validation.labelled_cases import LabelledPatients
from medtransfer.deploy.validation.validate import validate_bundle
from medtransfer.errors import ConfigError
from medtransfer.study.config import Study

FEW_STEPS = SequentialConfig(learning_rate=0.01, steps=4)
Arm = Literal["probe", "sequential"]
ARMS: tuple[Arm, ...] = ("probe", "sequential")


def manifest(path: Path, hospitals: dict[str, Hospital], *, views: int = 1) -> Path:
    """Lesions with their class, and a laboratory value of each case."""
    write_phantom(
        Phantom(kind="lesion", hospitals=hospitals, size=32, signal=1.5, views=views), path
    )
    table = pl.read_parquet(path)
    cases = table["case_id"].unique(maintain_order=True)
    values = np.round(np.random.default_rng(0).normal(50, 10, len(cases)), 1)
    crp = pl.DataFrame({"case_id": cases, "crp": values})
    table.join(crp, on="case_id", maintain_order="left").write_parquet(path)
    return path


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hospital") / "south.parquet"
    return manifest(path, {"south": Hospital(70, contrast=0.6)}, views=2)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """A network of three classes that sees images alone, and one that sees clinical data too."""
    folder = tmp_path_factory.mktemp("classes")
    table = manifest(folder / "home.parquet", {"a": Hospital(90), "b": Hospital(20, contrast=0.7)})
    study = Study.model_validate(
        {
            "name": "classes",
            "data": {
                "manifest": table,
                "task": "single-label",
                "class_column": "diagnosis",
                "targets": list(CLASSES),
                "image": {"resize": 36, "crop": 32},
                "split": {"train_cohorts": ["a"]},
            },
            "covariates": ["crp", "sex"],
            "rungs": ["scratch/r14x0.5"],
            "training": {"batch_size": 8, "micro_batch": 8, "steps": 6, "checks": 2},
            "evaluation": {"replicates": 50, "permutations": 20},
        }
    )
    done = run_here(study, folder / "study")
    options = ExportOptions(calibrator="vector")
    rungs = {"images": "scratch/r14x0.5", "clinical": "scratch/r14x0.5@covariates"}
    return {
        kind: export_bundle(done, folder / f"{kind}.medt", rung=rung, options=options)
        for kind, rung in rungs.items()
    }


def adapted(parent: Bundle, table: Path, out: Path, arm: Arm) -> AdaptedBundle:
    return adapt_bundle(
        parent.path,
        table,
        out,
        arm=arm,
        patients=50,
        sequential=FEW_STEPS if arm == "sequential" else None,
        evaluation=QUICK,
    )


@pytest.mark.slow
@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("kind", ["images", "clinical"])
def test_the_new_bundle_predicts_what_it_promises(
    bundles: dict[str, Bundle], hospital: Path, tmp_path: Path, kind: str, arm: Arm
) -> None:
    made = adapted(bundles[kind], hospital, tmp_path / "n.medt", arm)
    facts, promised = made.bundle.facts, made.bundle.promised
    frame = load_bundle(made.bundle.path).predict(hospital).frame
    known = made.bundle.training_digests.known_patients(frame["patient_id"].to_list())
    assert known is not None
    assert known.sum() == 50
    others = frame.filter(pl.Series(~known))
    for number, name in enumerate(facts.names):
        logits = np.sort(promised.logits[0, promised.is_test, number])
        np.testing.assert_allclose(logits, np.sort(others[f"logit_{name}"].to_numpy()), atol=1e-4)
    validation = validate_bundle(made.bundle.path, hospital, tmp_path / "v", evaluation=QUICK)
    for judgement in validation.local.verdict.carried:
        assert judgement.here.value == pytest.approx(judgement.promised.value, abs=1e-6)
    names = "keratosis, melanoma, nevus"
    assert made.changes[0].startswith(f"{names}: {arm} (")
    assert not any(change.startswith("melanoma: ") for change in made.changes)
    assert facts.clinical == bundles[kind].facts.clinical
    assert facts.case is not None
    assert facts.case.calibrator == ("vector" if arm == "sequential" else None)


@pytest.mark.slow
@pytest.mark.parametrize("arm", ARMS)
def test_clinical_data_are_seen_in_the_fit_and_after_it(
    bundles: dict[str, Bundle], hospital: Path, tmp_path: Path, arm: Arm
) -> None:
    blind = pl.read_parquet(hospital).drop("crp", "sex")
    blind.write_parquet(tmp_path / "blind.parquet")
    parent = bundles["clinical"]
    seeing = adapted(parent, hospital, tmp_path / "s.medt", arm)
    unseeing = adapted(parent, tmp_path / "blind.parquet", tmp_path / "b.medt", arm)
    assert any("'crp': missing in 70 cases" in note for note in unseeing.notes)
    assert seeing.bundle.weights(0) != unseeing.bundle.weights(0)
    model = load_bundle(seeing.bundle.path)
    logits = [
        model.predict(table).frame["logit_nevus"].to_numpy()
        for table in (hospital, tmp_path / "blind.parquet")
    ]
    assert not np.allclose(*logits, atol=1e-4)


@pytest.mark.slow
def test_clinical_data_may_lie_in_a_table_of_their_own(
    bundles: dict[str, Bundle], hospital: Path, tmp_path: Path
) -> None:
    table = pl.read_parquet(hospital)
    table.drop("crp").write_parquet(tmp_path / "images.parquet")
    table.select("case_id", "crp").unique("case_id").write_csv(tmp_path / "crp.csv")
    words = ["adapt", str(bundles["clinical"].path), str(tmp_path / "images.parquet")]
    words += ["--arm", "probe", "--patients", "50", "-o", str(tmp_path / "n.medt")]
    outcome = CliRunner().invoke(app, [*words, "--clinical", str(tmp_path / "crp.csv")])
    assert outcome.exit_code == 0, outcome.exception
    assert "'crp': missing" not in outcome.stdout


@pytest.mark.slow
def test_a_class_that_the_hospital_lacks(
    bundles: dict[str, Bundle], hospital: Path, tmp_path: Path
) -> None:
    others = pl.read_parquet(hospital).filter(pl.col("diagnosis") != "keratosis")
    many = pl.concat(
        [others, others.with_columns(pl.col("image_id", "case_id", "patient_id") + "-again")]
    )
    many.write_parquet(tmp_path / "two.parquet")
    read: list[int] = []
    with pytest.raises(ConfigError, match=r"of south 'keratosis' has 0\. Take --arm sequential"):
        adapt_bundle(
            bundles["images"].path,
            tmp_path / "two.parquet",
            tmp_path / "p.medt",
            arm="probe",
            on_progress=lambda done, _total: read.append(done),
        )
    assert not read
    made = adapted(bundles["images"], tmp_path / "two.parquet", tmp_path / "s.medt", "sequential")
    text = "\n".join(made.bundle.facts.changes)
    assert "no patient who trained the network has the class keratosis: it was trained" in text
    assert "keratosis: no threshold at sens90 (tune lacks a class)" in text


def test_patients_without_both_answers_are_refused_by_their_number() -> None:
    few = LabelledPatients("south", 40, positive={"x": 1, "y": 0}, negative={"x": 39, "y": 40})
    with pytest.raises(ConfigError, match=r"'x' has 1 and 39, 'y' has 0 and 40"):
        require_answers("sequential", "multi-label", few)
    enough = LabelledPatients("south", 40, positive={"x": 2, "y": 0}, negative={"x": 38, "y": 40})
    require_answers("probe", "multi-label", enough)
    classes = LabelledPatients(
        "south", 40, positive={"a": 20, "b": 19, "c": 1}, negative={"a": 20, "b": 21, "c": 39}
    )
    with pytest.raises(ConfigError, match="one head for all classes .* of south 'c' has 1"):
        require_answers("probe", "single-label", classes)
    require_answers("sequential", "single-label", classes)
