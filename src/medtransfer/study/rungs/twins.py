"""Twins of a study's rungs: the same network on other data, or trained in another way."""

from collections.abc import Sequence
from typing import Literal

from medtransfer.models.rungs.start import (
    COVARIATES,
    METADATA_ONLY,
    MITIGATIONS,
    START_MARK,
    Mitigation,
)
from medtransfer.study.rungs.entry import RungEntry

ControlName = Literal["shuffled_labels", "border_only", "patch_shuffled", "metadata_only"]


def twins(
    rungs: Sequence[RungEntry],
    reference: str,
    *,
    covariates: bool,
    controls: Sequence[ControlName],
    mitigation: Sequence[Mitigation],
) -> list[RungEntry]:
    """Rungs that a study's settings add to those it names; those that are there are left out.

    Args:
        rungs: That are named.
        reference: The rung that controls and mitigation are of.
        covariates: Every rung is there with clinical data too, and the data alone.
        controls: Negative controls.
        mitigation: Ways to treat groups alike.
    """
    names = {entry.rung for entry in rungs}
    wanted: list[tuple[RungEntry, str]] = []
    if covariates:
        plain = [e for e in rungs if START_MARK not in e.rung and e.rung != METADATA_ONLY]
        wanted += [(entry, f"{entry.rung}{START_MARK}{COVARIATES}") for entry in plain]
        wanted.append((RungEntry(rung=METADATA_ONLY), METADATA_ONLY))
    base = next((entry for entry in rungs if entry.rung == reference), None)
    if base is not None:
        ends = [name.replace("_", "-") for name in controls if name != "metadata_only"]
        ends += [MITIGATIONS[method] for method in mitigation]
        wanted += [(base, f"{base.rung}{START_MARK}{end}") for end in ends]
    return [
        RungEntry.model_validate({**dict(entry), "rung": name})
        for entry, name in wanted
        if name not in names
    ]
