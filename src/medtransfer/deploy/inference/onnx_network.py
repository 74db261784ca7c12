"""The networks of a bundle in onnxruntime, without torch."""

# pyright: reportMissingTypeStubs=false
import os
from importlib.util import find_spec
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from medtransfer.data.images.pictures import Pixels
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.bundle.schema import BundleFacts, InputFacts
from medtransfer.deploy.clinical.facts import encodings_of
from medtransfer.deploy.inference.networks import NetworkOutputs, Pictures
from medtransfer.errors import BundleError, ConfigError, listed
from medtransfer.sizes.image_size import height_width

IMAGES, CASES, CLINICAL = "images", "images_of_case", "clinical"
FEATURES, LOGITS = "features", "logits"
"""Inputs and outputs of a graph."""
IMAGES_AT_ONCE = 32
EXTERNAL_DATA = b"\x0a\x08location"
"""Start of a tensor's reference to another file, in ONNX's own encoding."""
TO_INSTALL = 'pip install "medtransfer[onnx]"'


class OnnxNetwork:
    """A network in onnxruntime."""

    def __init__(
        self, content: bytes, facts: BundleFacts, providers: list[str], covariates: int = 0
    ) -> None:
        """Load the graph.

        Args:
            content: Of the ``.onnx`` file.
            facts: Of the bundle.
            providers: Execution providers of onnxruntime, best first.
            covariates: Columns of clinical data that it sees, as numbers.

        Raises:
            BundleError: It is no such graph, or refers to other files.
        """
        self._input = facts.input
        if EXTERNAL_DATA in content:
            raise _damaged("it refers to other files")
        import onnxruntime

        runtime = cast("Any", onnxruntime)
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # errors are raised; nothing else is printed
        options.intra_op_num_threads = _threads()
        try:
            self._session = runtime.InferenceSession(content, options, providers=providers)
        except Exception as error:
            raise _damaged(f"onnxruntime cannot load it ({type(error).__name__})") from error
        ends = [*self._session.get_inputs(), *self._session.get_outputs()]
        fixed = {end.name: tuple(n for n in end.shape if isinstance(n, int)) for end in ends}
        self._covariates = covariates
        wanted = {
            IMAGES: (3, *height_width(facts.input.crop)),
            CASES: (),
            FEATURES: (facts.network.architecture.width + covariates,),
            LOGITS: (len(facts.targets),),
        }
        if covariates:
            wanted[CLINICAL] = (covariates,)
        if fixed != wanted:
            raise _damaged("its inputs and outputs are not those of the bundle")

    def outputs(
        self, pictures: Pictures, clinical: NDArray[np.float32] | None = None, /
    ) -> NetworkOutputs:
        """Features and logits of decoded cases; clinical data that are left out are zeros."""
        if clinical is None:
            clinical = np.zeros((len(pictures), self._covariates), dtype=np.float32)
        parts: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        first = 0
        for part in _parts(pictures):
            parts.append(self._run(part, clinical[first : first + len(part)]))
            first += len(part)
        features, logits = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return NetworkOutputs(features, logits)

    def _run(
        self, pictures: Pictures, clinical: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        images = [network_input(image, self._input) for of_case in pictures for image in of_case]
        owner = np.repeat(np.arange(len(pictures)), [len(of_case) for of_case in pictures])
        given = {
            IMAGES: np.stack(images),
            CASES: (owner == np.arange(len(pictures))[:, None]).astype(np.float32),
        }
        if self._covariates:
            given[CLINICAL] = clinical
        features, logits = self._session.run([FEATURES, LOGITS], given)
        return features, logits


def onnx_networks(bundle: Bundle, device: str) -> list[OnnxNetwork]:
    """The network of each member of a bundle, in onnxruntime.

    Args:
        bundle: The bundle.
        device: `cpu`, `cuda`, or `auto`.

    Raises:
        BundleError: The bundle has no ONNX network, or it is damaged.
        ConfigError: onnxruntime is not installed, or lacks the device.
    """
    if bundle.facts.onnx is None:
        raise BundleError(
            f'Bundle "{bundle.path.name}" holds no ONNX network. `medtransfer export '
            f"{bundle.path.name} --onnx -o NEW.medt` adds one; --runtime torch needs none."
        )
    providers = _providers(device)
    return [
        OnnxNetwork(
            bundle.onnx(member),
            bundle.facts,
            providers,
            0 if encoding is None else encoding.width,
        )
        for member, encoding in enumerate(encodings_of(bundle.facts.clinical, bundle.facts.members))
    ]


def network_input(pixels: Pixels, facts: InputFacts) -> NDArray[np.float32]:
    """Pixels as a network takes them, to the bit as torch makes them.

    Args:
        pixels: [height, width, 1 or 3], 8 or 16 bits.
        facts: Mean and standard deviation.

    Returns:
        [3, height, width]
    """
    largest = np.float32(255 if pixels.dtype == np.uint8 else 65535)
    scaled = pixels.astype(np.float32) / largest
    mean, std = (np.array(values, dtype=np.float32) for values in (facts.mean, facts.std))
    return np.ascontiguousarray(((scaled - mean) / std).transpose(2, 0, 1))


def _parts(pictures: Pictures) -> list[Pictures]:
    """Cases in runs of at most `IMAGES_AT_ONCE` images, never cut inside a case."""
    parts: list[list[Any]] = []
    waiting = IMAGES_AT_ONCE
    for of_case in pictures:
        if waiting + len(of_case) > IMAGES_AT_ONCE:
            parts.append([])
            waiting = 0
        parts[-1].append(of_case)
        waiting += len(of_case)
    return list(parts)


def _providers(device: str) -> list[str]:
    """Execution providers for a device, best first.

    Raises:
        ConfigError: onnxruntime is not installed, or lacks the device.
    """
    if find_spec("onnxruntime") is None:
        raise ConfigError(f"--runtime onnx needs onnxruntime: {TO_INSTALL}.")
    import onnxruntime

    names = {"CUDAExecutionProvider": "cuda", "CPUExecutionProvider": "cpu"}
    provided = cast("Any", onnxruntime).get_available_providers()
    available = [name for name in names if name in provided]
    if device == "auto":
        return available
    chosen = [name for name in available if names[name] == device]
    if not chosen:
        raise ConfigError(
            f"--device is '{device}', which this onnxruntime lacks (it has "
            f"{listed(names[name] for name in available)})."
        )
    return chosen


def _threads() -> int:
    """Threads of a session: ``OMP_NUM_THREADS`` if it is set, as in torch; 0 for onnxruntime's."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() else 0


def _damaged(why: str) -> BundleError:
    return BundleError(f"The ONNX network of the bundle cannot be used: {why}. Ask for it again.")
