"""Circumstances of a choice between rungs of several studies."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CommonChoice:
    """Differences between studies that a choice between their rungs has to respect.

    Attributes:
        same_runs: Rungs whose runs another study has too, each with the rung there.
        trained_once: Rungs of one run, where others have several.
        controls: Negative controls.
        trained_apart: The studies were not trained on the same patients, as far as is known.
    """

    same_runs: tuple[tuple[str, str], ...] = ()
    trained_once: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    trained_apart: bool = False

    @property
    def left_out(self) -> set[str]:
        """Rungs that are no candidates."""
        return {*(rung for rung, _ in self.same_runs), *self.trained_once, *self.controls}
