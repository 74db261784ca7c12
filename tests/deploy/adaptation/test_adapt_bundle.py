"""A bundle adapted to a hospital: what is in it, and that it decides as it says."""

from pathlib import Path

import polars as pl
import pytest
from scipy.special import expit
from tests.deploy.validation.test_validate_bundle import QUICK
from typer.testing import CliRunner

from medtransfer.cli.main import app
from medtransfer.deploy.adaptation.adapt import adapt_bundle
from medtransfer.deploy.adaptation.adapted_bundle import AdaptedBundle
from medtransfer.deploy.bundle.fits import carried_fit
from medtransfer.deploy.bundle.reader import Bundle, read_bundle
from medtransfer.deploy.inference.model import load_bundle
from medtransfer.deploy.validation.labelled_cases import score_labelled
from medtransfer.errors import ConfigError


@pytest.fixture(scope="module")
def adapted(bundle: Bundle, south: Path, tmp_path_factory: pytest.TempPathFactory) -> AdaptedBundle:
    out = tmp_path_factory.mktemp("adapted") / "south.medt"
    return adapt_bundle(bundle.path, south, out, arm="intercept", evaluation=QUICK)


def test_the_new_bundle_names_its_parent_and_what_was_changed(
    adapted: AdaptedBundle, bundle: Bundle
) -> None:
    facts = read_bundle(adapted.bundle.path).facts
    assert facts.parent == bundle.digest
    assert adapted.arms == {"malignant": "intercept"}
    assert facts.changes[-1].startswith("malignant: intercept (a constant is added to the")
    assert facts.changes[-1].endswith("patients of south")
    assert "supersedes" in load_bundle(adapted.bundle.path).show()
    assert bundle.facts.parent is None
    assert adapted.bundle.weights(0) == bundle.weights(0)


def test_it_predicts_what_the_arm_fitted(adapted: AdaptedBundle, south: Path) -> None:
    model = load_bundle(adapted.bundle.path)
    labelled = score_labelled(model, south)
    frame = model.predict(south).frame.join(
        labelled.scores.select("case_id", "target_malignant"), on="case_id"
    )
    # the constant makes the mean probability on its own cases their prevalence
    mean = float(frame["probability_malignant"].mean())  # type: ignore[arg-type] — a number
    assert mean == pytest.approx(float(frame["target_malignant"].mean()), abs=1e-5)  # type: ignore[arg-type] — a number
    p = frame["probability_malignant"].to_numpy()
    called = frame["call_malignant_sens90"].to_numpy() == 1
    assert p[called].sum() / p.sum() >= 0.9 - 1e-9
    assert p[called].min() > p[~called].max()


def test_the_promise_for_the_hospital_is_of_patients_kept_apart(adapted: AdaptedBundle) -> None:
    here = [n for n in adapted.bundle.facts.promises if n.cohort == "south"]
    assert adapted.recalibration is not None
    (auroc,) = [n for n in here if n.metric == "auroc"]
    total = adapted.recalibration.fit_patients + auroc.patients
    assert total == 80
    assert abs(auroc.patients - 40) <= 1
    words = "intercept fitted on half of the patients, measured on the others (sens90): of 100 with"
    assert any(line.startswith(words) for line in adapted.lines)


def test_promises_at_home_are_of_the_new_thresholds(adapted: AdaptedBundle) -> None:
    bundle = adapted.bundle
    threshold = carried_fit(bundle.facts)[0].thresholds["sens90"]
    assert threshold is not None
    promised = bundle.promised
    ill = promised.is_test & (promised.cohort == 0) & (promised.targets[:, 0] == 1)
    expected = (expit(promised.logits[0, ill, 0]) >= threshold).mean()
    (number,) = [
        n
        for n in bundle.facts.promises
        if (n.split, n.cohort, n.metric, n.target)
        == ("test", "a", "sensitivity@sens90", "malignant")
    ]
    assert number.value == pytest.approx(expected)


@pytest.mark.slow
def test_thresholds_alone_leave_the_probabilities(
    bundle: Bundle, south: Path, tmp_path: Path
) -> None:
    out = tmp_path / "t.medt"
    made = adapt_bundle(bundle.path, south, out, arm="threshold", evaluation=QUICK)
    before, after = bundle.facts.targets[0], made.bundle.facts.targets[0]
    assert after.calibrators == before.calibrators
    assert after.calibrator == before.calibrator
    model = load_bundle(made.bundle.path)
    scores = score_labelled(model, south).scores
    ill = scores.filter(target_malignant=1.0)["logit_malignant"].to_numpy()
    threshold = after.thresholds["sens90"]
    assert threshold is not None
    assert (expit(ill) >= threshold).mean() >= 0.9 - 1e-9


def test_the_same_call_gives_the_same_bytes(
    adapted: AdaptedBundle, bundle: Bundle, south: Path, tmp_path: Path
) -> None:
    again = adapt_bundle(bundle.path, south, tmp_path / "b.medt", arm="intercept", evaluation=QUICK)
    assert again.bundle.path.read_bytes() == adapted.bundle.path.read_bytes()


@pytest.mark.slow
def test_what_cannot_be_adapted_is_refused(bundle: Bundle, south: Path, tmp_path: Path) -> None:
    out = tmp_path / "new.medt"
    with pytest.raises(ConfigError, match="arm is 'plat' \\(allowed: carried, threshold"):
        adapt_bundle(bundle.path, south, out, arm="plat")
    with pytest.raises(ConfigError, match="does not end in .medt"):
        adapt_bundle(bundle.path, south, tmp_path / "new.zip")
    with pytest.raises(ConfigError, match="is the parent"):
        adapt_bundle(bundle.path, south, bundle.path)
    with pytest.raises(ConfigError, match="'isotonic' cannot be fitted on 80 cases: isotonic"):
        adapt_bundle(bundle.path, south, out, arm="isotonic", evaluation=QUICK)
    turned = pl.read_parquet(south).with_columns(
        malignant=(1 - pl.col("malignant").cast(pl.Int64)).cast(pl.String)
    )
    turned.write_parquet(tmp_path / "turned.parquet")
    # the network ranks by chance here, so that one of the two has the order turned round
    raised: list[str] = []
    for manifest in (south, tmp_path / "turned.parquet"):
        try:
            adapt_bundle(bundle.path, manifest, out, arm="platt", evaluation=QUICK)
        except ConfigError as error:
            raised.append(str(error))
    assert len(raised) == 1
    assert "'platt' turns the order of the cases of 'malignant' round" in raised[0]


def test_the_command_says_what_was_changed(bundle: Bundle, south: Path, tmp_path: Path) -> None:
    out = tmp_path / "south.medt"
    done = CliRunner().invoke(
        app, ["adapt", str(bundle.path), str(south), "--arm", "intercept", "-o", str(out)]
    )
    assert done.exit_code == 0, done.output
    assert "malignant: intercept (a constant is added to the logit)" in done.output
    assert f"adapted from bundle {bundle.digest[:12]}" in done.output
