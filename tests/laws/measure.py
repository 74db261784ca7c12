"""Figures of the house: what is counted, how many there are, and where.

    python tests/laws/measure.py [ROOM ...] [--where]

ROOM limits the listing to paths that start with it, e.g. `data/audit`. The laws in
`test_structure.py` assert the figures that have a goal.
"""

import argparse
import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SRC = Path(__file__).resolve().parents[2] / "src" / "medtransfer"
MAX_POSITIONAL = 5
LISTS = {"with_columns", "select", "agg"}
QUESTIONS = re.compile(r"(What|Whether|How|Which|Who|Whom|Whose|Where|When|Why|Is|Are|Do|Does)\b")
VAGUE = {"found", "own", "said", "known", "about", "here", "one", "of", "told", "made", "thing"}
OLD_WORDS = re.compile(r"\b(MOST|LEAST)_[A-Z]")

CONVENTIONS = {"SOURCE"}
"""Names that modules of one kind define alike, for their catalogue to collect."""

Place = tuple[str, int, str]
"""File below `src/medtransfer`, line, and what stands there."""


@cache
def trees(src: Path = SRC) -> tuple[tuple[str, ast.Module], ...]:
    """Every module with its path below `src/medtransfer`, parsed once."""
    return tuple(
        (path.relative_to(src).as_posix(), ast.parse(path.read_text("utf-8")))
        for path in sorted(src.rglob("*.py"))
    )


def long_calls() -> list[Place]:
    """Calls with more than five positional arguments, unpacked ones counted as one.

    Expressions of a table (`with_columns`, `select`, `agg`) are a list of any length.
    """
    return [
        (path, node.lineno, ast.unparse(node.func))
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and len(node.args) > MAX_POSITIONAL
        and getattr(node.func, "attr", "") not in LISTS
    ]


def question_docstrings() -> list[Place]:
    """Docstrings and descriptions of constants that open with a question word."""
    found: list[Place] = []
    for path, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
                continue
            text = node.value.value
            if isinstance(text, str) and QUESTIONS.match(text.strip()):
                found.append((path, node.lineno, text.strip().splitlines()[0]))
    return found


def untyped_dicts() -> list[Place]:
    """Annotations that say `dict[str, Any]`."""
    return [
        (path, node.lineno, ast.unparse(node))
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and ast.unparse(node) == "dict[str, Any]"
    ]


def defined_names(tree: ast.Module) -> Iterator[tuple[str, int, str]]:
    """Public names that a module defines at its top level, with what they are."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names, meaning = [node.name], ast.unparse(node)
        elif isinstance(node, ast.Assign):
            names = [t.id for t in node.targets if isinstance(t, ast.Name)]
            meaning = ast.unparse(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names, meaning = [node.target.id], ast.unparse(node)
        else:
            continue
        yield from ((name, node.lineno, meaning) for name in names if not name.startswith("_"))


def shared_names() -> list[Place]:
    """Names that several modules define and others import, unless all mean the very same."""
    imported = {
        (node.module.removeprefix("medtransfer.").replace(".", "/") + ".py", alias.name)
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    places: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
    for path, tree in trees():
        for name, line, meaning in defined_names(tree):
            if name not in CONVENTIONS and (path, name) in imported:
                places[name].append((path, line, meaning))
    return [
        (path, line, name)
        for name, where in sorted(places.items())
        if len({meaning for _, _, meaning in where}) > 1
        for path, line, _ in where
    ]


def vague_locals() -> list[Place]:
    """Local variables whose name says nothing."""
    return [
        (path, node.lineno, node.id)
        for path, tree in trees()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in VAGUE
    ]


def old_words() -> list[Place]:
    """Constants called MOST_ or LEAST_ instead of MAX_ or MIN_."""
    return [
        (path, line, name)
        for path, tree in trees()
        for name, line, _ in defined_names(tree)
        if OLD_WORDS.match(name)
    ]


FIGURES = {
    "calls with more than five positional arguments": long_calls,
    "docstrings that open with a question word": question_docstrings,
    "annotations dict[str, Any]": untyped_dicts,
    "public names defined in several modules": shared_names,
    "local variables with a vague name": vague_locals,
    "constants MOST_ or LEAST_": old_words,
}


def main() -> int:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rooms", nargs="*", help="only paths that start with one of these")
    parser.add_argument("--where", action="store_true", help="list every place")
    options = parser.parse_args()
    for title, figure in FIGURES.items():
        places = [p for p in figure() if not options.rooms or p[0].startswith(tuple(options.rooms))]
        print(f"{len(places):5}  {title}")
        if options.where:
            for path, line, text in places:
                print(f"       {path}:{line}  {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
