"""Walk over the elements of a DICOM header that keeps the wanted ones, as bytes.

pydicom makes an object of every element, which takes several times as long, and an export has tens
of thousands of files (benchmarks/import_dicom.py). Anything that is not as the standard says raises
`UnusualHeaderError`, and `headers` gives such a file to pydicom.
"""

import os
import struct
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, NamedTuple

from medtransfer.data.images.dicom.transfer_syntaxes import BIG_ENDIAN, DEFLATED

UNDEFINED = 0xFFFFFFFF
ITEMS = 0xFFFE
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
LONG = frozenset(
    (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
"""Value representations whose length takes four bytes."""
SHORT = frozenset(
    (
        *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT"),
        *(b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
    )
)
PIXEL_TAGS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
FRAME_GROUPS, OVERLAYS = 0x52000000, 0x60000000
"""Tags between these describe single frames or are waves; the walk ends before them."""
SYNTAX_TAG = 0x00020010
WINDOW = 2**14
"""Bytes that are read at a time: most headers are shorter."""
MAX_DEFLATED = 2**22
"""Bytes of a deflated header that are unpacked at most."""
MAX_DEPTH = 16
MAX_FRAGMENTS = 256
"""Fragments of pixels that are passed over in search of their end; a picture has one or a few."""
MAX_VALUE = 2**16
"""Bytes of a wanted value at most; ids, names and numbers are shorter."""


Pixels = Literal["whole", "cut", "frames", "none"]


class UnusualHeaderError(Exception):
    """A header that the walk does not understand."""


@dataclass(frozen=True)
class Walked:
    """Result of a walk.

    Attributes:
        values: Bytes of the wanted elements, by tag; of a sequence those of its first item, by the
            tags of both.
        little: True if its numbers are little endian.
        pixels: ``whole`` if the pixel element is all there, ``cut`` if the file ends within it;
            ``frames`` if the walk ended at the description of frames; ``none`` without pixels.
    """

    values: Mapping[int | tuple[int, int], bytes]
    little: bool
    pixels: Pixels


class Window:
    """Bytes of an open file, read a piece at a time and only where they are asked for."""

    is_complete = True
    """False if there is more than can be looked at."""

    def __init__(self, path: str | bytes) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        self._start = 0
        self._bytes = os.pread(self._file, WINDOW, 0)

    def __enter__(self) -> "Window":
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def view(self, at: int, count: int, /) -> tuple[bytes, int]:
        """Bytes that hold those from a place on, and where these start; fewer at the file's end."""
        first = at - self._start
        if first < 0 or first + count > len(self._bytes):
            self._bytes = os.pread(self._file, max(count, WINDOW), at)
            self._start, first = at, 0
        return self._bytes, first

    def take(self, at: int, count: int) -> bytes:
        """Bytes from a place on; fewer at the end of the file."""
        raw, first = self.view(at, count)
        return raw[first : first + count]


class InflatedWindow(Window):
    """Bytes of a deflated data set, unpacked once."""

    def __init__(self, packed: Window, at: int) -> None:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            self._bytes = unpacker.decompress(packed.take(at, MAX_DEFLATED), MAX_DEFLATED)
            self.is_complete = unpacker.eof
        except zlib.error as error:
            raise UnusualHeaderError from error

    def view(self, at: int, _count: int, /) -> tuple[bytes, int]:
        """The unpacked bytes, and the place in them."""
        return self._bytes, min(at, len(self._bytes))


class ElementHead(NamedTuple):
    """Start of an element; a tuple, for hundreds are made for each file.

    Attributes:
        tag: Group and number.
        value: Place of its value.
        length: Bytes of the value; `UNDEFINED` if it ends with a mark.
        kind: Value representation; empty in a data set without them.
    """

    tag: int
    value: int
    length: int
    kind: bytes

    @property
    def end(self) -> int:
        """Place after the value, if its length is given."""
        return self.value + self.length


class Form:
    """Form of the elements of a data set.

    Args:
        implicit: True without value representations.
        little: True if numbers are little endian.
    """

    def __init__(self, *, implicit: bool, little: bool) -> None:
        order = "<" if little else ">"
        self.implicit = implicit
        self.little = little
        self._plain = struct.Struct(order + "HHL").unpack_from
        self._short = struct.Struct(order + "HH2sH").unpack_from
        self._long = struct.Struct(order + "L").unpack_from

    def head(self, window: Window, at: int) -> ElementHead | None:
        """The element that starts at a place; None at the end of the file.

        Raises:
            UnusualHeaderError: The file ends within it, or its value representation is unknown.
        """
        raw, start = window.view(at, 12)
        rest = len(raw) - start
        if rest < 8:
            if rest == 0:
                return None
            raise UnusualHeaderError
        if not self.implicit:
            group, number, kind, length = self._short(raw, start)
            if kind in SHORT:
                return ElementHead(group << 16 | number, at + 8, length, kind)
            if group != ITEMS:  # items and their ends have no representation
                if kind not in LONG or rest < 12:
                    raise UnusualHeaderError
                (length,) = self._long(raw, start + 8)
                return ElementHead(group << 16 | number, at + 12, length, kind)
        group, number, length = self._plain(raw, start)
        return ElementHead(group << 16 | number, at + 8, length, b"")


FORMS = {
    (implicit, little): Form(implicit=implicit, little=little)
    for implicit in (True, False)
    for little in (True, False)
}
IMPLICIT, EXPLICIT = FORMS[True, True], FORMS[False, True]
ElementValues = dict[int | tuple[int, int], bytes]


class Walk:
    """A walk over one file.

    Invariant of every step: the place that is looked at is the start of an element, an item, or
    the end of the file; each value is skipped by its length, never searched for its end.

    Args:
        window: The file.
        wanted: Tags to keep.
        sequences: Tags of sequences whose first item is kept.
        inside: Tags to keep of such an item.
    """

    def __init__(
        self,
        window: Window,
        wanted: Collection[int],
        sequences: Collection[int],
        inside: Collection[int],
    ) -> None:
        self._window = window
        self._wanted = wanted
        self._sequences = sequences
        self._inside = inside
        self._values: ElementValues = {}

    def header(self, start: int) -> Walked:
        """Elements up to the pixels.

        Args:
            start: Place of the file meta or, without one, of the data set.

        Raises:
            UnusualHeaderError: The header is not as the standard says, or ends too soon.
        """
        at = self._meta(start)
        uid = self._values.get(SYNTAX_TAG, b"").decode("ascii", "replace").strip(" \0")
        if uid == DEFLATED:
            self._window, at = InflatedWindow(self._window, at), 0
        form = self._form(self._window.take(at, 6), uid)
        while (element := form.head(self._window, at)) is not None:
            if element.tag in PIXEL_TAGS:
                return Walked(self._values, form.little, self._pixels(element, form))
            if FRAME_GROUPS <= element.tag < OVERLAYS:
                return Walked(self._values, form.little, "frames")
            wanted = element.tag in self._sequences  # without representations by its tag alone
            if wanted or element.kind == b"SQ" or element.length == UNDEFINED:
                at = self._sequence(element, form, 0)
                continue
            if element.tag in self._wanted:
                self._keep(element.tag, element)
            at = element.end
        if not self._window.is_complete:
            raise UnusualHeaderError
        ends_well = at == 0 or bool(self._window.take(at - 1, 1))
        return Walked(self._values, form.little, "none" if ends_well else "cut")

    def _pixels(self, pixels: ElementHead, form: Form) -> Pixels:
        """Presence of the pixels up to their end; no byte of them is looked at."""
        if not self._window.is_complete:
            return "whole"
        if pixels.length != UNDEFINED:
            last = self._window.take(pixels.end - 1, 1) if pixels.length else b"-"
            return "whole" if last else "cut"
        at = pixels.value
        for _ in range(MAX_FRAGMENTS):
            try:
                item = form.head(self._window, at)
            except UnusualHeaderError:
                return "cut"
            if item is None or item.tag not in (ITEM, SEQUENCE_END):
                return "cut"
            if item.tag == SEQUENCE_END:
                return "whole"
            at = item.end
        return "whole"

    def _meta(self, at: int) -> int:
        """Place after the file meta, which is kept too."""
        while self._window.take(at, 2) == b"\x02\x00":
            element = EXPLICIT.head(self._window, at)
            if element is None or element.length == UNDEFINED:
                raise UnusualHeaderError
            if element.tag in self._wanted:
                self._keep(element.tag, element)
            at = element.end
        return at

    def _form(self, start: bytes, uid: str) -> Form:
        """Form of the data set, by its first bytes: some files claim another one."""
        implicit = not (start[4:6].isalpha() and start[4:6].isupper())
        little = uid != BIG_ENDIAN if uid else not start.startswith(b"\x00\x08")
        return FORMS[implicit, little]

    def _keep(self, key: int | tuple[int, int], element: ElementHead) -> None:
        if element.length > MAX_VALUE:
            return
        value = self._window.take(element.value, element.length)
        if len(value) < element.length:
            raise UnusualHeaderError
        self._values[key] = value

    def _sequence(self, sequence: ElementHead, form: Form, depth: int) -> int:
        """Place after a sequence; the wanted elements of its first item are kept."""
        wanted = depth == 0 and sequence.tag in self._sequences
        if sequence.length != UNDEFINED and not wanted:
            return sequence.end
        if depth > MAX_DEPTH:
            raise UnusualHeaderError
        if sequence.kind == b"UN":
            form = IMPLICIT  # PS3.5, section 6.2.2
        at, first = sequence.value, True
        while sequence.length == UNDEFINED or at < sequence.end:
            item = form.head(self._window, at)
            if item is not None and item.tag == SEQUENCE_END:
                return item.value
            if item is None or item.tag != ITEM:
                raise UnusualHeaderError
            keep = sequence.tag if wanted and first else None
            at, first = self._item(item, form, depth, keep), False
        return at

    def _item(self, item: ElementHead, form: Form, depth: int, keep: int | None) -> int:
        """Place after an item, whose wanted elements are kept under its sequence's tag."""
        if item.length != UNDEFINED and keep is None:
            return item.end
        at = item.value
        while item.length == UNDEFINED or at < item.end:
            element = form.head(self._window, at)
            if element is not None and element.tag == ITEM_END:
                return element.value
            if element is None:
                raise UnusualHeaderError
            if element.kind == b"SQ" or element.length == UNDEFINED:
                at = self._sequence(element, form, depth + 1)
                continue
            if keep is not None and element.tag in self._inside:
                self._keep((keep, element.tag), element)
            at = element.end
        return at
