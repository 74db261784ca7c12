"""Sealed file: its size and SHA-256 as written, and the stamp that saves reading it again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from medtransfer.files import file_stamp, sha256
from medtransfer.integrity.named_content import named_sha256


@dataclass(frozen=True)
class SealedFile:
    """One file of a seal.

    Attributes:
        size: In bytes.
        sha256: Of its content.
        stamp: `files.file_stamp` when the content was last compared.
    """

    size: int
    sha256: str
    stamp: tuple[int, ...] = ()

    @classmethod
    def read(cls, path: Path) -> "SealedFile":
        """The entry of a file as it is now."""
        stamp = file_stamp(path)
        return cls(stamp[0], sha256(path), stamp)

    @classmethod
    def named(cls, path: Path) -> "SealedFile | None":
        """The entry of a file whose name holds its digest, without reading it.

        Its readers compare its content with its name. None for any other name.
        """
        digest, stamp = named_sha256(path.name), file_stamp(path)
        return None if digest is None or stamp[0] < 0 else cls(stamp[0], digest, stamp)

    @classmethod
    def of(cls, record: dict[str, Any]) -> "SealedFile":
        """The entry that a JSON object holds."""
        return cls(int(record["size"]), str(record["sha256"]), tuple(record.get("stamp", ())))

    def record(self) -> dict[str, object]:
        """The entry as a JSON object."""
        return {"size": self.size, "sha256": self.sha256, "stamp": list(self.stamp)}

    def is_content_of(self, path: Path, *, verify: bool = False) -> bool:
        """True if a file has this content; it is read only if its stamp differs.

        Args:
            path: The file.
            verify: Read it in any case.
        """
        stamp = file_stamp(path)
        if stamp == self.stamp and not verify:
            return True
        try:
            return stamp[0] == self.size and path.is_file() and sha256(path) == self.sha256
        except OSError:
            return False


def read_entries(records: object) -> dict[str, SealedFile]:
    """Entries of a seal, by path relative to the sealed folder.

    Args:
        records: JSON object of `SealedFile.record` by path.

    Raises:
        ValueError: A path leads out of the folder. A seal may come from a stranger, and files that
            do not match it are deleted or written.
        KeyError, TypeError, AttributeError: It is not the content of a seal.
    """
    entries: dict[str, SealedFile] = {}
    for name, record in cast("dict[str, dict[str, Any]]", records).items():
        if name.startswith("/") or ".." in name.split("/") or "\0" in name:
            raise ValueError("a path leads out of the folder")
        entries[name] = SealedFile.of(record)
    return entries
