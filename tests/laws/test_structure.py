"""The layers and laws of docs/explanation/design.md, as assertions."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.laws import measure

from medtransfer import _MODULES as PUBLIC

SRC = Path(__file__).resolve().parents[2] / "src" / "medtransfer"
MODULES = sorted(SRC.rglob("*.py"))

LAYERS = (
    ("__main__",),
    ("cli",),
    ("automatic", "deploy", "recipes"),
    ("report",),
    ("study", "worker"),
    ("pretraining",),
    ("engines",),
    ("runs",),
    ("evaluation.comparison", "analysis"),
    ("evaluation.kept",),
    ("evaluation.scoring",),
    ("data.audit", "training", "evaluation.inference"),
    ("data", "data.sources"),
    ("data.images",),
    ("tables", "models"),
    ("statistics", "posthoc"),
    ("metrics", "integrity"),
    ("sizes",),
    ("files", "settings", "yaml_text", "language"),
    ("permissions", "disk"),
    ("errors", "seeds", "interruption"),
)
"""From the top; a line imports from lines below it, never beside or above. A folder that is not
named here belongs to the room it lies in."""

TORCH = {
    "analysis.probes",
    "analysis.stages",
    "analysis.weights",
    "worker",
    "data.augment",
    "data.loader",
    "data.transforms",
    "deploy.adaptation.tuning.networks",
    "deploy.bundle.trained_run",
    "deploy.exchange.onnx_graph",
    "deploy.exchange.timm_network",
    "deploy.gallery.explained",
    "deploy.gallery.heat_maps",
    "deploy.inference.decoded",
    "deploy.inference.network",
    "deploy.inference.runtime",
    "evaluation.inference.features",
    "evaluation.inference.feature_cache",
    "evaluation.inference.predict",
    "models.backbones",
    "models.classifier",
    "models.fast_layers",
    "models.folding",
    "models.foreign.header",
    "models.foreign.hugging_face",
    "models.foreign.torch_compiler",
    "models.foreign.torchvision",
    "models.load_weights",
    "models.partial_tuning",
    "models.precision.choice",
    "models.precision.measure",
    "models.rungs.partial_start",
    "models.runtime",
    "models.tensors",
    "pretraining.batches",
    "pretraining.pretrain",
    "pretraining.validation",
    "runs.embedded.heads",
    "runs.embedded.make",
    "runs.embedded.progress",
    "runs.embedded.transfer",
    "runs.fine_tune",
    "runs.probe",
    "runs.tested.corrupted_outputs",
    "runs.tested.home_features",
    "runs.tested.predict",
    "runs.understanding.answer",
    "runs.understanding.covariates",
    "runs.understanding.measure",
    "runs.understanding.network",
    "runs.transfer",
    "training.case_shares",
    "training.checkpoint",
    "training.distributed",
    "training.heads.centroid",
    "training.heads.feature_head",
    "training.heads.mlp",
    "training.heads.neighbours",
    "training.large_probe",
    "training.linear_probe",
    "training.loop",
    "training.losses",
    "training.mitigation.balance",
    "training.optim",
    "training.step",
    "training.thaw",
}
"""The only modules that load torch. No other does, whatever it imports."""

DOORS = {
    "PIL": {"data/images/pictures.py"},
    "babel": {"language/"},
    "numba": {"metrics/kernels/"},
    "timm": {"models/backbones.py", "models/fast_layers.py"},
    "torchvision": {"data/augment.py"},
    "ray": {"engines/ray/broker.py"},
    "altair": {"report/figures.py", "report/charts/"},
    "vl_convert": {"report/drawing.py", "report/figures.py"},
    "typer": {"cli/"},
    "rich": {"cli/"},
    "dicomweb_client": {"data/sources/archive/web/web_archive.py"},
    "pydicom": {"data/images/dicom/", "data/sources/archive/", "deploy/dicom_report/"},
    "highdicom": {"deploy/dicom_report/"},
    "fastapi": {"deploy/server/"},
    "starlette": {"deploy/server/"},
    "uvicorn": {"deploy/server/"},
    "gdcm": {"data/images/dicom/codecs.py"},
    "openjpeg": {"data/images/dicom/codecs.py"},
    "jpeg_ls": {"data/images/dicom/codecs.py"},
    "rle": {"data/images/dicom/codecs.py"},
    "yaml": {"study/", "yaml_text.py"},
    "cryptography": {"deploy/bundle/signature.py"},
    "onnxruntime": {"deploy/inference/onnx_network.py"},
    "jinja2": {
        "deploy/bundle/card.py",
        "deploy/gallery/page.py",
        "pretraining/rung_folder.py",
        "report/page.py",
    },
    "tensorboard": {"study/record/trackers.py"},
    "mlflow": {"study/record/trackers.py"},
    "wandb": {"study/record/trackers.py"},
    "huggingface_hub": {"models/weight_files.py"},
}
"""Package → the only files that may import it."""

NAMES_WE_DO_NOT_USE = {"utils", "common", "helpers", "base", "core", "misc", "types"}
WRITERS = {
    "write_text",
    "write_bytes",
    "write_parquet",
    "write_csv",
    "save_file",
    "copyfile",
    "savez",
    "write_ipc",
}


def place(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def module_of(path: Path) -> str:
    return place(path).removesuffix(".py").replace("/", ".")


ROOMS = {room: i for i, line in enumerate(LAYERS) for room in line}
NAMES = {module_of(path) for path in MODULES}


def room(module: str) -> str:
    """The innermost room of the layers that a module lies in."""
    parts = module.split(".")
    inside = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    rooms = [name for name in inside if name in ROOMS]
    assert rooms, f"'{module}' has no room in the layers"
    return rooms[0]


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in a file, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.fixture(scope="module", autouse=True)
def trees_are_dropped() -> Iterator[None]:
    """Hundreds of MB of syntax would slow down all tests that follow."""
    yield
    measure.trees.cache_clear()
    _by_place.cache_clear()


@cache
def _by_place() -> dict[str, ast.Module]:
    return dict(measure.trees())


def parsed(path: Path) -> ast.Module:
    return _by_place()[place(path)]


@cache
def all_imports(path: Path) -> frozenset[str]:
    return frozenset(imports(parsed(path)))


def own_imports(path: Path, *, at_load: bool = False) -> set[str]:
    """Modules of the package that a file imports: anywhere, or while it is loaded."""
    imported = all_imports(path)
    if at_load:
        body: list[ast.stmt] = [
            node for node in parsed(path).body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        imported = imports(ast.Module(body, []))
    names = {name.removeprefix("medtransfer.") for name in imported}
    return (names & NAMES) - {module_of(path)}


def test_a_room_imports_only_from_lines_below_it() -> None:
    wrong = [
        f"{module_of(path)} imports {name}"
        for path in MODULES
        if path.name != "__init__.py"
        for name in own_imports(path)
        if name != "__init__" and room(name) != room(module_of(path))
        if ROOMS[room(name)] <= ROOMS[room(module_of(path))]
    ]
    assert wrong == []


def test_no_import_runs_in_a_circle() -> None:
    from graphlib import TopologicalSorter

    graph = {module_of(path): own_imports(path) for path in MODULES}
    list(TopologicalSorter(graph).static_order())  # raises on a circle


def test_only_the_listed_modules_load_torch() -> None:
    loads = {module_of(p): own_imports(p, at_load=True) for p in MODULES}
    heavy = {
        module_of(p)
        for p in MODULES
        for node in parsed(p).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        and {"torch", "torchvision", "timm"} & {name.split(".")[0] for name in imports(node)}
    }
    while more := {name for name, others in loads.items() if others & heavy} - heavy:
        heavy |= more
    assert heavy == TORCH


def test_everything_else_loads_without_torch_and_quickly() -> None:
    light = sorted(NAMES - TORCH - {"__init__", "__main__"})
    light = [name.removesuffix(".__init__") for name in light]
    code = "import sys, importlib\n"
    code += f"for name in {light!r}: importlib.import_module('medtransfer.' + name)\n"
    code += "print([m for m in ('torch', 'timm', 'altair', 'vl_convert') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.strip()
    assert loaded == "['altair']", loaded  # report.figures is asked for by name


def test_outside_packages_come_in_by_one_door() -> None:
    wrong = [
        f"{place(path)} imports {name}"
        for path in MODULES
        for name in all_imports(path)
        if (door := DOORS.get(name.split(".")[0])) is not None
        if not place(path).startswith(tuple(door))
    ]
    assert wrong == []


def test_files_are_written_only_through_the_one_helper() -> None:
    written = {place(path): own_writes(path) for path in MODULES if place(path) != "files.py"}
    # a pipe, not a file
    written["worker.py"] = [call for call in written["worker.py"] if "os.dup(1)" not in call]
    assert {name: calls for name, calls in written.items() if calls} == {}


def own_writes(path: Path) -> list[str]:
    """Calls of a module that write a file otherwise than through `replacing`."""
    found: list[str] = []

    def visit(node: ast.AST, *, safe: bool) -> None:
        if isinstance(node, ast.With):
            safe = safe or any("replacing(" in ast.unparse(item) for item in node.items)
        if isinstance(node, ast.Call) and not safe and _writes(node):
            found.append(ast.unparse(node))
        for child in ast.iter_child_nodes(node):
            visit(child, safe=safe)

    visit(parsed(path), safe=False)
    return found


def _writes(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in WRITERS and not (isinstance(call.func, ast.Name) and name.startswith("write_")):
        return True
    if name in ("open", "fdopen"):
        texts = [a.value for a in call.args if isinstance(a, ast.Constant)]
        texts += [k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)]
        return any(isinstance(t, str) and set(t) & set("wax+") and len(t) <= 3 for t in texts)
    return False


def test_nothing_is_loaded_that_could_run_code() -> None:
    banned = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}
    loaders = {p: {n.split(".")[0] for n in all_imports(p)} & banned for p in MODULES}
    assert {place(path): names for path, names in loaders.items() if names} == {}
    calls = (n for path in MODULES for n in ast.walk(parsed(path)) if isinstance(n, ast.Call))
    for call in calls:
        match ast.unparse(call.func):
            case "eval" | "exec" | "yaml.load" | "torch.save":
                raise AssertionError(ast.unparse(call))
            case "torch.load":
                assert "weights_only=True" in ast.unparse(call)
            case "np.load":
                assert "allow_pickle=False" in ast.unparse(call)
            case _:
                pass


def test_modules_are_short_and_named_for_what_they_hold() -> None:
    texts = {path: path.read_text("utf-8") for path in MODULES}
    assert [place(path) for path, text in texts.items() if len(text.splitlines()) > 400] == []
    assert [place(path) for path in MODULES if path.stem in NAMES_WE_DO_NOT_USE] == []
    marks = [path for path in MODULES if path.name == "__init__.py" and path.parent != SRC]
    assert [place(path) for path in marks if texts[path]] == []


def test_a_folder_holds_at_most_twelve_modules() -> None:
    counts = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    assert {place(folder): n for folder, n in counts.items() if n > 12} == {}


PARSE_ONLY = ("Lease", "write_", "replacing", "remove", "make_folder")
"""Names, or starts of names, that a command has no use for: it writes nothing itself."""


@pytest.mark.parametrize("path", sorted((SRC / "cli").rglob("*.py")), ids=place)
def test_a_command_calls_a_public_function_and_prints(path: Path) -> None:
    tree = parsed(path)
    allowed = {f"{module}.{name}" for name, module in PUBLIC.items()}
    for name in imports(tree):
        module, _, last = name.removeprefix("medtransfer.").rpartition(".")
        written = last.startswith(PARSE_ONLY) and f"{module}.{last}" not in allowed
        assert not written, f"{place(path)} imports {name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in {"claim", "take", "write"}, ast.unparse(node)
    for command in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        if any(ast.unparse(d).startswith("app.command") for d in command.decorator_list):
            loops = [node for node in ast.walk(command) if isinstance(node, ast.For | ast.While)]
            assert not loops, f"{command.name} in {place(path)} loops: call a function that does"


def test_the_figures_of_the_house_keep_their_goals() -> None:
    """`python tests/laws/measure.py --where` lists the places; a limit above 0 may only fall."""
    limits = {
        measure.long_calls: 0,
        measure.question_docstrings: 0,
        measure.shared_names: 0,
        measure.old_words: 0,
        measure.vague_locals: 25,
        measure.untyped_dicts: 20,  # open JSON, each with its reason on the line
    }
    found = {figure: figure() for figure in limits}
    over = {f.__name__: places for f, places in found.items() if len(places) > limits[f]}
    assert over == {}


def test_no_line_is_hidden_from_the_formatter() -> None:
    root = SRC.parents[1]
    for folder in ("src", "tests", "benchmarks", "examples", "docs"):
        for path in (root / folder).rglob("*.py"):
            assert "fmt: " + "skip" not in path.read_text("utf-8"), path


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
