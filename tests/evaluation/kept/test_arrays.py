"""Arrays of a file come back as they were added."""

import numpy as np
import pytest

from medtransfer.evaluation.kept.arrays import ArrayFile, read_arrays


def test_arrays_of_several_types_come_back_with_their_shapes() -> None:
    arrays = [
        np.arange(6.0).reshape(2, 3),
        np.array([1, -2], dtype=np.int64),
        np.zeros((0, 4)),
        np.array([np.nan, -0.0]),
        np.frombuffer(b"text", dtype=np.uint8),
    ]
    file = ArrayFile()
    assert [file.add(values) for values in arrays] == [0, 1, 2, 3, 4]
    text, back = read_arrays(file.content(b"record"))
    assert text == b"record"
    for values, again in zip(arrays, back, strict=True):
        assert again.dtype == values.dtype
        assert again.shape == values.shape
        assert again.tobytes() == values.tobytes()


def test_an_array_that_comes_twice_is_written_once() -> None:
    values, file = np.ones(1000), ArrayFile()
    assert file.add(values) == file.add(values) == 0
    assert len(file.content(b"")) < 2 * values.nbytes


def test_a_foreign_file_is_refused() -> None:
    with pytest.raises(ValueError, match="."):
        read_arrays(b"PK something else")
