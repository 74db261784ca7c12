"""Checks of `medtransfer doctor`."""

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from medtransfer.data.images.dicom.transfer_syntaxes import (
    SYNTAXES,
    Syntax,
    decoder_of,
    reason_unreadable,
)
from medtransfer.data.images.pictures import decoder_facts
from medtransfer.models.ladder import LADDER
from medtransfer.models.own_rungs import weights_folder
from medtransfer.models.weight_files import is_available

PACKAGES = ("medtransfer", "torch", "timm", "polars", "numpy", "safetensors", "altair")
MISREAD = "pylibjpeg_libjpeg"
"""A DICOM decoder that gives wrong pixels for legal JPEG Lossless files."""


def examine() -> dict[str, str]:
    """One line per thing that decides what can be run here."""
    facts = {"python": platform.python_version(), "system": platform.platform()}
    facts |= {name: _version(name) for name in PACKAGES}
    facts |= _compute()
    facts["images"] = decoder_facts()
    facts |= {f"DICOM {syntax.name}": _reading(syntax) for syntax in SYNTAXES.values()}
    facts["DICOM MPEG, HEVC, JPIP, JPEG XL"] = "cannot be read: no decoder"
    available = [rung.name for rung in LADDER.values() if not rung.is_random and is_available(rung)]
    facts["weights here"] = ", ".join(available) or "none: pip install medtransfer[weights]"
    facts["weights folder"] = str(weights_folder())
    facts["free disk"] = f"{shutil.disk_usage(Path.cwd()).free / 2**30:.0f} GiB here"
    if find_spec("libjpeg") is not None and _version(MISREAD.replace("_", "-")) != "missing":
        facts["warning"] = (
            "pylibjpeg-libjpeg is installed: it misreads legal JPEG Lossless files, so DICOM files "
            "of the JPEG families are refused; pip uninstall pylibjpeg-libjpeg"
        )
    return facts


def _reading(syntax: Syntax) -> str:
    """Decoder of a transfer syntax, or the reason why there is none."""
    reason = reason_unreadable(syntax)
    return f"cannot be read: {reason}" if reason else f"by {decoder_of(syntax)}"


def _compute() -> dict[str, str]:
    import torch

    from medtransfer.models.precision.choice import has_bfloat16_units
    from medtransfer.runs.transfer import pick_device
    from medtransfer.training.config import TrainingConfig

    device = pick_device(TrainingConfig())
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor()
    return {
        "device": f"{device.type} {name}".strip(),
        "threads": str(torch.get_num_threads()),
        "precision": (
            "auto measures float32 and bfloat16 for each network"
            if has_bfloat16_units(device)
            else "auto is float32: this device has no units for bfloat16"
        ),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
