"""Digest of the package's own code, which tells two builds of one version apart."""

import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


@cache
def code_digest() -> str:
    """SHA-256 of every module of the package with its path, as 64 hexadecimal digits."""
    hashed = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        content = path.read_bytes()
        name = path.relative_to(PACKAGE).as_posix()
        hashed.update(f"{name}\0{len(content)}\0".encode())
        hashed.update(content)
    return hashed.hexdigest()
