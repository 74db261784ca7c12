"""The quickstart notebook: its code is valid, its outputs are stripped, and it runs."""

import ast
import importlib
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

QUICKSTART = Path(__file__).resolve().parents[1] / "examples" / "quickstart.ipynb"


@pytest.fixture
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(QUICKSTART, as_version=4)


def test_every_cell_parses_and_every_name_of_the_package_exists(
    notebook: nbformat.NotebookNode,
) -> None:
    nbformat.validate(notebook)
    names: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medtransfer"):
                module = importlib.import_module(str(node.module))
                imported = [alias.name for alias in node.names]
                assert [name for name in imported if not hasattr(module, name)] == []
                names += imported
    assert {"check_manifest", "run_study", "read_results", "write_report", "evaluate"} <= {*names}


def test_it_is_committed_without_outputs(notebook: nbformat.NotebookNode) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell for cell in code if cell.outputs or cell.execution_count] == []


@pytest.mark.slow
def test_it_runs_from_images_to_reports(notebook: nbformat.NotebookNode, tmp_path: Path) -> None:
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()  # raises with the cell and its error
    for name in ("study/report.html", "study/results.parquet", "vendor/report.html"):
        assert (tmp_path / "quickstart" / name).is_file(), name
    (plot,) = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "alt.LayerChart" in output.get("data", {}).get("text/plain", "")
    ]
    assert len(plot.data) > 1  # a chart, not its name alone
