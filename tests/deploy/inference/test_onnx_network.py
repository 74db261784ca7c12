"""A bundle's ONNX network is checked before it runs, and takes cases of any number of images."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tests.deploy import handmade

from medtransfer.data.transforms import normalise, whole_images
from medtransfer.deploy.bundle.schema import OnnxFacts
from medtransfer.deploy.inference import onnx_network
from medtransfer.deploy.inference.decoded import bundled_spec
from medtransfer.deploy.inference.model import load_bundle
from medtransfer.deploy.inference.onnx_network import OnnxNetwork, network_input
from medtransfer.errors import BundleError, ConfigError

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
CPU = ["CPUExecutionProvider"]
SIZE, WIDTH = 32, 1024


def graph(size: int = SIZE, external: bool = False) -> bytes:
    """A network whose features are the mean of the images, and whose logit is their sum."""
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    weight = helper.make_tensor("w", real, [3, WIDTH], np.ones(3 * WIDTH, dtype=np.float32))
    if external:
        weight.ClearField("float_data")
        weight.data_location = onnx.TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="/etc/hostname")
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["images_of_case", "flat"], ["summed"]),
        helper.make_node("ReduceSum", ["images_of_case", "axis"], ["count"], keepdims=1),
        helper.make_node("Div", ["summed", "count"], ["mean"]),
        helper.make_node("MatMul", ["mean", "w"], ["features"]),
        helper.make_node("ReduceSum", ["mean", "axis"], ["logits"], keepdims=1),
    ]
    of = helper.make_tensor_value_info
    made = helper.make_graph(
        nodes,
        "by hand",
        [of("images", real, ["m", 3, size, size]), of("images_of_case", real, ["b", "m"])],
        [of("features", real, ["b", WIDTH]), of("logits", real, ["b", 1])],
        [weight, helper.make_tensor("axis", onnx.TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model.SerializeToString()


def bundle_with(content: bytes, path: Any) -> Any:
    facts = handmade.facts(onnx=OnnxFacts(18, "torch 2", "onnxruntime 1", 32, 1e-6, None))
    changed = {"network.onnx": content, "parity.safetensors": b"\x02\0\0\0\0\0\0\0{}"}
    return handmade.write_by_hand(path, facts, changed)


def test_cases_are_run_in_parts_and_never_cut() -> None:
    network = OnnxNetwork(graph(), handmade.facts(), CPU)
    rng = np.random.default_rng(0)
    counts = [1, 3, 40, 2, 31, 1]
    pictures = [
        [rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8) for _ in range(count)]
        for count in counts
    ]
    outputs = network.outputs(pictures)
    means = [np.mean([p.mean(axis=(0, 1)) / 127.5 - 1 for p in case], axis=0) for case in pictures]
    assert_allclose(outputs.logits[:, 0], np.sum(means, axis=1), atol=1e-5)
    assert outputs.features.shape == (6, WIDTH)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_input_is_torchs_to_the_bit(dtype: type, channels: int) -> None:
    facts = handmade.facts().input
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, channels)).astype(dtype)
    ours = network_input(pixels, facts)
    theirs = normalise(whole_images(pixels[None]), bundled_spec(facts))[0]
    assert_array_equal(ours, theirs.numpy())


def test_a_graph_that_is_not_the_bundles_is_refused(tmp_path: Any) -> None:
    facts = handmade.facts()
    with pytest.raises(BundleError, match="refers to other files"):
        OnnxNetwork(graph(external=True), facts, CPU)
    with pytest.raises(BundleError, match="onnxruntime cannot load it"):
        OnnxNetwork(b"junk", facts, CPU)
    with pytest.raises(BundleError, match="not those of the bundle"):
        OnnxNetwork(graph(size=16), facts, CPU)
    made = bundle_with(graph(), tmp_path / "a.medt")
    assert load_bundle(made.path, runtime="onnx", device="cpu").networks is not None
    content = bytearray(made.path.read_bytes())
    content[content.index(b"by hand", content.index(b"network.onnx"))] ^= 1
    made.path.write_bytes(content)
    model = load_bundle(made.path, runtime="onnx")
    with pytest.raises(BundleError, match=r"network\.onnx (is not what it was|cannot be read)"):
        _ = model.networks


def test_what_is_missing_to_run_it_is_said(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = handmade.write_by_hand(tmp_path / "a.medt")
    with pytest.raises(BundleError, match=r"holds no ONNX network.*export a\.medt --onnx"):
        _ = load_bundle(plain.path, runtime="onnx").networks
    with pytest.raises(ConfigError, match=r"--runtime is 'tensorrt' \(allowed: torch, onnx\)"):
        load_bundle(plain.path, runtime="tensorrt")  # type: ignore[arg-type]
    made = bundle_with(graph(), tmp_path / "b.medt")
    with pytest.raises(ConfigError, match=r"--device is 'mps', which this onnxruntime lacks"):
        _ = load_bundle(made.path, runtime="onnx", device="mps").networks
    monkeypatch.setattr(onnx_network, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"--runtime onnx needs onnxruntime: pip install"):
        _ = load_bundle(made.path, runtime="onnx").networks


def test_what_a_prediction_does_not_need_is_not_loaded() -> None:
    code = (
        "import sys; from medtransfer import load_bundle; "
        "import medtransfer.deploy.inference.model, medtransfer.deploy.inference.onnx_network; "
        "slow = ('torch', 'numba', 'jinja2', 'scipy.optimize', 'sklearn', 'pydicom'); "
        "print([name for name in slow if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
