"""A rung that starts from a part of its weights: the end of its name after ``@``. No torch.

``bit-m/r50x1@stages2`` takes the pre-trained weights of the two lowest groups of layers alone, the
stem being the first; ``bit-m/r50x1@mean-variance`` draws every tensor anew with the mean and
variance of the pre-trained one (Raghu et al. 2019).
"""

import re
from dataclasses import dataclass

from medtransfer.errors import ConfigError

START_MARK = "@"
MEAN_VARIANCE = "mean-variance"
STAGES = re.compile(r"stages([1-9]\d?)")
ALLOWED = "@stages1, @stages2, … and @mean-variance"


@dataclass(frozen=True)
class Start:
    """The part of the weights that a network starts from.

    Attributes:
        stages: Lowest groups of layers that take them; None if none does.
    """

    stages: int | None

    @property
    def sentence(self) -> str:
        """The part in words."""
        if self.stages is None:
            return "mean and variance of each tensor alone"
        return f"lowest {self.stages} groups of layers alone"


def split_name(name: str) -> tuple[str, Start | None]:
    """The rung that a name begins with, and its start.

    Raises:
        ConfigError: The start is none of those allowed.
    """
    rung, mark, start = name.partition(START_MARK)
    if not mark:
        return name, None
    if start == MEAN_VARIANCE:
        return rung, Start(None)
    match = STAGES.fullmatch(start)
    if match is None:
        raise ConfigError(f"rung '{name}' ends in '{START_MARK}{start}' (allowed: {ALLOWED})")
    return rung, Start(int(match[1]))
