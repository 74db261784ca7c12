"""A bundle trained further at a hospital: who trains it, who judges it, and what resumes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import safetensors.numpy
from scipy.special import expit
from tests.deploy.handmade import facts as handmade_facts
from tests.deploy.handmade import write_by_hand
from tests.deploy.validation.test_validate_bundle import QUICK

from medtransfer.deploy.adaptation.adapt import adapt_bundle
from medtransfer.deploy.adaptation.adapted_bundle import AdaptedBundle, adaptation_text
from medtransfer.deploy.adaptation.by_arm import Adaptation
from medtransfer.deploy.adaptation.tuning import rule
from medtransfer.deploy.adaptation.tuning.config import SequentialConfig
from medtransfer.deploy.bundle.reader import CARD, Bundle
from medtransfer.deploy.forgetting.forget_patient import forget_patient
from medtransfer.deploy.inference.model import load_bundle
from medtransfer.errors import ConfigError
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.comparison.adaptation.table import read_adapt_table
from medtransfer.interruption import StopRequested


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    """Four steps of eight cases and curves of two arms, so that no test waits for them."""
    few = AdaptConfig(arms=("carried", "platt"), draws=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Adaptation, "settings", few)
        for name, value in (("BATCH_SIZE", 8), ("MIN_STEPS", 4), ("MAX_STEPS", 4), ("CHECKS", 2)):
            patch.setattr(rule, name, value)
        yield


@pytest.fixture(scope="module")
def tuned(bundle: Bundle, south: Path, tmp_path_factory: pytest.TempPathFactory) -> AdaptedBundle:
    folder = tmp_path_factory.mktemp("tuned")
    return adapt_bundle(
        bundle.path,
        south,
        folder / "south.medt",
        arm="sequential",
        patients=50,
        curves=folder / "adapt.parquet",
        evaluation=QUICK,
    )


@pytest.mark.slow
def test_the_new_bundle_says_who_trained_it_and_who_was_held_back(
    tuned: AdaptedBundle, bundle: Bundle
) -> None:
    facts = tuned.bundle.facts
    assert facts.parent == bundle.digest
    assert tuned.arms == {"malignant": "sequential"}
    assert "sequential (the network is trained further) with 50 patients of" in facts.changes[0]
    assert "35 trained it, 15 were held back and selected step" in facts.changes[0]
    assert facts.training.tune_patients == 15
    assert facts.training.test_cohorts == ("south",)
    assert [d.name for d in facts.detectors] == [d.name for d in bundle.facts.detectors]
    assert len(tuned.bundle.weights(0)) == len(bundle.weights(0))
    assert tuned.bundle.weights(0) != bundle.weights(0)
    assert not tuned.bundle.path.with_name("south.medt.tuning").exists()


@pytest.mark.slow
def test_it_predicts_what_was_measured_on_the_others(tuned: AdaptedBundle, south: Path) -> None:
    promised = tuned.bundle.promised
    frame = load_bundle(tuned.bundle.path).predict(south).frame
    known = tuned.bundle.training_digests.known_patients(frame["patient_id"].to_list())
    assert known is not None
    assert known.sum() == 50
    others = np.sort(frame.filter(pl.Series(~known))["logit_malignant"].to_numpy())
    np.testing.assert_allclose(np.sort(promised.logits[0, promised.is_test, 0]), others, atol=1e-4)
    scores = np.sort(frame.filter(pl.Series(~known))["ood_mahalanobis"].to_numpy())
    np.testing.assert_allclose(np.sort(promised.ood[promised.is_test, 0]), scores, rtol=1e-3)


@pytest.mark.slow
def test_thresholds_are_of_the_patients_held_back_alone(tuned: AdaptedBundle) -> None:
    promised = tuned.bundle.promised
    threshold = tuned.bundle.facts.targets[0].thresholds["sens90"]
    assert threshold is not None
    ill = ~promised.is_test & (promised.targets[:, 0] == 1)
    probabilities = expit(promised.logits[0, ill, 0])
    assert (probabilities >= threshold - 1e-6).mean() >= 0.9
    assert (probabilities > threshold + 1e-6).mean() < 0.9  # the largest that keeps the share


@pytest.mark.slow
def test_the_curve_is_of_nested_patients_on_the_same_others(tuned: AdaptedBundle) -> None:
    table = read_adapt_table(tuned.bundle.path.parent / "adapt.parquet")
    assert {"carried", "platt", "sequential", "selected"} <= set(table["arm"])
    rows = table.filter(arm="sequential", metric="auroc")
    assert rows["patients"].to_list() == [25, 50]
    assert rows["draws"].to_list() == [1, 1]
    assert set(table.filter(metric="auroc")["num_patients"]) == {30}
    (promise,) = [
        n for n in tuned.bundle.facts.promises if (n.split, n.metric) == ("test", "auroc")
    ]
    assert rows["value"][1] == pytest.approx(promise.value)
    assert "sequential of 50 patients: log loss" in adaptation_text(tuned)


@pytest.mark.slow
def test_a_stopped_training_goes_on_and_ends_in_the_same_bytes(
    tuned: AdaptedBundle, bundle: Bundle, south: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again.medt"

    def tune(steps: list[int], stop_at: int | None) -> AdaptedBundle:
        def on_training(done: int, _total: int) -> None:
            steps.append(done)
            if done == stop_at:
                raise StopRequested

        return adapt_bundle(
            bundle.path,
            south,
            out,
            arm="sequential",
            patients=50,
            evaluation=QUICK,
            on_training=on_training,
        )

    first, second = list[int](), list[int]()
    with pytest.raises(StopRequested):
        tune(first, 3)
    work, patient = out.with_name("again.medt.tuning"), pl.read_parquet(south)["patient_id"][0]
    assert work.is_dir()
    assert not [p for p in work.rglob("*") if p.is_file() and patient.encode() in p.read_bytes()]
    assert forget_patient(None, patient, search=[tmp_path]).unfinished == (str(work),)
    assert forget_patient(None, f"{patient}9", search=[tmp_path]).unfinished == ()
    again = tune(second, None)
    assert not work.exists()
    assert forget_patient(None, patient, search=[tmp_path]).unfinished == ()
    assert (first, second) == ([1, 2, 3], [3, 4])
    assert again.bundle.path.read_bytes() == tuned.bundle.path.read_bytes()


@pytest.mark.slow
def test_settings_act_and_are_on_the_card(bundle: Bundle, south: Path, tmp_path: Path) -> None:
    settings = SequentialConfig(
        learning_rate=0.02, steps=3, frozen_stages=2, batch_norm="trained", held_share=0.4, seed=5
    )
    made = adapt_bundle(
        bundle.path,
        south,
        tmp_path / "s.medt",
        arm="sequential",
        patients=40,
        sequential=settings,
        evaluation=QUICK,
    )
    (record,) = made.bundle.facts.further_training
    assert (record.train_patients, record.tune_patients) == (24, 16)
    kept = {name: getattr(record, name) for name in SequentialConfig.model_fields}
    assert kept == settings.model_dump()
    assert made.bundle.facts.network.tuning == "partial"
    words = (
        "peak learning rate 0.02, batches of 8, all but the lowest 2 stages, batch normalisation"
    )
    assert words in made.bundle.contents()[CARD].decode()
    assert words in load_bundle(made.bundle.path).show()
    before, after = (safetensors.numpy.load(b.weights(0)) for b in (bundle, made.bundle))
    changed = {name for name, value in after.items() if not np.array_equal(value, before[name])}
    assert not [name for name in changed if name.startswith(("backbone.conv_stem", "backbone.bn1"))]
    assert any("running_mean" in name for name in changed)


@pytest.mark.slow
def test_every_network_of_an_ensemble_is_tuned(
    ensemble: Bundle, south: Path, tmp_path: Path
) -> None:
    made = adapt_bundle(
        ensemble.path, south, tmp_path / "t.medt", arm="sequential", patients=40, evaluation=QUICK
    )
    assert made.bundle.promised.logits.shape[0] == 2
    assert made.bundle.weights(0) != made.bundle.weights(1)
    frame = load_bundle(made.bundle.path).predict(south).frame
    known = made.bundle.training_digests.known_patients(frame["patient_id"].to_list())
    assert known is not None
    mean = expit(made.bundle.promised.logits[:, made.bundle.promised.is_test, 0]).mean(axis=0)
    others = expit(frame.filter(pl.Series(~known))["logit_malignant"].to_numpy())
    np.testing.assert_allclose(np.sort(mean), np.sort(others), atol=1e-4)


@pytest.mark.slow
def test_what_cannot_be_tuned_is_refused_with_the_way_out(
    bundle: Bundle, south: Path, tmp_path: Path
) -> None:
    out = tmp_path / "n.medt"
    with pytest.raises(ConfigError, match="holds the tuned weights alone. Take sequential"):
        adapt_bundle(bundle.path, south, out, arm="shifted-only")
    with pytest.raises(ConfigError, match=r"9 to fit on .* 80 patients of south .*: 10 to 78"):
        adapt_bundle(bundle.path, south, out, arm="sequential", patients=9)
    frozen = SequentialConfig(frozen_stages=40)
    with pytest.raises(ConfigError, match=r"frozen_stages is 40, and the network has \d+ groups"):
        adapt_bundle(bundle.path, south, out, arm="sequential", sequential=frozen)
    with pytest.raises(ConfigError, match="settings of further training are for --arm sequential"):
        adapt_bundle(bundle.path, south, out, arm="platt", sequential=SequentialConfig())
    network = handmade_facts().network
    linear = handmade_facts(network=type(network)(**{**vars(network), "tuning": "linear"}))
    made = write_by_hand(tmp_path / "linear.medt", linear)
    with pytest.raises(ConfigError, match="trained the head of this network alone: --arm probe"):
        adapt_bundle(made.path, south, out, arm="sequential")
