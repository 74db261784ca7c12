"""study.yaml read with its line numbers, so that a fault says where it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from medtransfer.errors import ConfigError, listed, plural, printable, suggestion
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.pretraining.config import Pretrain
from medtransfer.settings import Settings
from medtransfer.study.config import Study
from medtransfer.tables.schema import ENDINGS
from medtransfer.yaml_text import YamlPath, read_yaml

MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class SettingsFile:
    """A kind of settings file.

    Attributes:
        noun: Its name.
        advice: What to do where it is missing.
    """

    noun: str
    advice: str


STUDY = SettingsFile("Study file", "`medtransfer init MANIFEST` writes one.")
RECIPE = SettingsFile("Recipe", "docs/how-to/pretrain.md shows one.")
EVALUATION = SettingsFile(
    "Settings file",
    "It is YAML with settings as under `evaluation:` in study.yaml, e.g. `replicates: 1000`.",
)
Schema = dict[str, Any]  # JSON schema, as pydantic makes it
Model = TypeVar("Model", bound=Settings)


def read_study(path: Path | str) -> Study:
    """Read a study file; relative paths in it are relative to its folder.

    Raises:
        ConfigError: It cannot be read, or settings are wrong; all of them, by line.
    """
    path = Path(path)
    return resolve_paths(read_settings(path, Study, STUDY), path.parent)


def read_pretrain(path: Path | str) -> Pretrain:
    """Read a recipe for pre-training; relative paths in it are relative to its folder.

    Raises:
        ConfigError: As for `read_study`.
    """
    path = Path(path)
    run = read_settings(path, Pretrain, RECIPE)
    data = run.data.model_copy(
        update={
            "images": (path.parent / run.data.images).resolve(),
            "image_root": run.data.image_root and (path.parent / run.data.image_root).resolve(),
        }
    )
    weights = run.weights and (path.parent / run.weights).resolve()
    return run.model_copy(update={"data": data, "weights": weights})


def read_evaluation_config(path: Path | None) -> EvaluationConfig:
    """Read evaluation settings, named as under ``evaluation:`` in a study file.

    Raises:
        ConfigError: As for `read_study`.
    """
    if path is None:
        return EvaluationConfig()
    return read_settings(path, EvaluationConfig, EVALUATION)


def read_settings(path: Path, model: type[Model], kind: SettingsFile) -> Model:
    """Read settings from a YAML file.

    Args:
        path: The file.
        model: Settings in it.
        kind: Name of such a file, for messages.

    Raises:
        ConfigError: As for `read_study`.
    """
    content, lines = _parse(path, kind)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        schema = model.model_json_schema()
        faults = sorted(_faults(error, lines, schema), key=lambda fault: fault[0])
        messages = [f"{path.name}:{line}: {sentence}" for line, sentence in faults]
        tail = f"{plural(len(messages), 'fault')}; nothing was run."
        raise ConfigError("\n".join([*messages, tail])) from None


def resolve_paths(study: Study, folder: Path) -> Study:
    """The study with its relative paths taken from a folder."""

    def at(place: Path | None) -> Path | None:
        return None if place is None else (folder / place).resolve()

    data = study.data.model_copy(
        update={"manifest": at(study.data.manifest), "image_root": at(study.data.image_root)}
    )
    places = ("weights", "features", "feature_ids")
    rungs = tuple(
        entry.model_copy(update={name: at(getattr(entry, name)) for name in places})
        for entry in study.rungs
    )
    readings = at(study.readings)
    return study.model_copy(update={"data": data, "rungs": rungs, "readings": readings})


def _parse(path: Path, kind: SettingsFile) -> tuple[Any, dict[YamlPath, int]]:
    noun, advice = kind.noun[0].lower() + kind.noun[1:], kind.advice
    if path.is_dir():
        example = ", e.g. study.yaml" if kind is STUDY else ""
        raise ConfigError(f'"{path}" is a folder. Name the {noun} in it{example}.')
    if not path.is_file():
        raise ConfigError(f'{kind.noun} "{path}" does not exist. {advice}')
    if path.suffix.lower() in ENDINGS:
        if kind is STUDY:
            advice = f"`medtransfer init {path.name}` writes one from a manifest."
        raise ConfigError(f'"{path.name}" is a table, not a {noun}. {advice}')
    return read_yaml(path, MAX_BYTES)


def _faults(
    error: ValidationError, lines: dict[YamlPath, int], schema: Schema
) -> list[tuple[int, str]]:
    faults: dict[tuple[int, str], None] = {}  # a value that fits none of several lists is one
    written = _parts(lines)
    for item in error.errors(include_url=False):
        if item["type"] == "too_short" and item["input"]:
            continue  # its items are wrong, and each of them is named already
        place = tuple(part for part in item["loc"] if part in written)
        while place and place not in lines:
            place = place[:-1]
        faults[lines.get(place, 1), _sentence(dict(item), written, schema)] = None
    return list(faults)


def _parts(lines: dict[YamlPath, int]) -> set[str | int]:
    return {part for place in lines for part in place}


def _sentence(item: dict[str, Any], written: set[str | int], schema: Schema) -> str:
    """One pydantic error in our words.

    Args:
        item: The error.
        written: Keys and numbers of items that stand in the file.
        schema: Of the whole file.
    """
    loc = cast("YamlPath", item["loc"])
    ends = len(loc) - 1 if item["type"] == "missing" else len(loc)  # what is missing is not written
    # pydantic names the alternatives that it tried too
    loc = (*(part for part in loc[:ends] if part in written), *loc[ends:])
    name = ".".join(str(part) for part in loc if not isinstance(part, int))
    value = printable(item["input"])
    match item["type"]:
        case "extra_forbidden":
            allowed = _fields(schema, loc[:-1])
            hint = suggestion(str(loc[-1]), allowed) or f"Allowed: {listed(allowed, 20)}."
            return f"'{name}' is not a setting. {hint}"
        case "missing":
            return f"'{name}' is missing"
        case "value_error":
            return str(item["ctx"]["error"])
        case _:
            values = _allowed(_at(schema, loc)) or str(item["msg"])
            level = _at(schema, loc)
            hint = suggestion(value, _choices(level))
            if level.get("type") == "array" and isinstance(item["input"], str | int | float):
                hint = f"Write {name}: [{value}]"  # YAML takes a single word for text
            return f"{name} holds {value} (allowed: {values}){'. ' + hint if hint else ''}"


def _at(schema: Schema, loc: YamlPath) -> Schema:
    """The schema of a place; empty where it is not known."""
    level = schema
    for part in loc:
        level = _followed(level, schema)
        if isinstance(part, int):
            level = cast("Schema", level.get("items", {}))
        elif part in level.get("properties", {}):
            level = cast("Schema", level["properties"][part])
        else:
            extra = level.get("additionalProperties")
            level = cast("Schema", extra) if isinstance(extra, dict) else {}
    return _followed(level, schema)


def _followed(level: Schema, schema: Schema) -> Schema:
    """A schema without its alternatives and references; mappings before names and lists."""
    options = [o for o in level.get("anyOf", []) if o.get("type") != "null"]
    if options and all(_choices(option) for option in options):
        return {"type": "string", "enum": [name for o in options for name in _choices(o)]}
    mappings = [o for o in options if "$ref" in o or o.get("type") == "object"]
    level = (mappings or options or [level])[0]
    reference = level.get("$ref", "")
    return schema["$defs"][reference.rsplit("/", 1)[-1]] if reference else level


def _fields(schema: Schema, loc: YamlPath) -> list[str]:
    return list(_at(schema, loc).get("properties", {}))


def _choices(level: Schema) -> list[str]:
    const = [level["const"]] if "const" in level else []
    return [str(choice) for choice in level.get("enum", const)]


def _allowed(level: Schema) -> str:
    """``over 0 up to 1``, ``a, b or c``, ``whole numbers from 1``; empty where unclear."""
    choices = _choices(level)
    if choices:
        return ", ".join(choices)
    bounds = [
        f"{word} {level[key]}"
        for key, word in (
            ("exclusiveMinimum", "over"),
            ("minimum", "from"),
            ("maximum", "up to"),
            ("exclusiveMaximum", "below"),
        )
        if key in level
    ]
    kinds = {
        "integer": "whole numbers",
        "number": "numbers",
        "boolean": "true, false",
        "array": "a list",
        "object": "a mapping",
        "string": "text",
    }
    kind = kinds.get(str(level.get("type")), "")
    if bounds:
        return " ".join([kind] * (level.get("type") == "integer") + bounds)
    pattern = f" that fits {level['pattern']}" if "pattern" in level else ""
    return kind + pattern
