"""The networks of a bundle in ONNX compute what torch computes, whatever the family."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from numpy.testing import assert_allclose
from tests.deploy import handmade

from medtransfer.deploy.bundle.export import export_bundle, export_options
from medtransfer.deploy.bundle.reader import Bundle, weights_name
from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.deploy.exchange import onnx_graph
from medtransfer.deploy.exchange.onnx_graph import pooled, require_exporter, with_onnx
from medtransfer.deploy.inference.model import BundleModel, load_bundle
from medtransfer.deploy.inference.network import pick_predicting_device
from medtransfer.errors import BundleError, ConfigError
from medtransfer.models.classifier import CasePool, build_classifier
from medtransfer.models.config import ModelConfig, Pool
from medtransfer.runs.folders import StudyFolder
from medtransfer.sizes.image_size import ImageSize

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")


@pytest.fixture(scope="module")
def onnx_bundle(finished: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Both seeds of a rung of the finished study, with their networks in ONNX."""
    path = tmp_path_factory.mktemp("onnx") / "lesion.medt"
    options = export_options(onnx=True)
    return export_bundle(
        finished, path, rung="imagenet/effnet-lite0", ensemble=True, options=options
    )


@pytest.mark.slow
def test_onnxruntime_predicts_the_study_as_torch_does(
    onnx_bundle: Bundle, phantom_folder: Path
) -> None:
    manifest = phantom_folder / "lesion.parquet"
    by_torch = load_bundle(onnx_bundle.path, device="cpu").predict(manifest)
    by_onnx = load_bundle(onnx_bundle.path, device="cpu", runtime="onnx").predict(manifest)
    keys = ["case_id", "member"]
    pair = by_torch.scores.join(by_onnx.scores, on=keys, suffix="_onnx")
    assert len(pair) == len(by_torch.scores) > 100
    assert_allclose(pair["logit_malignant_onnx"], pair["logit_malignant"], atol=1e-4)
    assert_allclose(pair["ood_mahalanobis_onnx"], pair["ood_mahalanobis"], rtol=1e-2)
    assert by_torch.frame["set_malignant"].to_list() == by_onnx.frame["set_malignant"].to_list()


@pytest.mark.slow
def test_the_comparison_is_inside_and_said(onnx_bundle: Bundle) -> None:
    onnx = onnx_bundle.facts.onnx
    assert onnx is not None
    assert onnx.inputs == 32
    assert onnx.logit_difference < 1e-4
    said = f"differ from torch in float32 by at most {onnx.logit_difference:.2g}"
    assert said in BundleModel(onnx_bundle).show()
    assert said in onnx_bundle.card
    parity = onnx_bundle.parity()
    given = onnx_bundle.facts.input
    mean, std = (np.array(v, dtype=np.float32) for v in (given.mean, given.std))
    images = ((parity["pixels"] / np.float32(255) - mean) / std).transpose(0, 3, 1, 2)
    for member in range(2):
        session = onnxruntime.InferenceSession(onnx_bundle.onnx(member))
        features, logits = session.run(
            ["features", "logits"],
            {
                "images": images.astype(np.float32),
                "images_of_case": parity["images_of_case"],
            },
        )
        assert_allclose(logits, parity["logits"][member], atol=1e-4)
        assert_allclose(features, parity["features"][member], atol=1e-3)
        assert str(Path(onnx_graph.__file__).parents[3]).encode() not in onnx_bundle.onnx(member)


@pytest.mark.slow
def test_the_same_study_gives_the_same_bytes_with_onnx(
    onnx_bundle: Bundle, finished: StudyFolder, tmp_path: Path
) -> None:
    options = export_options(onnx=True)
    again = export_bundle(
        finished, tmp_path / "b.medt", rung="imagenet/effnet-lite0", ensemble=True, options=options
    )
    assert again.path.read_bytes() == onnx_bundle.path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rung", "pool", "crop"),
    [
        ("scratch/r26x0.25", "attention", 32),
        ("scratch/r50x1", "mean", 64),
        ("scratch/timm:vit_tiny_patch16_224", "max", 64),
        ("scratch/timm:convnext_atto", "mean", 64),
        ("scratch/timm:resnet18", "attention", 64),
        ("scratch/mobilenetv2", "mean", 64),
        ("scratch/r26x0.25", "mean", (64, 40)),
        ("scratch/timm:vit_tiny_patch16_224", "mean", (64, 48)),
    ],
)
def test_every_family_and_pooling_is_exported(rung: str, pool: Pool, crop: ImageSize) -> None:
    facts, entries = untrained(rung, pool, crop)
    exported, added = with_onnx(facts, entries)
    assert exported.onnx is not None
    assert {"network.onnx", "parity.safetensors"} <= set(added)
    largest = np.abs(safetensors.numpy.load(added["parity.safetensors"])["logits"]).max()
    assert exported.onnx.logit_difference < 1e-4 * max(1, largest)


def untrained(rung: str, pool: Pool, crop: ImageSize) -> tuple[BundleFacts, dict[str, bytes]]:
    """Facts and weights of a network with random weights, also in its head."""
    import safetensors.torch
    import torch

    device = pick_predicting_device("cpu")
    built = build_classifier(
        ModelConfig(rung=rung, pool=pool), 1, seed=0, device=device, input_size=crop
    )
    torch.manual_seed(0)
    torch.nn.init.normal_(built.classifier.head.weight, std=0.1)
    state = built.classifier.to(memory_format=torch.contiguous_format).state_dict()
    weights = safetensors.torch.save(state)
    given = handmade.facts()
    architecture = built.rung.architecture
    network = replace(
        given.network,
        architecture=replace(
            given.network.architecture,
            name=architecture.name,
            timm=architecture.timm,
            width=architecture.width or 0,
            input_size=architecture.input_size,
            layers=architecture.layers,
            width_factor=architecture.width_factor,
            groups=architecture.groups,
            stem=architecture.stem,
        ),
        pool=pool,
    )
    facts = replace(given, network=network, input=replace(given.input, crop=crop))
    return facts, {weights_name(0): weights}


@pytest.mark.parametrize("pool", ["mean", "max", "attention"])
def test_cases_by_a_matrix_are_pooled_as_by_their_owners(pool: Pool) -> None:
    import torch

    features = torch.randn((5, 7), generator=torch.Generator().manual_seed(0))
    owner = torch.tensor([0, 0, 1, 2, 2])
    matrix = (owner[None] == torch.arange(3)[:, None]).float()
    layer = CasePool(pool, 7, seed=0)
    assert_allclose(
        pooled(layer, features, matrix).detach(), layer(features, owner, 3).detach(), atol=1e-6
    )


def test_what_is_missing_to_export_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_graph, "find_spec", lambda name: None if name == "onnx" else name)
    with pytest.raises(ConfigError, match=r"--onnx needs onnx: pip install \"medtransfer\[onnx\]"):
        require_exporter()


def test_a_network_that_no_file_of_onnx_holds_is_refused() -> None:
    given = handmade.facts()
    large = replace(given, network=replace(given.network, parameters=936_000_000))
    with pytest.raises(BundleError, match="936,000,000 parameters does not fit"):
        with_onnx(large, {})
