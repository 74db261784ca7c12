"""Files as a bundle's network takes them, by a ``bundle.json`` alone. No torch."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtransfer.data.images.pictures import read_file
from medtransfer.deploy.bundle.reader import MAX_FACTS, read_facts
from medtransfer.deploy.inference.onnx_network import network_input
from medtransfer.deploy.inference.pixels import InputRules
from medtransfer.errors import BundleError


class FileInput:
    """A function from an image file to a network's input, for other frameworks."""

    def __init__(self, facts: Path | str) -> None:
        """Read the rules.

        Args:
            facts: A ``bundle.json``.

        Raises:
            BundleError: It is missing, or of another schema version.
        """
        path = Path(facts)
        if not path.is_file() or path.stat().st_size > MAX_FACTS:
            raise BundleError(f'"{path.name}" is no bundle.json. Export the folder again.')
        self._input = read_facts(path.name, path.read_bytes()).input
        self._rules = InputRules.of(self._input)

    def __call__(self, path: Path | str, frame: int | None = None) -> NDArray[np.float32]:
        """Input of the network.

        Args:
            path: An image file: PNG, JPEG or DICOM.
            frame: Number of the frame in a file with several, from 1.

        Returns:
            [3, height, width]

        Raises:
            ImageError: It cannot be read, or is of another modality. The message is a reason.
        """
        file = Path(path).resolve()
        return network_input(self._rules.pixels(read_file(file, file.parent), frame), self._input)
