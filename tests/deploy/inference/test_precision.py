"""Precision of predictions: the study's, unless the faster one here is asked for."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.inference import runtime
from medtransfer.deploy.inference.model import BundleModel, load_bundle
from medtransfer.errors import ConfigError
from medtransfer.models.precision import choice
from medtransfer.models.precision.choice import PrecisionChooser
from medtransfer.models.precision.speeds import PrecisionSpeeds


@pytest.fixture
def images() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (40, 40, 3), np.uint8) for _ in range(3)]


def logits(predictions: pl.DataFrame) -> np.ndarray:
    return predictions["logit_malignant"].to_numpy()


@pytest.mark.parametrize(("bfloat16", "expected"), [(30.0, "bfloat16"), (9.0, "float32")])
def test_auto_takes_the_faster_and_says_if_it_is_not_the_studys(
    bundle: Bundle,
    bundle_model: BundleModel,
    images: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    bfloat16: float,
    expected: str,
) -> None:
    monkeypatch.setenv("MEDTRANSFER_CACHE", str(tmp_path))
    monkeypatch.setattr(choice, "has_bfloat16_units", lambda _device: True)
    speeds = PrecisionSpeeds(10.0, bfloat16)
    monkeypatch.setattr(
        runtime,
        "PrecisionChooser",
        lambda device: PrecisionChooser(device, lambda *_, **__: speeds),
    )
    model = load_bundle(bundle.path, device="cpu", precision="auto")
    assert bundle.facts.network.precision == "float32"
    outcome = model.predict(images)
    plain = bundle_model.predict(images)
    assert model.used_precision == expected
    is_equal = np.array_equal(logits(outcome.frame), logits(plain.frame))
    assert is_equal == (expected == "float32")
    assert np.allclose(logits(outcome.frame), logits(plain.frame), atol=0.1)
    notes = " ".join(outcome.notes)
    assert ("Predicted in bfloat16, while the study tested in float32" in notes) != is_equal
    assert not any("Predicted in" in note for note in plain.notes)


def test_a_precision_that_is_named_is_taken(bundle: Bundle) -> None:
    assert load_bundle(bundle.path, precision="bfloat16").used_precision == "bfloat16"
    assert load_bundle(bundle.path).used_precision == "float32"


def test_precisions_that_make_no_sense_are_refused(bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="--precision is 'half' .*bfloat16"):
        load_bundle(bundle.path, precision="half")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="--runtime onnx computes in float32"):
        load_bundle(bundle.path, runtime="onnx", precision="auto")
