"""Names of files that hold the SHA-256 of their content, after a key."""

import hashlib
import re

KEPT_SUFFIX = ".safetensors"
KEPT_NAME = re.compile(rf"[0-9a-f]{{32}}-([0-9a-f]{{64}}){re.escape(KEPT_SUFFIX)}")
SHORT_DIGEST = 32
"""Digits of the digest in the names of earlier files."""


def content_name(key: str, content: bytes) -> str:
    """Name of a file.

    Args:
        key: 32 hexadecimal digits that say what it was made from.
        content: Of the file.
    """
    return f"{key}-{hashlib.sha256(content).hexdigest()}{KEPT_SUFFIX}"


def is_named_for(name: str, content: bytes) -> bool:
    """True if a name has the digest of a content."""
    digest = name.removesuffix(KEPT_SUFFIX).partition("-")[2]
    return len(digest) >= SHORT_DIGEST and hashlib.sha256(content).hexdigest().startswith(digest)


def named_sha256(name: str) -> str | None:
    """SHA-256 in a name; None for a name without one."""
    match = KEPT_NAME.fullmatch(name)
    return None if match is None else match[1]
