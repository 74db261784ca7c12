"""torch's global generator, for the layers that draw from it without being asked."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import torch

from medtransfer.seeds import derive_seed

_random = cast("Any", torch.random)


@contextmanager
def seeded(seed: int, *purpose: str | int) -> Generator[None]:
    """Draw everything inside from ``(seed, purpose)``, and leave the outside as it was.

    Args:
        seed: The run's seed.
        purpose: As for `seeds.derive_seed`.
    """
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with _random.fork_rng(devices=devices):
        _random.manual_seed(derive_seed(seed, *purpose))
        yield
