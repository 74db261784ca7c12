"""A run says of every predicted case how foreign it is to what the run was trained on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tests.local_run import Local

from medtransfer.data.loader import CaseImages
from medtransfer.models.classifier import Classifier
from medtransfer.posthoc.ood_detectors import DETECTORS, ood_scores
from medtransfer.runs import fine_tune
from medtransfer.runs import transfer as execute
from medtransfer.study.config import Study
from medtransfer.tables.predictions import read_predictions

Make = Callable[..., Local]
FOR_SIGMOIDS = [name for name, found in DETECTORS.items() if not found.single_label_only]


@pytest.mark.slow
def test_every_predicted_case_has_the_score_of_every_detector(local: Make, tmp_path: Path) -> None:
    run = local(tmp_path)
    run.carry_out()
    table = read_predictions(run.own.path / "predictions.parquet")
    columns = [name for name in table.columns if name.startswith("ood_")]
    assert columns == [f"ood_{name}" for name in FOR_SIGMOIDS]
    assert set(table["split"]) == {"tune", "test"}
    assert set(table["cohort"]) == {"a", "b"}
    assert np.isfinite(table.select(columns).to_numpy()).all()
    logits = table.select("logit_malignant").to_numpy()[:, 0]
    assert_allclose(table["ood_max_logit"], -logits)
    assert_allclose(table["ood_energy"], -np.logaddexp(0, logits))


@pytest.mark.slow
def test_detectors_are_fitted_to_the_labelled_training_cases_as_they_would_be_tested(
    local: Make, tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tiny_study.model_dump(exclude_unset=True)
    study = Study.model_validate(about | {"label_fractions": [0.5]})
    heard: dict[str, CaseImages] = {}
    fitted: dict[str, int] = {}
    found = []

    def listen(classifier, images, task):
        heard["seen"] = images
        return original(classifier, images, task)

    def fit(classifier, batches, *rest, **more):
        heard["training"] = batches.images
        state = training(classifier, batches, *rest, **more)
        fitted["images"] = 0
        return state

    def count(self, images, *rest):
        if fitted:
            fitted["images"] += len(images)
        return forward(self, images, *rest)

    def keep(known, features, logits):
        found.append((known, features, logits))
        return ood_scores(known, features, logits)

    original, training, forward = fine_tune.read_ood_reference, fine_tune.fit, Classifier.features
    monkeypatch.setattr(fine_tune, "read_ood_reference", listen)
    monkeypatch.setattr(fine_tune, "fit", fit)
    monkeypatch.setattr(fine_tune, "ood_scores", keep)
    monkeypatch.setattr(Classifier, "features", count)
    run = local(tmp_path, study)
    run.carry_out()

    seen, trained = heard["seen"], heard["training"]
    assert seen.cases.case_ids.tolist() == trained.cases.case_ids.tolist()
    rows = np.arange(len(seen))
    sizes = [
        images.test_batch(rows, execute.torch.device("cpu")).images.shape[-1]
        for images in (seen, trained)
    ]
    assert sizes == [32, 36]  # resized to the input at once, not to the side that is cropped
    table = run.own.predictions()
    assert len(found) == 3  # the tuning split, and the test cases of two cohorts
    known = found[0][0]
    features, logits = (np.concatenate([part[place] for part in found]) for place in (1, 2))
    assert known.features.shape == (len(seen), 1024)
    assert len(features) == len(logits) == table.height
    # one pass over the training cases, one over those that are predicted
    assert fitted["images"] == len(seen) + table.height
    for name, scores in ood_scores(known, features, logits).items():
        assert_allclose(table[f"ood_{name}"].sort(), np.sort(scores), rtol=1e-6)
