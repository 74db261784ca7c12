"""Gram matrices in a file: the same CKA as of the outputs, and other cases are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medtransfer.analysis.grams import NetworkGrams, between, network_grams, read_grams, write_grams
from medtransfer.analysis.similarity import cka
from medtransfer.errors import StudyError

PATIENTS = np.array([f"p{k // 2}" for k in range(150)])
IDS = [f"c{k}" for k in range(150)]
NUMBERS = {"stem": 0, "features": 1}


def outputs(seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    base = np.random.default_rng(9).normal(size=(150, 6))
    return {name: (base + draw.normal(size=base.shape)).astype(np.float32) for name in NUMBERS}


def grams(seed: int) -> NetworkGrams:
    return network_grams(IDS, outputs(seed), NUMBERS, PATIENTS)


def test_networks_are_compared_as_their_outputs_would_be(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_grams(grams(seed), tmp_path / f"{seed}.parquet")
    first, second = (read_grams(tmp_path / f"{seed}.parquet") for seed in (1, 2))
    assert sorted(first.case_ids) == sorted(IDS)
    assert first.numbers == NUMBERS
    for stage in NUMBERS:
        expected = cka(outputs(1)[stage], outputs(2)[stage], PATIENTS)
        value = between(first, second, stage, stage)
        assert (value.value, value.low, value.high) == pytest.approx(
            (expected.value, expected.low, expected.high), abs=1e-6
        )
    across = between(first, second, "stem", "features")
    assert across.value == pytest.approx(
        cka(outputs(1)["stem"], outputs(2)["features"], PATIENTS).value, abs=1e-6
    )


def test_other_cases_and_another_order_are_refused() -> None:
    first, second = grams(1), grams(2)
    turned = replace(second, case_ids=second.case_ids[::-1])
    with pytest.raises(StudyError, match="positions differ"):
        between(first, turned, "stem", "stem")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r-grams.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(StudyError, match="r-grams.parquet.*Delete it"):
        read_grams(path)


def test_features_without_columns_have_no_similarity() -> None:
    nothing = {"features": np.zeros((150, 0), np.float32)}
    empty = network_grams(IDS, nothing, {"features": 0}, PATIENTS)
    assert between(empty, grams(1), "features", "features").reason
