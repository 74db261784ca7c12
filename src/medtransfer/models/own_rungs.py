"""Rungs of one's own: what ``medtransfer pretrain`` leaves, found by name. No torch.

A rung of one's own is a folder with ``rung.json`` (its facts) and ``model.safetensors``. It is
looked for in the folder ``rungs`` of the working folder, then in ``own`` of the weights folder.
"""

import os
from pathlib import Path
from typing import Any

from medtransfer.errors import WeightsError
from medtransfer.files import read_json

FOLDER_VARIABLE = "MEDTRANSFER_WEIGHTS"
OWN = "own"
RUNGS = Path("rungs")
"""Folder in which ``medtransfer pretrain`` writes rungs."""
FACTS, MODEL = "rung.json", "model.safetensors"
REQUIRED_FACTS = ("architecture", "pretraining", "images", "sha256", "licence", "note")


def weights_folder() -> Path:
    """The folder that `fetch` fills: $MEDTRANSFER_WEIGHTS, or one in the user's cache."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else Path.home() / ".cache" / "medtransfer" / "weights"


def own_folders() -> tuple[Path, ...]:
    """Folders searched for own rungs, in this order."""
    return RUNGS, weights_folder() / OWN


def own_names() -> list[str]:
    """Names of the rungs of one's own that are here."""
    names = {path.parent.name for folder in own_folders() for path in folder.glob(f"*/{FACTS}")}
    return sorted(names)


def find_own(name: str) -> dict[str, Any] | None:  # JSON of `rung.json`: versions add facts
    """The facts of a rung of one's own, with the place of its weights under ``file``.

    Returns:
        None where there is none of this name.

    Raises:
        WeightsError: Its ``rung.json`` lacks facts.
    """
    if not name or Path(name).name != name:
        return None
    for parent in own_folders():
        path = parent / name / FACTS
        if path.is_file():
            facts = read_json(path)
            lacking = [key for key in REQUIRED_FACTS if key not in facts]
            if lacking:
                raise WeightsError(
                    f"The facts of rung '{OWN}/{name}' in \"{path}\" lack {', '.join(lacking)}. "
                    "Make the rung again with `medtransfer pretrain`."
                )
            return {**facts, "file": str(path.with_name(MODEL).resolve())}
    return None
