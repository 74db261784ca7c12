"""A bundle's network as a folder of the Hugging Face hub, which timm opens."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from medtransfer.deploy.bundle.card import NOT_A_DEVICE
from medtransfer.deploy.bundle.reader import FACTS, Bundle, facts_text
from medtransfer.files import json_text
from medtransfer.sizes.image_size import height_width

if TYPE_CHECKING:
    from medtransfer.deploy.exchange.timm_network import TimmNetwork

Json = Mapping[str, object]
"""Open JSON of timm."""
HEADER = """---
library_name: timm
pipeline_tag: image-classification
license: other
license_name: see-licences
tags: [medical, medtransfer, timm]
---
"""
"""Facts that the hub reads of a card."""


def hub_files(bundle: Bundle, network: "TimmNetwork") -> dict[str, bytes]:
    """Files of the folder by name; ``config.json`` is the last.

    Args:
        bundle: The bundle.
        network: Its network under timm's names.
    """
    config = json_text(_config(bundle, network))
    return {
        "model.safetensors": network.weights(),
        FACTS: facts_text(bundle.facts).encode(),
        "README.md": _readme(bundle).encode(),
        "config.json": config.encode(),
    }


def _config(bundle: Bundle, network: "TimmNetwork") -> Json:
    facts = bundle.facts
    given = facts.input
    return {
        "architecture": network.name,
        "num_classes": len(facts.targets),
        "num_features": facts.network.architecture.width,
        "label_names": list(facts.names),
        **({"model_args": network.arguments} if network.arguments else {}),
        "pretrained_cfg": {
            "custom_load": False,
            "input_size": [3, *height_width(given.crop)],
            "fixed_input_size": bool(network.arguments),
            "interpolation": given.interpolation,
            "crop_pct": 1.0,
            "crop_mode": "squash",  # all that it is given, whatever its proportions
            "mean": list(given.mean),
            "std": list(given.std),
            "num_classes": len(facts.targets),
            "classifier": network.head,
            **({"first_conv": network.first} if network.first else {}),
        },
    }


def _readme(bundle: Bundle) -> str:
    facts = bundle.facts
    function = "softmax(-1)" if facts.task == "single-label" else "sigmoid()"
    notes: list[str] = []
    if facts.training.images_per_case > 1:
        notes.append(
            f"A case has up to {facts.training.images_per_case} images: take the "
            f"{facts.network.pool} of their features (`forward_head(…, pre_logits=True)`) before "
            "the last layer.\n\n"
        )
    if facts.input.coding == "jpeg":
        notes.append(
            f"The study kept its images as JPEG of quality {facts.input.quality} at the network's "
            "size; timm's transform leaves that step out.\n\n"
        )
    if not facts.input.framing.is_whole:
        notes.append(
            f"The network sees the {facts.input.framing.words()}: `image` below has to be that. "
            "timm's transform neither cuts nor mirrors; the card has the step, and "
            "docs/reference/bundle.md its rules.\n\n"
        )
    return f"""{HEADER}
Made from medtransfer bundle {bundle.digest[:12]}. {NOT_A_DEVICE}

This folder has the network alone. Calibration, operating points, prediction sets and the gate are
in `bundle.json`; medtransfer carries them out with the bundle itself.

{"".join(notes)}```python
import timm
from timm.data import create_transform, resolve_model_data_config

model = timm.create_model("local-dir:PATH", pretrained=True).eval()
transform = create_transform(**resolve_model_data_config(model), is_training=False)
logits = model(transform(image.convert("RGB"))[None])
probabilities = logits.{function}
```

{bundle.card}"""
