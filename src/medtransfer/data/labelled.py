"""What learning needs to know of cases. No torch."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Targets(Protocol):
    """Targets of cases, kept in whatever way. [N, T]"""

    @property
    def shape(self) -> tuple[int, ...]:
        """N and T."""
        ...

    def __getitem__(self, rows: Any, /) -> NDArray[np.float64]:
        """The targets of some cases, NaN where masked. [B, T]"""
        ...


class Labelled(Protocol):
    """What is needed of cases to learn from them: `Cases`, or images to pre-train on."""

    @property
    def case_ids(self) -> NDArray[np.str_]:
        """Names. [N]"""
        ...

    @property
    def image_ids(self) -> list[str]:
        """All images, case by case."""
        ...

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of images of each case. [N]"""
        ...

    @property
    def targets(self) -> Targets:
        """0 to 1, NaN where masked. [N, T]"""
        ...

    def __len__(self) -> int:
        """Number of cases."""
        ...
