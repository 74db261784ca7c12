"""A bundle's network as a MONAI bundle: ``configs/metadata.json`` and ``configs/inference.json``.

The weights are safetensors where MONAI's own tools write a pickle; ``inference.json`` loads them.
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from medtransfer.deploy.bundle.card import NOT_A_DEVICE
from medtransfer.deploy.bundle.reader import FACTS, Bundle, facts_text
from medtransfer.files import json_text
from medtransfer.sizes.image_size import height_width

if TYPE_CHECKING:
    from medtransfer.deploy.exchange.timm_network import TimmNetwork

SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
MONAI_VERSION = "1.4.0"
"""Oldest version that the two files are written for."""
Json = Mapping[str, object]
"""Open JSON of MONAI."""


def monai_files(bundle: Bundle, network: "TimmNetwork") -> dict[str, bytes]:
    """Files of the folder by name; ``configs/metadata.json`` is the last.

    Args:
        bundle: The bundle.
        network: Its network under timm's names.
    """
    licences = "\n".join(f"{licence.subject}: {licence.terms}" for licence in bundle.facts.licences)
    unknown = "No licence is known. Whoever passes this on must know the terms of its data.\n"
    return {
        "models/model.safetensors": network.weights(),
        f"configs/{FACTS}": facts_text(bundle.facts).encode(),
        "LICENSE": (f"{licences}\n" if licences else unknown).encode(),
        "docs/README.md": bundle.card.encode(),
        "configs/inference.json": json_text(_inference(bundle, network)).encode(),
        "configs/metadata.json": json_text(_metadata(bundle)).encode(),
    }


def _inference(bundle: Bundle, network: "TimmNetwork") -> Json:
    single = bundle.facts.task == "single-label"
    activation = "torch.softmax(logits, -1)" if single else "torch.sigmoid(logits)"
    return {
        "imports": ["$import torch", "$from safetensors.torch import load_file"],
        "bundle_root": ".",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "network_def": {
            "_target_": "timm.create_model",
            "model_name": network.name,
            "pretrained": False,
            "num_classes": len(bundle.facts.targets),
            **network.arguments,
        },
        "weights": "$load_file(@bundle_root + '/models/model.safetensors')",
        "load": "$@network_def.load_state_dict(@weights)",
        "network": "$(@load, @network_def.eval().to(@device))[1]",
        "preprocessing": {
            "_target_": "medtransfer.deploy.exchange.file_input.FileInput",
            "facts": f"$@bundle_root + '/configs/{FACTS}'",
        },
        "postprocessing": f"$lambda logits: {activation}",
        "images": [],
        "run": [
            (
                "$[@postprocessing(@network(torch.as_tensor(@preprocessing(path))[None]"
                ".to(@device)))[0].tolist() for path in @images]"
            )
        ],
    }


def _metadata(bundle: Bundle) -> Json:
    facts = bundle.facts
    count = len(facts.targets)
    lowest = min((0 - m) / s for m, s in zip(facts.input.mean, facts.input.std, strict=True))
    highest = max((1 - m) / s for m, s in zip(facts.input.mean, facts.input.std, strict=True))
    names = {str(number): name for number, name in enumerate(facts.names)}
    return {
        "schema": SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": f"made from medtransfer bundle {bundle.digest[:12]}"},
        "monai_version": MONAI_VERSION,
        "pytorch_version": version("torch").split("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {
            name: version(name) for name in ("medtransfer", "safetensors", "timm")
        },
        "name": facts.name,
        "task": f"{facts.task} classification",
        "description": f"{facts.network.rung}, fine-tuned. {NOT_A_DEVICE}",
        "authors": "made by medtransfer export",
        "copyright": "see LICENSE",
        "intended_use": NOT_A_DEVICE,
        "data_type": "DICOM, PNG, JPEG",
        "image_classes": "RGB, standardised; grey is repeated",
        "pred_classes": ", ".join(facts.names),
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "RGB",
                    "modality": ", ".join(facts.input.modalities) or "n/a",
                    "num_channels": 3,
                    "spatial_shape": [*height_width(facts.input.crop)],
                    "dtype": "float32",
                    "value_range": [lowest, highest],
                    "is_patch_data": False,
                    "channel_def": {"0": "red", "1": "green", "2": "blue"},
                }
            },
            "outputs": {
                "pred": {
                    "type": "logits",
                    "format": "classes",
                    "num_channels": count,
                    "spatial_shape": [],
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": names,
                }
            },
        },
    }
