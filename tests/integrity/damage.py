"""Damage to single files, as disks, people and programs do it."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[Path, random.Random], None]


def delete(path: Path, _draw: random.Random) -> None:
    path.unlink()


def empty(path: Path, _draw: random.Random) -> None:
    os.truncate(path, 0)


def truncate(path: Path, draw: random.Random) -> None:
    os.truncate(path, draw.randrange(path.stat().st_size))


def flip(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(bytes(content))


def replace_by_folder(path: Path, _draw: random.Random) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("x")


DAMAGES: tuple[Damage, ...] = (delete, empty, truncate, flip, replace_by_folder)


def swap(folder: Path, draw: random.Random) -> None:
    """Exchange two files of different content."""
    first, second = draw.sample(files_of(folder), 2)
    while first.read_bytes() == second.read_bytes():
        first, second = draw.sample(files_of(folder), 2)
    shutil.move(first, folder / "between")
    shutil.move(second, first)
    shutil.move(folder / "between", second)


def files_of(folder: Path) -> list[Path]:
    """Every file that is not empty, in a fixed order."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in paths if path.stat().st_size]
