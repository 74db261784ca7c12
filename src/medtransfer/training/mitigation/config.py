"""Settings of trainings that treat groups of patients alike."""

from typing import Annotated

from pydantic import Field

from medtransfer.data.config import Name
from medtransfer.models.rungs.start import Mitigation
from medtransfer.settings import Settings, identity

Rate = Annotated[float, Field(gt=0, le=10)]


class MitigationConfig(Settings):
    """One way to treat groups alike in training."""

    groups: Name = identity()
    """Column of the manifest whose values are the groups; cases without a value are one too."""
    method: Mitigation = identity()
    """`sampling`: every group is drawn equally often. `weights`: every group weighs the same in the
    loss. `dro`: a group weighs the more the larger its loss is (Sagawa et al. 2020)."""
    rate: Rate = identity(0.01)
    """For `dro`: step of the weights of the groups."""


class StudyMitigation(Settings):
    """Ways to treat groups alike that a study compares."""

    groups: Name = identity()
    """Column of the manifest whose values are the groups."""
    methods: tuple[Mitigation, ...] = identity(("sampling", "weights", "dro"), min_length=1)
    """Each is a further rung: `RUNG@group-sampling`, `RUNG@group-weights`, `RUNG@group-dro`."""
    rate: Rate = identity(0.01)
    """For `dro`: step of the weights of the groups."""
