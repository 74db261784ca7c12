"""Pictures of many shards as one array that is read on demand."""

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from medtransfer.data.images import Pixels
from medtransfer.data.shards import Codec, Kind, Shard, widen

OPEN_SHARDS = 256
"""Most shards a reader keeps open; every one takes a file handle."""


class PixelRows:
    """Pictures of a cache as an array that is read on demand. [N, size, size, channels]

    ``rows[i]`` is one picture, read-only and not copied where it can be helped; ``rows[[i, j]]``
    and ``rows[i:j]`` are copies. Pictures of fewer channels or bits are widened.
    """

    def __init__(
        self, shards: Sequence[Shard], codec: Codec, kind: Kind, places: NDArray[np.int64]
    ) -> None:
        """Say which pictures there are.

        Args:
            shards: Where they lie.
            codec: How they are kept.
            kind: What they are widened to.
            places: Number of the shard, and row in it, of every picture. [N, 2]
        """
        self._shards, self._codec, self._kind = shards, codec, kind
        self._places = places
        self._open: dict[int, Callable[[int], Pixels]] = {}
        self.shape = (len(places), *kind.shape)
        self.dtype = kind.dtype

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._places)

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> Pixels: ...
    @overload
    def __getitem__(self, key: slice | Sequence[int] | NDArray[Any]) -> Pixels: ...
    def __getitem__(self, key: Any) -> Pixels:
        """One picture, or several as a new array."""
        if isinstance(key, (int, np.integer)):
            return self._picture(*self._places[key].tolist())
        places = self._places[key].tolist()
        found = np.empty((len(places), *self.shape[1:]), dtype=self.dtype)
        for number, (shard, row) in enumerate(places):
            found[number] = self._picture(shard, row)
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Pixels:
        """All pictures in memory."""
        del copy
        return self[:].astype(dtype or self.dtype, copy=False)

    def _picture(self, shard: int, row: int) -> Pixels:
        read = self._open.get(shard)
        if read is None:
            if len(self._open) >= OPEN_SHARDS:
                del self._open[next(iter(self._open))]
            read = self._open[shard] = self._shards[shard].open(self._codec)
        picture = read(row)
        return picture if self._shards[shard].kind == self._kind else widen(picture, self._kind)
