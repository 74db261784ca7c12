"""Arrays of a file beside a text that names each by its number."""

import json
import math
from typing import Any, cast

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

AnyArray = NDArray[Any]
RECORD, PLACES = "record", "places"
"""Names of the tensors that hold the text, and type and shape of every array."""


class ArrayFile:
    """Arrays that are to be written, each named by its number; one that comes again is one."""

    def __init__(self) -> None:
        self._arrays: list[AnyArray] = []
        self._numbers: dict[int, int] = {}

    def add(self, values: AnyArray) -> int:
        """The number of an array."""
        number = self._numbers.setdefault(id(values), len(self._arrays))
        if number == len(self._arrays):
            self._arrays.append(values)  # held here, so that its id is no other's
        return number

    def content(self, record: bytes) -> bytes:
        """The file as safetensors: all arrays of a type are one tensor, which is read at once."""
        by_type: dict[str, list[AnyArray]] = {}
        for values in self._arrays:
            by_type.setdefault(values.dtype.str, []).append(values.ravel())
        places = [[values.dtype.str, *values.shape] for values in self._arrays]
        tensors = {name: np.concatenate(arrays) for name, arrays in by_type.items()}
        tensors[PLACES] = np.frombuffer(json.dumps(places).encode(), dtype=np.uint8)
        tensors[RECORD] = np.frombuffer(record, dtype=np.uint8)
        return cast("bytes", cast("Any", safetensors.numpy).save(tensors))


def read_arrays(content: bytes) -> tuple[bytes, list[AnyArray]]:
    """The text and the arrays of a file; the arrays hold all of it in memory.

    Raises:
        ValueError, KeyError, TypeError: It was made by something else.
    """
    try:
        tensors = cast("dict[str, AnyArray]", cast("Any", safetensors.numpy).load(content))
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error
    places = cast("list[list[Any]]", json.loads(tensors[PLACES].tobytes()))
    read: dict[str, int] = {}
    arrays: list[AnyArray] = []
    for name, *shape in places:
        start = read.get(name, 0)
        read[name] = start + math.prod(shape)
        arrays.append(tensors[name][start : read[name]].reshape(shape))
    return tensors[RECORD].tobytes(), arrays
