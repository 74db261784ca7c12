"""Distributions that an installation brings along, with their licences."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from email.message import Message
from importlib.metadata import Distribution, distribution
from typing import cast

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CLASSIFIER = "License :: "


@dataclass(frozen=True)
class Dependency:
    """An installed distribution.

    Attributes:
        name: Canonical, as `vl-convert-python`.
        version: As installed.
        licence: As the distribution states it, in one line; empty if it states none.
    """

    name: str
    version: str
    licence: str


def dependencies(root: str, extras: tuple[str, ...] = ()) -> list[Dependency]:
    """Everything that a distribution requires on this machine, by name, without itself.

    Args:
        root: Name of the distribution.
        extras: Its extras that are installed too.

    Raises:
        PackageNotFoundError: A requirement whose marker holds here is not installed.
    """
    found: dict[str, Distribution] = {}
    pending = [(root, frozenset(extras))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while pending:
        item = pending.pop()
        if item in seen:
            continue
        seen.add(item)
        name, wanted = item
        found[canonicalize_name(name)] = installed = distribution(name)
        for line in installed.requires or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in (*wanted, "")):
                pending.append((requirement.name, frozenset(requirement.extras)))
    del found[canonicalize_name(root)]
    return [
        Dependency(name, found[name].version, stated_licence(found[name])) for name in sorted(found)
    ]


def stated_licence(installed: Distribution) -> str:
    """Licence that a distribution states: its expression, else classifiers, else its own words."""
    about = cast("Message", installed.metadata)
    if expression := about.get("License-Expression"):
        return expression
    classifiers = [
        re.sub(r" \(.*\)$", "", line.rpartition(" :: ")[2])
        for line in about.get_all("Classifier") or ()
        if line.startswith(CLASSIFIER)
    ]
    words = (about.get("License") or "").strip().splitlines()
    own = words[0].strip() if words and words[0].strip().upper() != "UNKNOWN" else ""
    # some put the whole text or a copyright line into their own words
    return " AND ".join(classifiers) or own


def is_allowed(expression: str, accepted: Collection[str]) -> bool:
    """True if an SPDX expression of licences, with AND, OR and brackets, can be met."""
    parts = [part.strip() for part in re.split(r"(\(|\)|\bAND\b|\bOR\b)", expression)]
    words = [part for part in parts if part]
    plain = " ".join(
        word.lower() if word in ("AND", "OR", "(", ")") else str(word in accepted) for word in words
    )
    try:
        return bool(eval(plain, {"__builtins__": {}}))  # noqa: S307 — True, False, and, or alone
    except SyntaxError:
        return False
