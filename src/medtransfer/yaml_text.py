"""Text of a YAML file as plain values with their lines; what could harm or surprise is refused.

Only scalars, lists and mappings; no aliases, which could multiply; no dates, which no setting has.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import yaml

from medtransfer.errors import ConfigError

MAX_DEPTH = 40
"""Lists and mappings within each other; a study has 6."""
MAX_DIGITS = 40
"""Longest number that is read as one; a longer one stays text and fits no setting."""
YamlPath = tuple[str | int, ...]
NUMBERS = ("int", "float")
TAG = "tag:yaml.org,2002:"

# the parser in C is 20 times faster; both give the same values
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_PARSER):
    """Safe loader that keeps a scalar as text if it is not what its tag says."""


def _kept_as_text(name: str) -> Callable[[Any, yaml.ScalarNode], Any]:
    construct = yaml.SafeLoader.yaml_constructors[TAG + name]

    def constructed(loader: Any, node: yaml.ScalarNode) -> Any:
        text = str(node.value)
        if name in NUMBERS and len(text) > MAX_DIGITS:
            return text
        try:
            return construct(loader, node)
        except (ValueError, ArithmeticError, LookupError):
            return text

    return constructed


def _text_of(_loader: Any, node: yaml.ScalarNode) -> str:
    return str(node.value)


for _name in (*NUMBERS, "bool", "null"):
    _Loader.add_constructor(TAG + _name, _kept_as_text(_name))
_Loader.add_constructor(TAG + "timestamp", _text_of)


def parse_yaml(name: str, raw: bytes) -> tuple[Any, dict[YamlPath, int]]:
    """Parse a YAML file.

    Args:
        name: The file's name, for messages.
        raw: Its content.

    Returns:
        A mapping of plain values, and the line of every key and item.

    Raises:
        ConfigError: It is not UTF-8, not YAML, no mapping, too deep, has aliases or repeated keys.
    """
    try:
        text = raw.decode("utf-8")
        _require_plain(name, text)
        loader: Any = _Loader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{name} is not a mapping of settings (name:, data:, rungs:).")
        lines: dict[YamlPath, int] = {}
        repeated = _walk(node, (), lines)
        if repeated:
            messages = [f"{name}:{line}: key '{key}' is given twice" for key, line in repeated]
            raise ConfigError("\n".join(messages))
        return loader.construct_document(node), lines
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{name}:{line}: is not UTF-8 text.") from None
    except yaml.YAMLError as error:
        mark = cast("Any", getattr(error, "problem_mark", None))
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{name}:{line}: is not valid YAML: {problem}.") from None


def read_yaml(path: Path, max_bytes: int) -> tuple[Any, dict[YamlPath, int]]:
    """Parse a YAML file of limited size.

    Raises:
        ConfigError: As for `parse_yaml`; it is too large, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(max_bytes + 1)
            size = path.stat().st_size
    except OSError as error:
        raise ConfigError(f'"{path}" cannot be read: {error.strerror or error}.') from error
    if len(raw) > max_bytes:
        raise ConfigError(f"{path.name} has {size:,} bytes (allowed: {max_bytes:,}).")
    return parse_yaml(path.name, raw)


def _require_plain(name: str, text: str) -> None:
    """Refuse aliases and depth while the text is parsed, before anything is made of it."""
    depth = 0
    for event in yaml.parse(text, Loader=_PARSER):
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"{name} uses YAML aliases (*name), which are not allowed.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            line = cast("Any", event.start_mark).line + 1
            raise ConfigError(
                f"{name}:{line}: has more than {MAX_DEPTH} lists and mappings within each other. "
                "A study needs 6."
            )


def _walk(node: yaml.Node, place: YamlPath, lines: dict[YamlPath, int]) -> list[tuple[str, int]]:
    """Note the line of every key and item; give back keys that stand twice."""
    lines.setdefault(place, node.start_mark.line + 1)
    repeated: list[tuple[str, int]] = []
    if isinstance(node, yaml.MappingNode):
        pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
        for key, value in pairs:
            name = str(key.value)
            inner = (*place, name)
            line = key.start_mark.line + 1
            if inner in lines:
                repeated.append((name, line))
            lines[inner] = line
            repeated += _walk(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(cast("list[yaml.Node]", node.value)):
            lines[*place, number] = item.start_mark.line + 1
            repeated += _walk(item, (*place, number), lines)
    return repeated
