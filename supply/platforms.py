"""A table of platforms on which every dependency has a wheel.

    python supply/platforms.py

Asks pip, of the index that it is set up with, for a wheel of each dependency of `pyproject.toml`,
under `constraints.txt`, for every platform and version of Python below. Nothing is installed. What
the index does not have says nothing of another index.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "Linux x86-64": ("manylinux_2_28_x86_64", "manylinux2014_x86_64"),
    "Linux arm64": ("manylinux_2_28_aarch64", "manylinux2014_aarch64"),
    "macOS arm64": ("macosx_14_0_arm64", "macosx_12_0_arm64", "macosx_11_0_arm64"),
}


def have_wheels(requirements: list[str], python: str, tags: tuple[str, ...]) -> bool:
    """True if the index has a wheel of each requirement.

    Args:
        requirements: As in `pyproject.toml`.
        python: Its version, as `3.12`.
        tags: Platforms whose wheels would do.
    """
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    command += ["--dry-run", "--ignore-installed", "--no-deps", "--only-binary", ":all:"]
    command += ["--constraint", str(ROOT / "constraints.txt"), "--target", "nowhere"]
    command += ["--python-version", python]
    for tag in tags:
        command += ["--platform", tag]
    done = subprocess.run([*command, *requirements], capture_output=True, check=False)
    return done.returncode == 0


def without_wheel(requirements: list[str], python: str, tags: tuple[str, ...]) -> list[str]:
    """Requirements of which the index has none; one question where it has all."""
    if have_wheels(requirements, python, tags):
        return []
    return [name for name in requirements if not have_wheels([name], python, tags)]


def main() -> int:
    """Print the table; 1 if a wheel is missing anywhere."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    requirements = settings["project"]["dependencies"]
    is_whole = True
    for platform, tags in PLATFORMS.items():
        for python in PYTHONS:
            missing = without_wheel(requirements, python, tags)
            is_whole = is_whole and not missing
            state = f"no wheel on this index: {', '.join(missing)}" if missing else "every wheel"
            print(f"{platform:13} Python {python}  {state}", flush=True)
    return 0 if is_whole else 1


if __name__ == "__main__":
    sys.exit(main())
