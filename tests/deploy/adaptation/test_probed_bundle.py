"""A bundle with a new head for a hospital: the head, what judges it, what was left out."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from tests.deploy.validation.test_validate_bundle import QUICK, hospital_manifest

from medtransfer.deploy.adaptation.adapt import adapt_bundle
from medtransfer.deploy.adaptation.adapted_bundle import AdaptedBundle, adaptation_text
from medtransfer.deploy.bundle.export import ExportOptions, export_bundle
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.inference.model import load_bundle
from medtransfer.deploy.validation.labelled_cases import score_labelled
from medtransfer.deploy.validation.validate import validate_bundle
from medtransfer.errors import ConfigError
from medtransfer.evaluation.comparison.adaptation.table import read_adapt_table
from medtransfer.posthoc.adaptation.arms import LACKS_CLASS
from medtransfer.posthoc.adaptation.probe import RARE_CLASS
from medtransfer.runs.folders import StudyFolder


@pytest.fixture(scope="module")
def parent(finished: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("parent") / "lesion.medt"
    options = ExportOptions(detectors=("mahalanobis", "energy"))
    return export_bundle(finished, path, rung="imagenet/effnet-lite0", options=options)


@pytest.fixture(scope="module")
def probed(parent: Bundle, south: Path, tmp_path_factory: pytest.TempPathFactory) -> AdaptedBundle:
    folder = tmp_path_factory.mktemp("probed")
    return adapt_bundle(
        parent.path,
        south,
        folder / "south.medt",
        arm="probe",
        patients=50,
        curves=folder / "adapt.parquet",
        evaluation=QUICK,
    )


@pytest.mark.slow
def test_the_head_is_the_optimum_of_the_patients_whose_digests_joined(
    probed: AdaptedBundle, parent: Bundle, south: Path
) -> None:
    labelled = score_labelled(load_bundle(parent.path), south, with_features=True)
    scores = labelled.scores.sort("case_id")
    (of_network,) = labelled.features
    features = of_network.of(scores["case_id"].to_numpy().astype(np.str_))
    known = probed.bundle.training_digests.known_patients(scores["patient_id"].to_list())
    assert known is not None
    assert known.sum() == 50
    found = re.search(r"penalty ([\d.e-]+)", probed.changes[0])
    assert found is not None
    inputs = features.astype(np.float64)
    mean, spread = inputs[known].mean(axis=0), inputs[known].std(axis=0)
    spread[spread == 0] = 1
    scaled = (inputs - mean) / spread
    strength = 1 / (known.sum() * float(found[1]))
    labels = scores["target_malignant"].to_numpy()
    oracle = LogisticRegression(C=strength, tol=1e-10, max_iter=20_000)
    oracle.fit(scaled[known], labels[known])
    frame = load_bundle(probed.bundle.path).predict(south).frame.sort("case_id")
    expected = oracle.decision_function(scaled)
    np.testing.assert_allclose(frame["logit_malignant"].to_numpy(), expected, atol=2e-3)
    np.testing.assert_allclose(
        frame["probability_malignant"].to_numpy(), expit(frame["logit_malignant"].to_numpy())
    )


@pytest.mark.slow
def test_the_promised_cases_are_the_patients_that_judge_this_very_head(
    probed: AdaptedBundle, south: Path
) -> None:
    promised = probed.bundle.promised
    frame = load_bundle(probed.bundle.path).predict(south).frame
    known = probed.bundle.training_digests.known_patients(frame["patient_id"].to_list())
    assert known is not None
    others = np.sort(frame.filter(pl.Series(~known))["logit_malignant"].to_numpy())
    np.testing.assert_allclose(np.sort(promised.logits[0, promised.is_test, 0]), others, atol=1e-4)
    fitted = np.sort(frame.filter(pl.Series(known))["logit_malignant"].to_numpy())
    held_out = np.sort(promised.logits[0, ~promised.is_test, 0])
    assert len(held_out) == len(fitted)
    assert not np.allclose(held_out, fitted, atol=1e-3)  # by heads without the patient


@pytest.mark.slow
def test_validation_leaves_the_patients_of_the_head_out_and_finds_what_was_promised(
    probed: AdaptedBundle, south: Path, tmp_path: Path
) -> None:
    made = validate_bundle(probed.bundle.path, south, tmp_path, evaluation=QUICK)
    assert made.notes[0] == "The network was trained on this hospital."
    assert "50 patients used in training are left out." in made.notes
    for judgement in made.local.verdict.carried:
        assert judgement.here.value == pytest.approx(judgement.promised.value, abs=1e-6)
    (promise,) = [
        n
        for n in probed.bundle.facts.promises
        if (n.split, n.cohort, n.metric) == ("test", "south", "auroc")
    ]
    (auroc,) = [j for j in made.local.verdict.carried if j.metric == "auroc"]
    assert auroc.here.value == pytest.approx(promise.value)


@pytest.mark.slow
def test_what_read_the_old_head_is_left_out_with_a_word(
    probed: AdaptedBundle, parent: Bundle, south: Path
) -> None:
    facts = probed.bundle.facts
    assert facts.parent == parent.digest
    assert [d.name for d in facts.detectors] == ["mahalanobis"]
    target = facts.targets[0]
    assert not target.calibrators
    assert not target.sets
    assert "the old head, which was replaced for south" in target.missing["sets"]
    assert facts.deferral.set_method is None
    page = load_bundle(probed.bundle.path).show()
    assert "OOD detectors left out, as they read the old head: energy" in page
    assert "the prediction set" not in page
    before = load_bundle(parent.path).predict(south).frame
    after = load_bundle(probed.bundle.path).predict(south).frame
    np.testing.assert_allclose(after["ood_mahalanobis"].to_numpy(), before["ood_mahalanobis"])
    weights = parent.weights(0), probed.bundle.weights(0)
    assert len(weights[0]) == len(weights[1])


@pytest.mark.slow
def test_the_curve_has_every_arm_and_is_told(probed: AdaptedBundle) -> None:
    table = read_adapt_table(probed.bundle.path.parent / "adapt.parquet")
    assert {"carried", "platt", "probe", "selected"} <= set(table["arm"])
    row = table.filter(arm="probe", patients=25, metric="nll").row(0, named=True)
    text = adaptation_text(probed)
    assert f"probe of 25 patients: log loss {row['value']:.3f}" in text
    assert "probe fitted on 50 patients, measured on the others (sens90)" in text
    assert row["num_patients"] == 40


@pytest.mark.slow
def test_where_a_class_is_missing_the_curve_says_so(parent: Bundle, tmp_path: Path) -> None:
    positive = pl.col("malignant").cast(pl.String) == "1"
    frame = pl.read_parquet(hospital_manifest(tmp_path, 130))
    ill = frame.filter(positive)["patient_id"].unique(maintain_order=True)[:2]
    few = frame.filter(~positive | pl.col("patient_id").is_in(ill.implode()))
    few.write_parquet(tmp_path / "few.parquet")
    curves = tmp_path / "adapt.parquet"
    with pytest.raises(ConfigError, match="The arm 'probe' cannot be fitted on .* No bundle was"):
        adapt_bundle(
            parent.path,
            tmp_path / "few.parquet",
            tmp_path / "few.medt",
            arm="probe",
            curves=curves,
            evaluation=QUICK,
        )
    rows = read_adapt_table(curves).filter(arm="probe", metric="nll")
    assert rows["value"].null_count() == len(rows) > 0
    assert set(rows["reason"]) <= {LACKS_CLASS, RARE_CLASS}
    assert not (tmp_path / "few.medt").exists()


@pytest.mark.slow
def test_all_that_is_wrong_is_said_at_once(parent: Bundle, south: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)\.medt.*does not end in .parquet.*is for --arm"):
        adapt_bundle(
            parent.path,
            south,
            tmp_path / "new.zip",
            arm="platt",
            patients=20,
            curves=tmp_path / "adapt.txt",
        )
    read: list[int] = []
    with pytest.raises(ConfigError, match=r"79 to fit on .* 80 patients of south .*: 2 to 78"):
        adapt_bundle(
            parent.path,
            south,
            tmp_path / "n.medt",
            arm="probe",
            patients=79,
            on_progress=lambda done, _total: read.append(done),
        )
    assert not read  # it is refused before an image is predicted


@pytest.mark.slow
def test_each_network_of_an_ensemble_gets_its_own_head(
    ensemble: Bundle, south: Path, tmp_path: Path
) -> None:
    made = adapt_bundle(
        ensemble.path, south, tmp_path / "s.medt", arm="probe", patients=50, evaluation=QUICK
    )
    assert re.search(r"penalties [\d.e-]+, [\d.e-]+;", made.changes[0])
    promised = made.bundle.promised
    frame = load_bundle(made.bundle.path).predict(south).frame
    known = made.bundle.training_digests.known_patients(frame["patient_id"].to_list())
    assert known is not None
    assert not np.allclose(promised.logits[0], promised.logits[1])
    mean = expit(promised.logits[:, promised.is_test, 0]).mean(axis=0)
    others = expit(frame.filter(pl.Series(~known))["logit_malignant"].to_numpy())
    np.testing.assert_allclose(np.sort(mean), np.sort(others), atol=1e-5)
