"""The layers and laws of docs/explanation/design.md, as assertions."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src" / "medtransfer"
MODULES = sorted(SRC.rglob("*.py"))

LAYERS = (
    ("__main__",),
    ("cli",),
    ("recipes",),
    ("report", "deploy"),
    ("study",),
    ("training", "evaluation", "analysis"),
    ("data", "models"),
    ("metrics",),
    ("tables",),
    ("files", "settings"),
    ("errors", "seeds"),
)
"""From the top; a line imports from lines below it, never beside or above."""

TORCH_FREE = (
    *(f"{room}.{p.stem}" for room in ("tables", "metrics")
      for p in sorted((SRC / room).glob("*.py")) if p.stem != "__init__"),
    "errors", "seeds", "files", "settings",
    "data.config", "data.labels", "data.splits", "data.audit", "data.images", "data.scan",
    "data.cache", "data.filling", "data.shards", "data.rows",
    "data.cases", "data.episodes", "data.inputs", "data.phantom", "data.decode",
    *(f"data.dicom.{p.stem}" for p in sorted((SRC / "data" / "dicom").glob("*.py"))
      if p.stem != "__init__"),
    *(f"data.sources.{p.stem}" for p in sorted((SRC / "data" / "sources").glob("*.py"))
      if p.stem != "__init__"),
    "data.findings", "data.audit_tables", "data.audit_pixels", "data.balance", "data.copies",
    "data.frames", "data.hashes", "data.hash_kernels", "data.near_duplicates", "data.personal",
    "data.probe", "data.shortcuts", "data.sketches",
    "models.config", "models.ladder", "models.sources",
    "training.config", "training.rules",
    "evaluation.config", "evaluation.runs", "evaluation.score", "evaluation.compare",
    "evaluation.ladder", "evaluation.curves", "evaluation.foreign", "evaluation.external",
    "study.config", "study.document", "study.run", "study.grid", "study.plan", "study.store",
    "study.budgets", "study.sweep", "study.progress", "study.pretraining", "study.rung_status",
    "study.schedule", "study.status", "study.collect", "study.draft", "study.inputs",
    "study.caches", "study.pictures", "study.watchdog", "study.executors.local",
    "report.page", "report.figures", "report.reading", "report.sections", "recipes.demo",
    "cli.app", "cli.main", "cli.prepare", "cli.study", "cli.info", "cli.data", "cli.check",
    "cli.evaluation", "cli.sources",
)  # fmt: skip

DOORS = {
    "PIL": {"data/images.py"},
    "numba": {"metrics/kernels.py"},
    "timm": {"models/backbones.py", "models/parts.py"},
    "torchvision": {"data/augment.py"},
    "ray": {"study/executors/ray.py"},
    "altair": {"report/figures.py"},
    "vl_convert": {"report/figures.py"},
    "typer": {"cli/"},
    "rich": {"cli/"},
    "pydicom": {"data/dicom/"},
    "gdcm": {"data/dicom/codecs.py"},
    "openjpeg": {"data/dicom/codecs.py"},
    "jpeg_ls": {"data/dicom/codecs.py"},
    "rle": {"data/dicom/codecs.py"},
    "yaml": {"study/"},
    "jinja2": {"report/page.py"},
    "huggingface_hub": {"models/sources.py"},
}
"""Package → the only files that may import it."""

NAMES_WE_DO_NOT_USE = {"utils", "common", "helpers", "base", "core", "misc", "types"}
WRITERS = {"write_text", "write_bytes", "write_parquet", "write_csv", "save_file", "copyfile",
           "savez", "write_ipc"}  # fmt: skip


def place(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def room(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in a file, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def line_of(name: str) -> int:
    found = [i for i, line in enumerate(LAYERS) if name in line]
    assert found, f"room '{name}' has no place in the layers"
    return found[0]


@pytest.mark.parametrize("path", [p for p in MODULES if p.name != "__init__.py"], ids=place)
def test_a_room_imports_only_from_lines_below_it(path: Path) -> None:
    own = place(path).removesuffix(".py").replace("/", ".")
    for name in imports(parsed(path)):
        if not name.startswith("medtransfer."):
            continue
        other = room(name.removeprefix("medtransfer."))
        if other != room(own):
            assert line_of(other) > line_of(room(own)), f"{own} imports {name}"


def test_no_import_runs_in_a_circle() -> None:
    from graphlib import TopologicalSorter

    graph: dict[str, set[str]] = {}
    known = {place(p).removesuffix(".py").replace("/", ".") for p in MODULES}
    for path in MODULES:
        own = place(path).removesuffix(".py").replace("/", ".")
        if own == "__init__":
            continue
        found = {name.removeprefix("medtransfer.") for name in imports(parsed(path))}
        graph[own] = {name for name in found if name in known and name != own}
    list(TopologicalSorter(graph).static_order())  # raises on a circle


def test_torch_free_rooms_load_without_torch_and_quickly() -> None:
    code = "import sys, importlib\n"
    code += f"for name in {TORCH_FREE!r}: importlib.import_module('medtransfer.' + name)\n"
    code += "print([m for m in ('torch', 'timm', 'altair', 'vl_convert') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.strip()
    assert loaded == "['altair']", loaded  # report.figures is asked for by name


def test_every_config_module_is_in_the_torch_free_list() -> None:
    configs = {place(p).removesuffix(".py").replace("/", ".") for p in MODULES
               if p.name == "config.py"}  # fmt: skip
    assert configs <= set(TORCH_FREE)


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_outside_packages_come_in_by_one_door(path: Path) -> None:
    for name in imports(parsed(path)):
        package = name.split(".")[0]
        for door in [DOORS[package]] if package in DOORS else []:
            assert any(place(path).startswith(allowed) for allowed in door), f"{name} in {path}"


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_files_are_written_only_through_the_one_helper(path: Path) -> None:
    if place(path) == "files.py":
        return
    found: list[str] = []

    def visit(node: ast.AST, *, safe: bool) -> None:
        if isinstance(node, ast.With):
            safe = safe or any("replacing(" in ast.unparse(item) for item in node.items)
        if isinstance(node, ast.Call) and not safe and _writes(node):
            found.append(ast.unparse(node))
        for child in ast.iter_child_nodes(node):
            visit(child, safe=safe)

    visit(parsed(path), safe=False)
    if place(path) == "study/worker.py":
        found = [call for call in found if "os.dup(1)" not in call]  # a pipe, not a file
    assert not found


def _writes(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in WRITERS and not (isinstance(call.func, ast.Name) and name.startswith("write_")):
        return True
    if name in ("open", "fdopen"):
        texts = [a.value for a in call.args if isinstance(a, ast.Constant)]
        texts += [k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)]
        return any(isinstance(t, str) and set(t) & set("wax+") and len(t) <= 3 for t in texts)
    return False


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_nothing_is_loaded_that_could_run_code(path: Path) -> None:
    tree = parsed(path)
    banned = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}
    assert not {name.split(".")[0] for name in imports(tree)} & banned
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        text = ast.unparse(node)
        assert not text.startswith(("eval(", "exec(", "yaml.load(", "torch.save(")), text
        if text.startswith("torch.load("):
            assert "weights_only=True" in text
        if text.startswith("np.load("):
            assert "allow_pickle=False" in text


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_modules_are_short_and_named_for_what_they_hold(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 300
    assert path.stem not in NAMES_WE_DO_NOT_USE
    if path.name == "__init__.py" and path.parent != SRC:
        assert path.read_text("utf-8") == ""


def test_no_template_trusts_a_text() -> None:
    for path in SRC.rglob("*.j2"):
        assert "|safe" not in path.read_text("utf-8").replace(" ", "")


def test_the_public_names_are_exactly_what_the_package_shows() -> None:
    import medtransfer

    assert sorted(dir(medtransfer)) == sorted(medtransfer.__all__)
    for name in medtransfer.__all__:
        assert getattr(medtransfer, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Trainer'"):
        _ = medtransfer.Trainer
