"""Differences between circumstances then and now: a name, and its value on both sides."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

Plain = object
"""A JSON value."""
CircumstanceMap = Mapping[str, Plain]
"""Circumstances by dotted name."""


@dataclass(frozen=True)
class Difference:
    """A circumstance that is not as it was.

    Attributes:
        name: Its dotted name.
        then: Its value then; None if it was not there.
        now: Its value now; None if it is not there.
    """

    name: str
    then: Plain
    now: Plain

    def plain(self) -> dict[str, object]:
        """The difference as a JSON object."""
        return asdict(self)

    def texts(self) -> tuple[str, str, str]:
        """Name and values as short texts; digests are cut."""
        return self.name, short_text(self.then), short_text(self.now)


def differences(then: CircumstanceMap, now: CircumstanceMap) -> list[Difference]:
    """Circumstances that differ, in the order of their names."""
    names = sorted({*then, *now})
    return [
        Difference(name, then.get(name), now.get(name))
        for name in names
        if then.get(name) != now.get(name)
    ]


def flat(value: Plain, name: str = "") -> dict[str, Plain]:
    """A JSON value as entries of dotted names; lists of plain values stay whole."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Plain]", value).items()
    elif isinstance(value, list) and any(isinstance(v, (Mapping, list)) for v in value):  # type: ignore[misc]
        entries = ((str(number), v) for number, v in enumerate(cast("list[Plain]", value)))
    else:
        return {name: value}
    flattened: dict[str, Plain] = {}
    for key, entry in entries:
        flattened |= flat(entry, f"{name}.{key}" if name else str(key))
    return flattened


def short_text(value: Plain, limit: int = 40) -> str:
    """A value for a table: a dash for none, and the start of a digest."""
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    is_digest = len(text) == 64 and set(text) <= set("0123456789abcdef")
    if is_digest:
        return f"{text[:12]}…"
    return text if len(text) <= limit else text[: limit - 1] + "…"
