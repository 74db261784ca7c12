"""Base of all settings: frozen, no unknown keys, and every field has a scope.

A field's side says what changing it costs:

- ``identity``: it can change a prediction, so it is part of the run id;
- ``scoring``: it changes results but no prediction: runs are scored again, not run again;
- ``runtime``: it changes no number at all.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Side = Literal["identity", "scoring", "runtime"]


def identity(default: Any = ..., **rules: Any) -> Any:
    """A field that can change a prediction."""
    return Field(default, json_schema_extra={"side": "identity"}, **rules)


def identity_if_set(default: Any, **rules: Any) -> Any:
    """A field that can change a prediction and was added later.

    At its default it is left out of what run ids are made of, so that runs that were finished
    before the field was there keep their names.
    """
    return Field(default, json_schema_extra={"side": "identity", "later": True}, **rules)


def identity_by_rows(default: Any, **rules: Any) -> Any:
    """A field that changes predictions only by the rows that a run trains on and selects with.

    Run ids hold those rows, with the split of each, and so leave the field itself out: two
    settings that lead to the same rows lead to the same run.
    """
    return Field(default, json_schema_extra={"side": "identity", "by": "rows"}, **rules)


def scoring(default: Any = ..., **rules: Any) -> Any:
    """A field that changes results but no prediction."""
    return Field(default, json_schema_extra={"side": "scoring"}, **rules)


def scoring_if_set(default: Any, **rules: Any) -> Any:
    """A field of the scoring side that was added later: at its default no run is scored again."""
    return Field(default, json_schema_extra={"side": "scoring", "later": True}, **rules)


def runtime(default: Any = ..., **rules: Any) -> Any:
    """A field that changes no number."""
    return Field(default, json_schema_extra={"side": "runtime"}, **rules)


class Settings(BaseModel):
    """Base of every configuration: immutable, unknown keys refused, documented by its fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True
    )

    def scope(
        self, *sides: Side, by_rows: bool = True, memo: "ScopeMemo | None" = None
    ) -> dict[str, Any]:  # JSON of any kind
        """The fields on some sides, as plain JSON values, nested configurations likewise.

        Args:
            sides: Identity, scoring or runtime.
            by_rows: Take fields too that act by the rows of a run alone.
            memo: Remembers nested configurations, for many that share theirs; one for each set of
                the other arguments.
        """
        values = {
            name: _plain(getattr(self, name), sides, by_rows=by_rows, memo=memo)
            for name, taken in sides_of(type(self)).items()
            if (taken in sides and (by_rows or not self._acts_by_rows(name)))
            or isinstance(getattr(self, name), Settings)
        }
        return {n: value for n, value in values.items() if not self._is_left_out(n, value)}

    @classmethod
    @cache
    def _acts_by_rows(cls, name: str) -> bool:
        extra = cls.model_fields[name].json_schema_extra
        return isinstance(extra, dict) and "by" in extra

    def _is_left_out(self, name: str, plain: Any) -> bool:
        """True if a field was added later and is at its default, or has nothing in these scopes."""
        if name not in _added_later(type(self)):
            return False
        return getattr(self, name) == type(self).model_fields[name].default or plain == {}


@cache
def _added_later(config: type[BaseModel]) -> frozenset[str]:
    """Fields that run ids leave out at their default."""
    extras = {name: field.json_schema_extra for name, field in config.model_fields.items()}
    return frozenset(
        n for n, extra in extras.items() if isinstance(extra, dict) and "later" in extra
    )


@cache
def sides_of(config: type[BaseModel]) -> dict[str, Side]:
    """Field name → side, for every field of a configuration.

    A nested configuration's fields take their own sides; the field itself counts as identity.
    """
    taken: dict[str, Side] = {}
    for name, field in config.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and "side" in extra:
            taken[name] = extra["side"]  # type: ignore[assignment]
    return taken


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in one canonical spelling, as 64 hexadecimal digits."""
    return hashlib.sha256(_spelled(value).encode()).hexdigest()


def rows_digest(columns: Sequence[str], parts: Iterable[Sequence[Sequence[Any]]]) -> str:
    """The `digest` of ``[columns, rows]`` for rows that come in parts, and are never all there."""
    hashed = hashlib.sha256(f"[{_spelled(columns)},[".encode())
    before = ""
    for rows in parts:
        if rows:
            hashed.update(f"{before}{_spelled(rows)[1:-1]}".encode())
            before = ","
    hashed.update(b"]]")
    return hashed.hexdigest()


def _spelled(value: Any) -> str:
    """JSON in one canonical spelling."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


ScopeMemo = dict[int, tuple[Settings, object]]
"""Scopes by identity of the configuration, which is kept so that its identity stays its own."""


def _plain(
    value: Any, sides: tuple[Side, ...], *, by_rows: bool = True, memo: ScopeMemo | None = None
) -> Any:
    if isinstance(value, Settings):
        if memo is None:
            return value.scope(*sides, by_rows=by_rows)
        if id(value) not in memo:
            memo[id(value)] = value, value.scope(*sides, by_rows=by_rows, memo=memo)
        return memo[id(value)][1]
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        items = value.items()  # type: ignore[misc]
        return {str(key): _plain(item, sides, by_rows=by_rows) for key, item in items}  # type: ignore[misc]
    if isinstance(value, (list, tuple)):
        return [_plain(item, sides, by_rows=by_rows) for item in value]  # type: ignore[misc]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
