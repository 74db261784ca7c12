"""The documentation is true: reference pages are the code's, blocks run, links lead somewhere."""

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)
OUTSIDE = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
LESSONS = sorted([*DOCS.glob("tutorials/*.md"), *DOCS.glob("how-to/*.md")])

LONG = {
    "deploy.md",
    "first-study.md",
    "your-own-images.md",
    "monitor.md",
    "score-other-predictions.md",
    "resume-and-extend.md",
    "use-local-weights.md",
    "use-embeddings.md",
    "augment.md",
    "fine-tune.md",
}
"""Lessons that train for longer than the others."""
MARKED_LESSONS = [
    pytest.param(page, marks=pytest.mark.slow) if page.name in LONG else page for page in LESSONS
]

FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FILE = re.compile(r"# (?P<path>\S+\.yaml)\n")
USER_ERROR = 2


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    kind: str
    body: str
    line: int


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path) -> list[Block]:
    text = path.read_text("utf-8")
    return [
        Block(found["kind"], found["body"], text[: found.start("body")].count("\n") + 1)
        for found in FENCE.finditer(text)
    ]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_pages_are_what_the_generator_prints() -> None:
    for name, text in generator().PAGES.items():
        committed = (DOCS / "reference" / f"{name}.md").read_text("utf-8")
        assert committed == text(), f"{name}.md is stale: run python docs/generate.py"


@pytest.mark.parametrize("page", MARKED_LESSONS, ids=named)
def test_every_block_of_a_lesson_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    namespace: dict[str, object] = {"__name__": "lesson"}
    for block in blocks(page):
        match block.kind:
            case "python":
                # blank lines in front make tracebacks show the page's own line numbers
                source = "\n" * (block.line - 1) + block.body
                exec(compile(source, str(page), "exec"), namespace)
            case "console":
                run_console(block, named(page))
            case "yaml" if (file := FILE.match(block.body)) is not None:
                Path(file["path"]).write_text(block.body, "utf-8")
            case _:
                assert block.kind in ("yaml", "text", ""), f"{named(page)}:{block.line}"


def run_console(block: Block, page: str) -> None:
    """Run each command of a block and compare what it prints with what the page says."""
    for part in re.split(r"^\$ ", block.body, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        done = subprocess.run(
            command,
            shell=True,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        allowed = (0, USER_ERROR) if shown else (0,)
        assert done.returncode in allowed, f"{page}:{block.line} {command}\n{done.stdout}"
        missing = first_missing(shown, done.stdout)
        assert missing is None, f"{page}: '{command}' no longer prints '{missing}'\n{done.stdout}"


def first_missing(shown: str, printed: str) -> str | None:
    """The first line of a page that was not printed, in order; numbers may differ.

    ``…`` stands for any lines, and at the end of a line for the rest of it.
    """
    rest = iter(printed.splitlines())
    for line in shown.splitlines():
        start, cut, _ = line.partition("…")
        wanted = shape(start)
        if wanted and not any(
            shape(found).startswith(wanted) if cut else shape(found) == wanted for found in rest
        ):
            return line
    return None


def shape(line: str) -> str:
    """A line without its numbers, run ids and spacing."""
    line = re.sub(r"\b[0-9a-f]{12}\b", "ID", line)
    line = re.sub(r"[-−≥]?\s*\d[\d.,:]*", "#", line)
    return "".join(line.split())


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", [*PAGES, *OUTSIDE], ids=named)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text("utf-8"))
    for found in LINK.finditer(text):
        target, _, anchor = found["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{named(page)} links to {target}"
        assert not anchor or anchor in anchors(file), f"{named(page)} links to {found['target']}"


def test_every_page_is_in_a_table_of_contents() -> None:
    listed = {
        (index.parent / line.strip()).resolve()
        for index in PAGES
        for block in re.findall(r"```\{toctree\}\n(.*?)```", index.read_text("utf-8"), re.DOTALL)
        for line in block.splitlines()
        if line.strip() and not line.startswith(":")
    }
    assert {p.with_suffix("") for p in PAGES} - listed == {DOCS / "index"}


def test_every_import_path_of_the_upgrade_page_can_be_imported() -> None:
    text = (DOCS / "how-to" / "upgrade.md").read_text("utf-8")
    rows = re.findall(
        r"^\| `([\w.]+)` \| `([\w.]+)` \|$", text[text.index("## Import paths") :], re.M
    )
    assert len(rows) > 100
    source = ROOT / "src" / "medtransfer"
    missing = [
        new for _, new in rows if not source.joinpath(*new.split(".")).with_suffix(".py").is_file()
    ]
    assert not missing, f"upgrade.md names modules that do not exist: {missing}"


def test_code_words_of_the_glossary_are_in_the_code() -> None:
    source = "\n".join(p.read_text("utf-8") for p in (ROOT / "src").rglob("*.py"))
    words = re.findall(r"`([^`]+)`", (DOCS / "explanation" / "glossary.md").read_text("utf-8"))
    assert words
    assert [word for word in words if word not in source] == []


def test_pages_name_no_machine_and_no_index_host() -> None:
    for page in [*PAGES, *OUTSIDE, DOCS / "reference.toml"]:
        text = page.read_text("utf-8")
        found = re.findall(r"/(?:home|root|work|tmp|Users)/\S*|\S*(?:pypi|index-url)\S*", text)
        assert not found, f"{named(page)}: {found}"


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", DOCS, tmp_path]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("page", "quotes"),
    [
        (
            "docs/explanation/design.md",
            ["runs/transfer.py", "evaluation/scoring/score.py"],
        ),
        ("CONTRIBUTING.md", ["metrics/discrimination.py"]),
    ],
)
def test_code_that_a_page_quotes_is_the_code(page: str, quotes: list[str]) -> None:
    quoted = [b.body for b in blocks(ROOT / page) if b.kind == "python"]
    for body, module in zip(quoted, quotes, strict=True):
        code = (ROOT / "src" / "medtransfer" / module).read_text("utf-8")
        assert without_layout(body) in without_layout(code), f"{page} no longer quotes {module}"


def without_layout(code: str) -> str:
    """Code without spaces and trailing commas: a page has shorter lines to fill than a module."""
    return re.sub(r",(?=[)\]}])", "", "".join(code.split()))


def test_the_tree_of_the_design_names_every_room() -> None:
    tree = blocks(DOCS / "explanation" / "design.md")[1].body
    source = ROOT / "src" / "medtransfer"
    for path in source.rglob("*.py"):
        for room in path.relative_to(source).parts[:-1]:
            assert re.search(rf"\b{room}/", tree), f"{room} is not in the tree"
        if path.parent == source and path.stem.isidentifier() and path.stem[0] != "_":
            assert re.search(rf"\b{path.stem}\b", tree), f"{path.stem} is not in the tree"


@pytest.mark.slow
def test_the_study_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (study,) = [b.body for b in blocks(ROOT / "README.md") if b.kind == "python"]
    exec(compile(study, "README.md", "exec"), {"__name__": "readme"})
    assert (tmp_path / "studies" / "lesions" / "report.html").is_file()
