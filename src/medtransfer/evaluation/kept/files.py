"""Files of a folder, each named by what it was made from and by its content."""

import contextlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import polars as pl

from medtransfer.errors import StudyError
from medtransfer.files import read_content, remove, write_bytes
from medtransfer.integrity.named_content import KEPT_SUFFIX, content_name, is_named_for


@dataclass(frozen=True)
class KeptFiles:
    """Files that can be made again; one that is damaged is as good as none.

    Attributes:
        folder: May be deleted at any time.
        used: Names of the files that were read, written or held.
    """

    folder: Path
    used: set[str] = field(default_factory=set[str])

    def contents(self, key: str) -> Iterator[bytes]:
        """Contents of the files of a key that are whole; what is asked for on is used."""
        for name in self._names.get(key, ()):
            with contextlib.suppress(StudyError, OSError):
                content = read_content(self.folder / name)
                if is_named_for(name, content):
                    self.used.add(name)
                    yield content

    def write(self, key: str, content: bytes) -> None:
        """Write a file; without a word if it cannot be."""
        name = content_name(key, content)
        try:
            write_bytes(self.folder / name, content)
        except StudyError:  # what can be made again must not stop a study
            return
        self._names.setdefault(key, []).append(name)
        self.used.add(name)

    def hold(self, keys: Iterable[str]) -> None:
        """Count the files of some keys as used, which are asked for once what they made is lost."""
        for key in keys:
            self.used.update(self._names.get(key, ()))

    def drop_others(self) -> None:
        """Delete the files that were neither read, written nor held."""
        for path in sorted(self.folder.glob(f"*{KEPT_SUFFIX}")):
            if path.name not in self.used:
                remove(path)

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        """Names by key, looked up once: a study has thousands."""
        names: dict[str, list[str]] = {}
        for name in sorted(path.name for path in self.folder.glob(f"*{KEPT_SUFFIX}")):
            names.setdefault(name.partition("-")[0], []).append(name)
        return names


def content_of(write: Callable[[io.BytesIO], object]) -> bytes:
    """Bytes that a writer of files writes, in memory; the file is then `KeptFiles.write`'s."""
    content = io.BytesIO()
    write(content)
    return content.getvalue()


def column_parts(column: pl.Series) -> Iterator[bytes]:
    """Bytes that tell a column from every other."""
    yield f"{column.name}\0{column.dtype}\0{len(column)}\0".encode()
    if column.dtype.is_numeric():
        if column.null_count():
            yield column.is_null().to_numpy().tobytes()
            column = column.fill_null(0)
        yield column.to_numpy().tobytes()
    else:
        yield json.dumps(column.to_list(), default=str).encode()
