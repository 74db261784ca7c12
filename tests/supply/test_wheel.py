"""The wheel: its size, its contents, and what it does in an environment of its own."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_BYTES = 25_000_000
SMOKE = """
import medtransfer, pathlib, sys
site = sys.argv.pop(1)
assert pathlib.Path(medtransfer.__file__).is_relative_to(site), medtransfer.__file__
from medtransfer.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", str(ROOT)]
    result = subprocess.run([*command, "-w", str(folder)], check=False, capture_output=True)
    if b"hatchling" in result.stderr and b"No matching distribution" in result.stderr:
        pytest.skip("pip could not build a wheel here: it needs hatchling from an index")
    assert result.returncode == 0, result.stderr.decode()
    (path,) = folder.glob("medtransfer-*.whl")
    return path


@pytest.mark.slow
def test_a_wheel_is_small_and_holds_the_package_alone(wheel: Path) -> None:
    assert wheel.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"medtransfer"}
    source = ROOT / "src"
    tracked = {str(path.relative_to(source)) for path in source.rglob("*.py")}
    assert tracked <= set(names)
    for ending in (".safetensors", ".j2", ".po", "py.typed"):
        assert any(name.endswith(ending) for name in names), ending


@pytest.mark.slow
def test_an_installed_wheel_runs_from_anywhere(wheel: Path, tmp_path: Path) -> None:
    """In a folder of its own, before the checkout on the path; its dependencies are those here."""
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", str(wheel)]
    subprocess.run([*install, "--target", str(target)], check=True)
    for arguments in (["--version"], ["ladder"], ["sources"], ["demo", "--quick", "--out", "d"]):
        result = subprocess.run(
            [sys.executable, "-c", SMOKE, str(target), *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            check=False,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
    assert (tmp_path / "d" / "report.html").stat().st_size > 100_000
