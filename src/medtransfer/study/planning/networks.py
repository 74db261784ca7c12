"""Networks that cannot be trained as a study asks, found before its images are decoded."""

from collections.abc import Iterable

from medtransfer.errors import ConfigError
from medtransfer.models.ladder import find_rung
from medtransfer.models.rungs.architectures import ARCHITECTURES, Architecture
from medtransfer.runs.inputs import known_architecture
from medtransfer.sizes.image_size import ImageSize
from medtransfer.study.plan import PlannedRun
from medtransfer.training.config import TrainingConfig


def require_networks(planned: Iterable[PlannedRun]) -> None:
    """Build the networks of runs without their weights, where settings do not suit every network.

    Raises:
        ConfigError: Some cannot take images of their size, or lack what a setting needs; all are
            named.
    """
    faults: dict[str, None] = {}
    looked_at = set[tuple[str, ImageSize, int | None, bool, bool]]()
    for run in planned:
        rung, config = run.cell.rung, run.cell.run.training
        if not run.needs or not find_rung(rung).reads_images:
            continue
        size, tuning = run.needs[1].recipe.size, config.tuning
        frozen = tuning.frozen_stages if tuning.mode == "partial" else None
        key = rung, size, frozen, config.layer_decay < 1, config.growth is not None
        if key not in looked_at:
            looked_at.add(key)
            architecture = known_architecture(rung)
            if _is_in_question(architecture, config):
                faults |= dict.fromkeys(_faults(rung, architecture, size, config))
    if faults:
        raise ConfigError("\n".join(faults))


def _is_in_question(architecture: Architecture, config: TrainingConfig) -> bool:
    """True if only the network itself can tell. Those of our table take any size of images."""
    return (
        architecture.name not in ARCHITECTURES
        or config.tuning.mode == "partial"
        or config.layer_decay < 1
    )


def _faults(
    rung: str, architecture: Architecture, size: ImageSize, config: TrainingConfig
) -> list[str]:
    # torch and timm are imported for these networks alone
    import torch

    from medtransfer.models.backbones import build_backbone, layer_numbers, takes_any_size
    from medtransfer.models.partial_tuning import lowest_weights

    try:
        with torch.device("meta"):
            network = build_backbone(architecture, seed=0, input_size=size)
        if config.tuning.mode == "partial":
            lowest_weights(network, config.tuning.frozen_stages)
        if config.layer_decay < 1 and config.tuning.mode != "linear":
            layer_numbers(network)
    except ConfigError as error:
        return [f"Rung '{rung}': {error}"]
    if config.growth is None or config.tuning.mode == "linear" or takes_any_size(network):
        return []
    message = (
        f"Rung '{rung}': training.growth needs a network that takes images of any size, and this "
        "one has position embeddings for a single size. Leave growth out for it: "
        f"{{rung: {rung}, training: {{growth: null}}}}."
    )
    return [message]
