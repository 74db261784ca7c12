"""A bundle's facts and arrays are checked before they are used."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tests.deploy import handmade

from medtransfer.deploy.bundle.archive import write_archive
from medtransfer.deploy.bundle.card import bundle_card, bundle_page
from medtransfer.deploy.bundle.facts.targets import CalibratorFacts
from medtransfer.deploy.bundle.fits import carried_fit
from medtransfer.deploy.bundle.reader import (
    FACTS,
    PROMISED,
    TRAINING,
    array_bytes,
    facts_text,
    read_bundle,
)
from medtransfer.errors import BundleError, MedTransferError
from medtransfer.evaluation.scoring.run import WHOLE_CASE, run_arrays
from medtransfer.posthoc.calibrators import Isotonic, Platt, Temperature


def write_raw(path: Path, document: Any, **changed: bytes) -> Path:
    """A bundle whose facts are any JSON, with a list of entries that fits."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    write_archive(path, handmade.entries(handmade.facts()) | {FACTS: text} | changed)
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written = handmade.facts("single-label", ("x", "y"), parent="0" * 64)
    bundle = handmade.write_by_hand(tmp_path / "a.medt", written)
    assert bundle.facts == written
    assert bundle.card == "# card\n"
    fit = carried_fit(bundle.facts)
    assert set(fit) == {0, 1, WHOLE_CASE}
    assert fit[0].thresholds == {"sens90": 0.4}
    assert fit[0].calibrators["temperature"] == Temperature(2.0)
    assert fit[0].calibrators["platt"] == Platt(1.5, -0.5)
    isotonic = fit[0].calibrators["isotonic"]
    assert isinstance(isotonic, Isotonic)
    assert_allclose(isotonic.probabilities(np.array([-5.0, 0.0, 5.0])), [0.1, 0.5, 0.9])
    assert_allclose(fit[0].conformal["class"].thresholds, [0.6, np.inf])


def test_promised_cases_are_a_predictions_table_without_ids(tmp_path: Path) -> None:
    bundle = handmade.write_by_hand(tmp_path / "a.medt")
    frame = bundle.predictions()
    assert frame["patient_id"][0].startswith("patient ")
    run = run_arrays(frame, "binary")
    assert set(run.test_cases()) == {"a", "b"}
    assert_allclose(np.sort(run.logits.ravel()), np.sort(bundle.promised.logits.ravel()))


def test_training_images_and_patients_are_found_without_their_names(tmp_path: Path) -> None:
    bundle = handmade.write_by_hand(tmp_path / "a.medt")
    digests = bundle.training_digests
    assert digests.known_images(["33" * 32, handmade.TRAINED_IMAGES[0]]).tolist() == [False, True]
    known = digests.known_patients(["p2", "p9"])
    assert known is not None
    assert known.tolist() == [True, False]
    raw = (tmp_path / "a.medt").read_bytes()
    assert not any(name.encode() in raw for name in handmade.TRAINED_IMAGES)


def test_another_schema_version_is_named(tmp_path: Path) -> None:
    document = json.loads(facts_text(handmade.facts())) | {"schema_version": 2}
    with pytest.raises(BundleError, match="another schema version than 1"):
        read_bundle(write_raw(tmp_path / "a.medt", document))


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        (("input", "crop"), 10**6, "input.crop: .*crop holds 1000000 .allowed: the side"),
        (("input", "pixel_limit"), 10**12, "pixel_limit"),
        (("input", "std"), [0, 1, 1], "input.std.0"),
        (("network", "architecture", "width_factor"), 1e9, "width_factor"),
        (("network", "architecture", "layers"), [1, 1, 1, 10**9], "layers.3"),
        (("members",), 2, "weights/1.safetensors is missing"),
        (("extra",), 1, "extra: Unexpected"),
        (("margin",), float("nan"), "margin"),
        (("task",), "single-label", "its fits are not those of its task"),
        (("task",), "regression", "task"),
    ],
)
def test_facts_out_of_range_are_refused_by_name(
    tmp_path: Path, place: tuple[str, ...], value: object, fault: str
) -> None:
    document = json.loads(facts_text(handmade.facts()))
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(BundleError, match=fault):
        read_bundle(write_raw(tmp_path / "a.medt", document))


@pytest.mark.parametrize(
    "calibrator",
    [
        CalibratorFacts("temperature", {"temperature": (0.0,)}),
        CalibratorFacts("temperature", {"slope": (1.0,)}),
        CalibratorFacts("platt", {"slope": (1.0, 2.0), "intercept": (0.0, 0.0)}),
        CalibratorFacts("isotonic", {"knots": (1.0, 0.0), "levels": (0.1, 0.2)}),
        CalibratorFacts("isotonic", {"knots": (0.0, 1.0), "levels": (0.1, 1.0)}),
        CalibratorFacts("isotonic", {"knots": (), "levels": ()}),
        CalibratorFacts("vector", {"slopes": (1.0,), "intercepts": (1.0, 2.0)}),
    ],
)
def test_calibrators_with_wrong_parameters_are_refused(
    tmp_path: Path, calibrator: CalibratorFacts
) -> None:
    target = handmade.target(calibrators=(calibrator,), calibrator=None)
    with pytest.raises(BundleError, match=f"calibrator '{calibrator.kind}'"):
        handmade.write_by_hand(tmp_path / "a.medt", handmade.facts(targets=(target,)))


@pytest.mark.parametrize(
    "promised",
    [
        {"logits": np.zeros((1, 3, 1))},
        {"logits": np.full((1, handmade.CASES, 1), np.nan)},
        {"targets": np.full((handmade.CASES, 1), 2.0)},
        {"cohort": np.full(handmade.CASES, 9, dtype=np.int64)},
        {"patient": np.zeros((handmade.CASES, 2), dtype=np.int64)},
    ],
)
def test_promised_cases_with_wrong_shapes_or_numbers_are_refused(
    tmp_path: Path, promised: dict[str, Any]
) -> None:
    good = handmade.write_by_hand(tmp_path / "good.medt").promised
    content = array_bytes({**vars(good), **promised})
    bundle = handmade.write_by_hand(tmp_path / "a.medt", changed={PROMISED: content})
    with pytest.raises(BundleError, match="promised.safetensors"):
        _ = bundle.promised


def test_entries_that_hold_no_arrays_are_refused(tmp_path: Path) -> None:
    bundle = handmade.write_by_hand(tmp_path / "a.medt", changed={TRAINING: b"\xff" * 100})
    with pytest.raises(BundleError, match="training.safetensors holds no arrays"):
        _ = bundle.training_digests


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)


def places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every value of a JSON document."""
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    return [at, *(path for key, value in items for path in places(value, (*at, key)))]


PLAIN = json.loads(facts_text(handmade.facts()))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(place=st.sampled_from(places(PLAIN)[1:]), value=JSON)
def test_any_other_facts_are_read_or_refused_and_never_crash(
    place: tuple[Any, ...], value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    document = json.loads(json.dumps(PLAIN))
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path = write_raw(tmp_path_factory.getbasetemp() / "fuzz.medt", document)
    try:
        bundle = read_bundle(path)
        bundle_page(bundle)
        bundle_card(bundle.facts)
        bundle.predictions()
        _ = bundle.training_digests
    except MedTransferError:
        return
    assert bundle.facts.schema_version == 1


@pytest.mark.parametrize("content", [b"", b"[", b"[" * 100_000, b"\xff\xfe", b"null", b"{}"])
def test_facts_that_are_no_json_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BundleError, match="cannot be used|schema version"):
        read_bundle(write_raw(tmp_path / "a.medt", content))
