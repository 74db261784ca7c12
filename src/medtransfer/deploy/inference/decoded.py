"""Decoded cases as a network is tested on them."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.images.pictures import Pixels
from medtransfer.data.loader import Batch, image_runs
from medtransfer.data.transforms import normalise, whole_images
from medtransfer.deploy.bundle.schema import InputFacts


def bundled_spec(facts: InputFacts) -> InputSpec:
    """Input of a bundle's network; nothing is cropped when it predicts."""
    return InputSpec(facts.crop, facts.crop, facts.mean, facts.std, facts.interpolation)


class DecodedCases:
    """Cases whose images are in memory, at the network's size.

    Images may differ in bits and channels; each is normalised by itself.
    """

    def __init__(
        self,
        pictures: Sequence[Sequence[Pixels]],
        spec: InputSpec,
        clinical: NDArray[np.float32] | None = None,
    ) -> None:
        """Keep the images.

        Args:
            pictures: Of each case, [height, width, 1 or 3] each; no case is without.
            spec: Input of the network.
            clinical: Clinical data as numbers; None where the network sees none. [N, C]
        """
        self._clinical = clinical
        self.spec = spec
        self._pictures = pictures
        self._counts: NDArray[np.int64] = np.array([len(p) for p in pictures], dtype=np.int64)

    def __len__(self) -> int:
        """Number of cases."""
        return len(self._pictures)

    def split(self, rows: NDArray[np.int64], limit: int) -> list[NDArray[np.int64]]:
        """Cut positions into runs of at most `limit` images, never inside a case."""
        return image_runs(self._counts[rows], limit)

    def test_batch(self, rows: NDArray[np.int64], device: torch.device) -> Batch:
        """Cases as they are tested: normalised, without labels."""
        chosen: list[int] = rows.tolist()
        pictures = [picture for row in chosen for picture in self._pictures[row]]
        images = [
            normalise(whole_images(picture[None]).to(device), self.spec) for picture in pictures
        ]
        owner = np.repeat(np.arange(len(rows)), self._counts[rows])
        unknown = torch.zeros((len(rows), 1), device=device)
        covariates = None
        if self._clinical is not None:
            covariates = torch.as_tensor(self._clinical[rows]).to(device)
        of_image = torch.as_tensor(owner).to(device)
        return Batch(torch.cat(images), of_image, unknown, unknown.bool(), covariates)
