"""A bundle's network in the layout of another library: `medtransfer export --layout`."""

from pathlib import Path
from typing import Literal, get_args

from medtransfer.deploy.bundle.reader import Bundle, read_bundle
from medtransfer.deploy.exchange.huggingface import hub_files
from medtransfer.deploy.exchange.monai import monai_files
from medtransfer.errors import ConfigError, listed
from medtransfer.files import make_folder, write_bytes

Layout = Literal["huggingface", "monai"]


def export_layout(bundle: Bundle | Path | str, out: Path | str, layout: Layout) -> Path:
    """Write a bundle's network as a folder that another library opens.

    Calibration, operating points, prediction sets and the gate stay with the bundle: they are in
    the folder's ``bundle.json``, and no other library carries them out.

    Args:
        bundle: The bundle, or its path.
        out: Folder to write; it is new, or empty.
        layout: `huggingface` for timm (``local-dir:``, ``hf-hub:``), or `monai`.

    Returns:
        The folder.

    Raises:
        ConfigError: The layout cannot hold the network, or the folder is not empty.
        BundleError: The bundle is damaged.
        StudyError: The disk is full.
    """
    out = check_layout(out, layout)
    from medtransfer.deploy.exchange.timm_network import timm_network  # loads torch

    opened = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    if opened.facts.clinical:
        raise ConfigError(
            f"--layout {layout} is for networks of images alone, and this one sees clinical data. "
            "Export its twin without them."
        )
    network = timm_network(opened)
    files = hub_files if layout == "huggingface" else monai_files
    for name, content in files(opened, network).items():
        make_folder((out / name).parent)
        write_bytes(out / name, content)
    return out


def check_layout(out: Path | str, layout: str) -> Path:
    """The folder to write to, after a check of it and of the layout's name.

    Raises:
        ConfigError: There is no such layout, or the folder is not empty.
    """
    out = Path(out)
    if layout not in get_args(Layout):
        raise ConfigError(f"--layout is '{layout}' (allowed: {listed(get_args(Layout))}).")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f'"{out}" exists and is not an empty folder. Name a new one with -o.')
    return out
