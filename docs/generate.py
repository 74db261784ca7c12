"""Write docs/reference from the code, so that no fact is stated twice.

    python docs/generate.py            write the pages
    python docs/generate.py --check    exit 1 if a committed page differs

Tables of columns, settings, metrics, checks, rungs, commands and errors come from the package; the
sentences around them from reference.toml.
"""

import argparse
import sys
import tomllib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import typer

from medtransfer import errors
from medtransfer.cli.app import EXIT_STOPPED, EXIT_USER, app
from medtransfer.cli.main import COMMANDS
from medtransfer.data.audit.run import CHECKS
from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.describe import option_text, paragraphs, table_text
from medtransfer.data.sources.import_source import COMMON
from medtransfer.data.sources.source import Option, Source
from medtransfer.data.sources.vocabulary import VOCABULARY
from medtransfer.evaluation.comparison.scaling import ROBUSTNESS, SCALE, SCALED
from medtransfer.evaluation.comparison.seed_means import BETWEEN_PATIENTS, BETWEEN_SEEDS, HEADLINE
from medtransfer.evaluation.scoring.fairness import COMPARED, GAP, GAP_P, ODDS, RATIO, WORST
from medtransfer.metrics.catalog import CATALOG, OOD_METRICS, Metric
from medtransfer.models.ladder import ARCHITECTURES, LADDER, Architecture, Rung
from medtransfer.study.config import Study
from medtransfer.tables import manifest, predictions, results
from medtransfer.tables.schema import Column, Contract

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "reference"
WORDS: dict[str, Any] = tomllib.loads((HERE / "reference.toml").read_text("utf-8"))
NOTE = "<!-- Written by docs/generate.py from the code: change it there. -->"


def page(title: str, *parts: str) -> str:
    """A page of Markdown, an empty line between its parts."""
    return "\n\n".join([f"# {title}", NOTE, *(part.strip("\n") for part in parts)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars inside cells are escaped, line ends become spaces."""
    lines = [list(head), ["---"] * len(head), *(list(row) for row in rows)]
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def code(text: object) -> str:
    """Text in code letters; nothing stays nothing."""
    return f"`{text}`" if str(text) else ""


def contract_page(contract: Contract, words: dict[str, str]) -> str:
    """The columns of one table."""
    head = ("Column", "Holds", "Needed", "May be empty", "What it is")
    rows = [_column(column) for column in contract.columns]
    intro = words["intro"].replace("{kinds}", ", ".join(code(kind) for kind in results.CURVES))
    return page(words["title"], intro, table(head, rows), words["after"])


def _column(column: Column) -> list[str]:
    holds = ", ".join(code(value) for value in column.allowed) or column.kind
    needed = "yes" if column.required else "no"
    return [code(column.name), holds, needed, "no" if column.filled else "yes", column.doc]


def config_page() -> str:
    """Every setting of study.yaml, from the fields of its classes."""
    schema = Study.model_json_schema()
    classes: dict[str, Any] = {"Study": schema, **schema["$defs"]}
    sections: dict[str, str] = WORDS["config"]["sections"]
    if set(sections) != set(classes):
        raise SystemExit(f"reference.toml, config.sections: {set(sections) ^ set(classes)}")
    parts = [_config_section(title, classes[name]) for name, title in sections.items()]
    return page("study.yaml", WORDS["config"]["intro"], *parts)


def _config_section(title: str, about: dict[str, Any]) -> str:
    needed = about.get("required", [])
    rows = [_setting(name, facts, name in needed) for name, facts in about["properties"].items()]
    head = ("Setting", "Allowed", "Default", "Side", "What it is")
    return f"## {title}\n\n{about['description']}\n\n{table(head, rows)}"


def _setting(name: str, facts: dict[str, Any], needed: bool) -> list[str]:
    inner = Study.model_json_schema()["$defs"].get(facts.get("$ref", "").rsplit("/", 1)[-1])
    # pydantic leaves out a sentence that is the same as that of the field's own class
    meaning = facts.get("description") or (inner or {})["description"]
    side = "by field" if inner else facts["side"] + ", if set" * facts.get("later", False)
    return [code(name), _allowed(facts), _default(facts, needed), side, meaning]


def _allowed(facts: dict[str, Any]) -> str:
    """What a setting may hold, in words, from its JSON schema."""
    words = WORDS["config"]
    match facts:
        case {"anyOf": options}:
            some = (option for option in options if option.get("type") != "null")
            found = " or ".join(dict.fromkeys(_allowed(option) for option in some))
        case {"enum": choices}:
            found = ", ".join(code(choice) for choice in choices)
        case {"pattern": pattern}:
            found = words["patterns"].get(pattern) or f"text that fits {code(pattern)}"
        case {"format": "path"}:
            found = "path"
        case {"type": "array", "prefixItems": [*items]}:
            found = f"{len(items)} of: {_allowed(items[0])}"
        case {"type": "array", "items": items}:
            found = f"list of {_allowed(items)}"
        case {"type": "object", "additionalProperties": values}:
            found = f"mapping to {_allowed(values)}"
        case {"$ref": name}:
            found = f"{words['sections'][name.rsplit('/', 1)[-1]].lower()}, below"
        case {"type": kind} as plain:
            limits = [f"{w} {plain[k]:,}" for k, w in words["bounds"].items() if k in plain]
            found = " ".join([words["kinds"][kind], *limits])
        case other:
            raise SystemExit(f"generate.py has no words for {other}")
    return found


def _default(facts: dict[str, Any], needed: bool) -> str:
    match facts.get("default"):
        case None:
            return "needed" if needed else "left out"
        case dict() as value:
            return "as below" if value else code(value)
        case bool() as value:
            return code(str(value).lower())
        case list() as value:
            return code(f"[{', '.join(map(str, value))}]")
        case value:
            return code(value)


def metrics_page() -> str:
    """Every metric of the catalogue."""
    words = WORDS["metrics"]
    known = CATALOG.values()
    formulas = [(code(m.name), m.title, m.formula, m.reference) for m in known]
    facts = [_metric(metric, words["undefined"][metric.needs]) for metric in known]
    head = ("Metric", "Better", "Range", "Of", "Undefined where", "Needs of tune", "Interval")
    definitions = table(("Metric", "What it is", "Definition", "From"), formulas)
    derived = words["derived"].format(
        worst=WORST,
        gap=GAP,
        gap_p=GAP_P,
        ratio=RATIO,
        odds=ODDS,
        headline=HEADLINE,
        seeds=BETWEEN_SEEDS,
        patients=BETWEEN_PATIENTS,
        robustness=ROBUSTNESS,
        scale=SCALE,
        scaled=", ".join(code(name) for name in SCALED),
        compared=", ".join(code(name) for name in COMPARED),
    )
    of_detectors = [(code(m.name), m.better, m.formula, m.reference) for m in OOD_METRICS.values()]
    foreign = table(("Metric", "Better", "Definition", "From"), of_detectors)
    return page(
        "Metrics", words["intro"], definitions, words["key"], table(head, facts), derived, foreign
    )


def _metric(metric: Metric, undefined: str) -> list[str]:
    kinds = {
        "target": metric.of_target,
        "pooled": metric.micro,
        "case": metric.of_classes,
        "class": metric.one_against_rest,
        "group": metric.by_group,
    }
    return [
        code(metric.name),
        metric.better,
        f"{metric.low:g} to {metric.high:g}".replace("inf", "∞"),
        ", ".join(kind for kind, known in kinds.items() if known),
        undefined + ("; see its definition" if metric.partial else ""),
        _fitted(metric),
        "squared" if metric.biased else "percentile",
    ]


def _fitted(metric: Metric) -> str:
    """What a metric needs beside the test cases."""
    needs = {
        "the threshold": metric.at_point,
        f"{metric.calibrator} calibration": metric.calibrator,
        f"{metric.conformal} sets": metric.conformal,
        "its prevalence": metric.adjusted,
        "several members": metric.spread,
    }
    return ", ".join(what for what, known in needs.items() if known)


def checks_page() -> str:
    """Every check of the audit, with what to do about a finding."""
    words = {name: about for name, about in WORDS["checks"].items() if name != "intro"}
    if set(words) != set(CHECKS):
        raise SystemExit(f"reference.toml, checks: {sorted(set(words) ^ set(CHECKS))} differ")
    rows = [(f"[{name}](#{name.lower()})", *about) for name, about in CHECKS.items()]
    overview = table(("Code", "Level", "What it finds"), rows)
    sections = [
        f"## {name}\n\n{finds}. *{level.capitalize()}.*\n\n{words[name]['why']}\n\n"
        f"**What to do:** {words[name]['todo']}"
        for name, (level, finds) in CHECKS.items()
    ]
    return page("Checks of the data", WORDS["checks"]["intro"], overview, *sections)


def ladder_page() -> str:
    """Every architecture and every rung."""
    architectures = table(
        ("Architecture", "timm", "Parameters", "Features", "Input", "Mean, std", "Resize"),
        [_architecture(architecture) for architecture in ARCHITECTURES.values()],
    )
    rungs = table(
        ("Rung", "Pre-training", "Images", "Labels used", "Weights from", "Licence of weights"),
        [_rung(rung) for rung in LADDER.values() if not rung.is_random],
    )
    scratch = ", ".join(code(rung.name) for rung in LADDER.values() if rung.is_random)
    notes = [f"{code(rung.name)}: {rung.note}" for rung in LADDER.values() if rung.note]
    pinned = table(
        ("Rung", "SHA-256 of its weights file"),
        [(code(rung.name), code(rung.sha256)) for rung in LADDER.values() if rung.sha256],
    )
    words = WORDS["ladder"]
    return page(
        "Ladder",
        words["intro"],
        architectures,
        words["sizes"],
        rungs,
        *notes,
        pinned,
        words["recorded"],
        f"From scratch: {scratch}.",
        words["after"],
    )


def _architecture(facts: Architecture) -> list[str]:
    numbers = [f"{facts.parameters or 0:,}", f"{facts.width or 0:,}", f"{facts.input_size} px"]
    triples = sorted({facts.mean, facts.std}, reverse=True)
    mean = " / ".join(", ".join(f"{value:g}" for value in triple) for triple in triples)
    return [code(facts.name), code(facts.timm) or "–", *numbers, mean, facts.interpolation]


def _rung(rung: Rung) -> list[str]:
    labels = {True: "yes", False: "no", None: "not known"}[rung.supervised]
    places = {"package": "pip package", "npz": "official file", "hub": "hub, by `fetch`"}
    images = f"{rung.images:,}" if rung.images else "not known"
    name = rung.location.split("/")[0] if rung.source == "package" else rung.location
    where = f"{places[rung.source]}: {code(name)}"
    return [code(rung.name), rung.pretraining, images, labels, where, rung.licence]


def sources_page() -> str:
    """Every public data set that can be imported, with its facts."""
    words = WORDS["sources"]
    overview = table(
        ("Source", "Domain", "Images", "Patients", "Access"),
        [
            (
                f"[{code(s.name)}](#{s.name})",
                s.domain,
                f"{s.images or 0:,}" if s.images else "–",
                f"{s.patients:,}" if s.patients else "–",
                s.access if s.images else "–",
            )
            for s in SOURCES.values()
        ],
    )
    shared = table(
        ("Domain", "Shared names"),
        [(name, ", ".join(map(code, names))) for name, names in VOCABULARY.items() if names],
    )
    options = "## Options of every source\n\n" + _options(COMMON)
    vocabulary = f"## Shared names\n\n{words['vocabulary']}\n\n{shared}"
    sections = [_source(source) for source in SOURCES.values()]
    return page("Sources", words["intro"], overview, options, vocabulary, *sections)


def _options(options: Iterable[Option]) -> str:
    return table(("Option", "What it is"), [(code(o.name), option_text(o)) for o in options])


def _source(source: Source) -> str:
    facts = table(("", source.title), paragraphs(source))
    parts = [f"## {source.name}", facts]
    if source.tables:
        rows = [(code(file), needed, holds) for file, needed, holds in table_text(source)]
        parts.append(table(("File", "Needed", "Holds"), rows))
    if source.targets:
        targets = [(code(t.name), t.meaning, code(t.shared) or "–") for t in source.targets]
        parts.append(table(("Target", "1 means", "Shared name"), targets))
    if source.classes:
        classes = [(code(a), code(b)) for a, b in source.classes.items()]
        parts.append(table((f"Class of {code(source.class_column)}", "Shared class"), classes))
    if source.attributes:
        columns = [(code(name), text) for name, text in source.attributes.items()]
        parts.append(table(("Attribute", "What it is"), columns))
    if source.options:
        parts.append(_options(source.options))
    return "\n\n".join(parts)


def cli_page() -> str:
    """Every command with its arguments and options."""
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    named = {c.callback: c.name for c in app.registered_commands}
    order = [named[callback] or callback.__name__ for callback in COMMANDS]
    overview = table(
        ("Command", "What it does"),
        [(f"[`{name}`](#{name})", commands[name].help) for name in order],
    )
    codes = {"user": EXIT_USER, "stopped": EXIT_STOPPED, "done": 0, "bug": 1}
    exits = table(
        ("Exit code", "Meaning"),
        [(str(codes[name]), meaning) for name, meaning in WORDS["cli"]["exits"].items()],
    )
    sections = [_command(name, commands[name]) for name in order]
    words = WORDS["cli"]["intro"]
    return page("Command line", words, overview, "## Exit codes", exits, *sections)


def _command(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    shown = " ".join(_argument(p) for p in arguments)
    rows = [(code(_argument(p)), p.help or "") for p in arguments]
    rows += [
        (", ".join(code(option) for option in p.opts), p.help or "")
        for p in command.params
        if p.param_type_name == "option" and p.name != "help"
    ]
    body = table(("Argument or option", "What it is"), rows) if rows else "It takes no options."
    options = "[OPTIONS]" if len(command.params) > len(arguments) else ""
    usage = " ".join(filter(None, ["medtransfer", name, shown, options]))
    return f"## {name}\n\n{command.help}\n\n```text\n{usage}\n```\n\n{body}"


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    name += "…" if parameter.nargs == -1 else ""
    return name if parameter.required else f"[{name}]"


def errors_page() -> str:
    """The tree of exceptions, from the module's docstring."""
    tree = (errors.__doc__ or "").split("\n\n")[1]
    words = WORDS["errors"]
    return page("Errors", words["intro"], f"```text\n{tree}\n```", words["after"])


TABLES = {
    "manifest": manifest.MANIFEST_CONTRACT,
    "predictions": predictions.PREDICTIONS_CONTRACT,
    "results": results.RESULTS_CONTRACT,
    "comparisons": results.COMPARISONS_CONTRACT,
    "curves": results.CURVES_CONTRACT,
}
PAGES: dict[str, Callable[[], str]] = {
    **{name: partial(contract_page, TABLES[name], WORDS["tables"][name]) for name in TABLES},
    "config": config_page,
    "metrics": metrics_page,
    "checks": checks_page,
    "ladder": ladder_page,
    "sources": sources_page,
    "cli": cli_page,
    "errors": errors_page,
}
"""Every generated page, by its name in docs/reference."""


def main() -> None:
    """Write the pages, or compare them with what is committed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    stale = [name for name, text in PAGES.items() if _committed(name) != text()]
    for name in stale:
        if not check:
            (FOLDER / f"{name}.md").write_text(PAGES[name](), "utf-8")
        print(f"docs/reference/{name}.md {'differs from the code' if check else 'written'}")
    if check and stale:
        print("Run: python docs/generate.py")
        sys.exit(1)


def _committed(name: str) -> str:
    path = FOLDER / f"{name}.md"
    return path.read_text("utf-8") if path.is_file() else ""


if __name__ == "__main__":
    main()
