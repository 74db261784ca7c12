"""Versions that all processes of a study must share, whatever node they are on."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from medtransfer.integrity.code_digest import code_digest

Versions = Mapping[str, str]
"""Names of what decides the bits of a run, with their versions."""
MISSING = "missing"


def versions_here() -> dict[str, str]:
    """Versions of this process."""
    return {
        "Python": platform.python_version(),
        "torch": _version("torch"),
        "medtransfer": _version("medtransfer"),
        "the code of medtransfer": code_digest()[:12],
    }


def version_faults(node: int, there: Versions | None, here: Versions) -> list[str]:
    """Versions of a node that differ from those here; one fault each.

    Args:
        node: Its number.
        there: Versions of the node; None if it could not tell them.
        here: Versions of this process.
    """
    if there is None:
        return [f"node {node} has no medtransfer, or one that cannot use Ray"]
    differing = {name: there.get(name, MISSING) for name in here if there.get(name) != here[name]}
    return [
        f"node {node} has {name} {value}, and this machine {here[name]}"
        for name, value in differing.items()
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return MISSING
