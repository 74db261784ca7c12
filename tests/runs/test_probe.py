"""Linear probes: many runs from one pass through the network, along the one way to predictions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import safetensors.torch
import torch
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from tests.local_run import Local

from medtransfer.data.cases import build_cases, predicted_cases
from medtransfer.data.images.cache import PixelCache
from medtransfer.data.loader import CaseImages
from medtransfer.data.splits import assign_splits
from medtransfer.errors import ConfigError
from medtransfer.evaluation.inference import feature_cache
from medtransfer.evaluation.inference.predict import predict
from medtransfer.models.classifier import Classifier, build_classifier
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.inputs import cache_requests, input_spec, known_architecture
from medtransfer.runs.transfer import environment, transfer
from medtransfer.study.config import Study
from medtransfer.study.plan import plan_runs, read_data
from medtransfer.training.loop import Stopped

RUNG = "imagenet/effnet-lite0"
FRACTIONS = [0.1 * k for k in range(1, 11)]


@pytest.fixture
def study(tiny_study: Study) -> Study:
    changes = {
        "rungs": [RUNG],
        "label_fractions": FRACTIONS,
        "training": {"tuning": {"mode": "linear", "penalties": [1.0, 0.01]}},
        "evaluation": {"replicates": 0, "permutations": 0},
    }
    return Study.model_validate(tiny_study.model_dump(exclude_unset=True) | changes)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of images of every pass through a network."""
    counts: list[int] = []
    features = Classifier.features

    def counted(self: Classifier, images: torch.Tensor, *rest) -> torch.Tensor:
        counts.append(len(images))
        return features(self, images, *rest)

    monkeypatch.setattr(Classifier, "features", counted)
    return counts


def carry_out(study: Study, folder: Path) -> tuple[StudyFolder, list]:
    place = StudyFolder(folder)
    place.claim(study.name)
    data = read_data(study, place.images)
    planned = plan_runs(study, data)
    for run in planned:
        own = place.run(run.run_id)
        if not own.is_done():
            own.start({"run_id": run.run_id}, environment(run.cell.run.training))
            transfer(run.cell.run, place, own, lambda _: False)
    return place, planned


@pytest.mark.slow
def test_ten_fractions_and_more_seeds_cost_one_pass(
    study: Study, tmp_path: Path, seen: list[int]
) -> None:
    place, planned = carry_out(study, tmp_path)
    images = len(pl.read_parquet(study.data.manifest))
    assert len(planned) == 10
    assert sum(seen) == images
    costs = [place.run(run.run_id).cost() for run in planned]
    assert [cost.images for cost in costs] == [images] + 9 * [0]
    assert [run.num_images for run in planned] == [images] + 9 * [0]
    assert {cost.trained_parameters for cost in costs} == {1281}
    assert sorted({cost.training_cases or 0 for cost in costs})[:2] == [3, 6]
    carry_out(study.model_copy(update={"label_fractions": (0.55,), "seeds": (1,)}), tmp_path)
    assert sum(seen) == images


def test_what_is_kept_holds_neither_ids_nor_labels(study: Study, tmp_path: Path) -> None:
    place, _ = carry_out(study.model_copy(update={"label_fractions": (1.0,)}), tmp_path)
    shapes: list[dict[str, tuple[int, ...]]] = []
    for part in place.features.iterdir():
        names = sorted(path.name for path in part.iterdir())
        assert names == ["MANIFEST.json", "features.safetensors"]
        tensors = safetensors.torch.load_file(part / "features.safetensors")
        shapes.append({name: tuple(value.shape) for name, value in tensors.items()})
        raw = (part / "features.safetensors").read_bytes()
        for row in pl.read_parquet(study.data.manifest)["patient_id"][:5]:
            assert row.encode() not in raw
    by_cohort = sorted(shapes, key=lambda shape: shape["features"])
    assert by_cohort == [{"features": (24, 1280)}, {"features": (48, 1280)}]


@pytest.mark.slow
def test_predictions_are_what_the_selected_weights_give(study: Study, tmp_path: Path) -> None:
    place, (planned, *_) = carry_out(study.model_copy(update={"label_fractions": (1.0,)}), tmp_path)
    run, own = planned.cell.run, place.run(planned.run_id)
    data = read_data(study, place.images)
    built = build_classifier(run.model, 1, seed=0, device=torch.device("cpu"))
    (weights,) = own.checkpoint.glob("selected-*/model.safetensors")
    built.classifier.load_state_dict(safetensors.torch.load_file(weights))
    frame = assign_splits(data.manifest, run.data)
    spec = input_spec(run, known_architecture(RUNG), frame, data.facts)
    need = cache_requests(run, spec, frame)[1]
    pixels = PixelCache(need.make(data.manifest, data.facts, place.cache))
    cases = predicted_cases(build_cases(frame, run.data), run.data)
    expected = predict(built.classifier.eval(), CaseImages(cases, pixels, spec))
    found = own.predictions().sort("case_id")
    assert found["case_id"].to_list() == cases.case_ids.tolist()
    assert_allclose(found["logit_malignant"].to_numpy(), expected[:, 0], rtol=1e-4, atol=1e-4)
    assert np.abs(expected).max() > 0.01
    assert {check.penalty for check in own.history()} == {1.0, 0.01}
    assert {name for name in found.columns if name.startswith("ood_")}


def test_only_the_images_as_they_are_tested_are_prepared(study: Study, tmp_path: Path) -> None:
    place, _ = carry_out(study.model_copy(update={"label_fractions": (1.0,)}), tmp_path)
    assert [path.name.split("-")[0] for path in place.cache.iterdir()] == ["32px"]


@pytest.mark.slow
def test_a_pass_that_was_stopped_goes_on_in_the_same_bits(
    study: Study,
    tmp_path: Path,
    seen: list[int],
    local: Callable[..., Local],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feature_cache, "PART", 30)
    one = study.model_copy(update={"label_fractions": (1.0,)})
    whole = local(tmp_path / "whole", one)
    whole.carry_out()
    del seen[:]
    cut = local(tmp_path / "cut", one)
    with pytest.raises(Stopped):
        cut.carry_out(lambda _: len(seen) == 2)
    cut.carry_out()
    assert seen == [30, 18, 18, 24]  # the part that was stopped in is made again
    assert cut.digests() == whole.digests()


@pytest.mark.slow
def test_a_damaged_part_is_made_again(
    study: Study, tmp_path: Path, seen: list[int], local: Callable[..., Local]
) -> None:
    one = study.model_copy(update={"label_fractions": (1.0,)})
    made = local(tmp_path, one)
    made.carry_out()
    before = made.digests()
    file = max(made.folder.features.glob("*/features.safetensors"), key=lambda f: f.stat().st_size)
    file.write_bytes(file.read_bytes()[:-1] + b"\x55")
    made.carry_out()
    assert seen == [48, 24, 48]
    assert made.digests() == before


@pytest.mark.slow
def test_other_random_weights_are_other_features(study: Study, tmp_path: Path, seen) -> None:
    scratch = Study.model_validate(
        study.model_dump(exclude_unset=True)
        | {"rungs": ["scratch/r14x0.5"], "label_fractions": [0.5, 1.0], "seeds": [0, 1]}
    )
    place, planned = carry_out(scratch, tmp_path)
    assert sum(seen) == 2 * 72
    assert len(list(place.features.iterdir())) == 2 * 2  # of two seeds, for two cohorts
    assert [run.num_images for run in planned] == [72, 0, 72, 0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rungs": [{"rung": RUNG, "pool": "attention"}]}, "has no attention to learn"),
        (
            {"training": {"tuning": {"mode": "linear"}, "loss": {"smoothing": 0.1}}},
            "is logistic regression: loss.kind must be cross-entropy",
        ),
        (
            {"training": {"loss": {"weights": {"malignat": 2.0}}}},
            "loss.weights names 'malignat', which is no target.*Did you mean 'malignant'",
        ),
        ({"training": {"tuning": {"mode": "full", "rank": 4}}}, "tuning.mode full has no rank"),
        ({"training": {"loss": {"gamma": 1.0}}}, "loss.kind cross-entropy has no gamma"),
    ],
)
def test_what_does_not_go_together_is_refused(study: Study, changes, said: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=said):
        Study.model_validate(study.model_dump(exclude_unset=True) | changes)


def test_a_run_trains_on_shares_of_readers_and_is_scored_by_their_majority(
    tiny_study: Study, tmp_path: Path
) -> None:
    source = tiny_study.data.manifest
    frame = pl.read_parquet(source)
    number = pl.col("case_id").rank("dense") % 3
    positive = pl.col("malignant").cast(pl.Float64)
    shares = pl.when(number == 0).then(0.2 + 0.6 * positive).otherwise(positive)
    frame.with_columns(malignant=pl.when(number == 1).then(0.5).otherwise(shares)).write_parquet(
        tmp_path / "shares.parquet"
    )
    settings = tiny_study.model_dump(exclude_unset=True)
    settings["data"] |= {
        "manifest": tmp_path / "shares.parquet",
        "image_root": source.parent,
        "targets": {"malignant": {"fractions": "train"}},
    }
    settings["evaluation"] = {"replicates": 0, "permutations": 0}
    settings["rungs"] = [RUNG]
    settings["training"] = {"tuning": {"mode": "linear", "penalties": [1.0]}}
    place, (planned,) = carry_out(Study.model_validate(settings), tmp_path / "study")
    predictions = place.run(planned.run_id).predictions()
    truth = frame.select("case_id", pl.col("malignant").cast(pl.Float64), number.alias("number"))
    joined = predictions.join(truth.unique("case_id"), on="case_id", how="left")
    ties = joined["number"] == 1
    assert joined.filter(ties)["target_malignant"].null_count() == ties.sum() > 0
    decided = joined.filter(~ties)
    assert decided["target_malignant"].to_list() == decided["malignant"].to_list()


@pytest.mark.slow
def test_a_run_trains_on_shares_of_the_classes(tiny_study: Study, tmp_path: Path) -> None:
    """Shares that are certain change nothing, and of even ones nothing can be learned."""
    source = tiny_study.data.manifest
    positive = pl.col("malignant").cast(pl.Float64)
    frame = pl.read_parquet(source).with_columns(
        kind=pl.when(pl.col("malignant").cast(pl.Int8) == 1)
        .then(pl.lit("m"))
        .otherwise(pl.lit("b"))
    )
    logits: list[NDArray[np.float64]] = []
    for number, share in enumerate((None, positive, pl.lit(0.5))):
        table = frame if share is None else frame.with_columns(m=4 * share, b=4 * (1 - share))
        table.write_parquet(tmp_path / "kinds.parquet")
        settings = tiny_study.model_dump(exclude_unset=True)
        settings["data"] |= {
            "manifest": tmp_path / "kinds.parquet",
            "image_root": source.parent,
            "task": "single-label",
            "class_column": "kind",
            "targets": ["b", "m"],
            "class_shares": {} if share is None else {"b": "b", "m": "m"},
        }
        settings["evaluation"] = {"replicates": 0, "permutations": 0}
        settings["rungs"] = [RUNG]
        settings["training"] = {"tuning": {"mode": "linear", "penalties": [0.01]}}
        study = Study.model_validate(settings)
        place, (planned,) = carry_out(study, tmp_path / str(number))
        predictions = place.run(planned.run_id).predictions().sort("case_id")
        logits.append(predictions.select("logit_b", "logit_m").to_numpy())
        assert set(predictions["target_m"].unique()) == {0.0, 1.0}  # the truth is the class
    np.testing.assert_array_equal(logits[0], logits[1])
    certain, even = (np.abs(logit[:, 1] - logit[:, 0]).max() for logit in logits[1:])
    assert even < 1e-6 < certain
