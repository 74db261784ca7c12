"""Space of disks: what is free, what is needed, and its words."""

import shutil
from pathlib import Path

from medtransfer.errors import StudyError


def require_disk(folder: Path, needed: int, what: str) -> None:
    """Stop before a long work that the disk has no room for.

    Args:
        folder: Where it will be written; it need not exist.
        needed: Bytes.
        what: What is written, e.g. ``Preparing 40 images``.

    Raises:
        StudyError: The disk has less free.
    """
    free = free_bytes(folder)
    if needed > free:
        raise StudyError(
            f"{what} needs {size_text(needed)} of disk and {size_text(free)} are free. Nothing "
            "was written. Free some space, or write elsewhere with --out."
        )


def free_bytes(folder: Path) -> int:
    """Bytes that are free where a folder is or would be."""
    where = next((p for p in [folder, *folder.absolute().parents] if p.exists()), Path("/"))
    return shutil.disk_usage(where).free


def size_text(count: int) -> str:
    """Bytes for a reader: ``812 KiB``, ``58.7 GiB``."""
    size, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.0f} {units[0]}" if size >= 100 or units[0] == "B" else f"{size:.1f} {units[0]}"
