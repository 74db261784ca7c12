"""A compiled pass over hashes: who lies within a radius, by an index of their parts."""

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.kernels.sums import compiled

Codes = NDArray[np.uint64]
Int64Array = NDArray[np.int64]


@compiled
def close_in_index(
    queries: Codes,
    start: int,
    stop: int,
    codes: Codes,
    order: NDArray[np.int32],
    offsets: Int64Array,
    masks: Codes,
    bits: NDArray[np.uint8],
    radius: int,
    reach: int,
    found: NDArray[np.int32],
) -> int:
    """Pairs (query q, code j > q) within `radius`, each once; the number found.

    Numbers beyond the room in `found` are counted and not written: call again with more room.

    Args:
        queries: [N]
        start: First query.
        stop: One after the last.
        codes: [N]
        order: Codes sorted by each 16-bit part. [4, N]
        offsets: Where each value of a part begins in `order`. [4, 65537]
        masks: Every change of up to `reach` bits in a part. [M]
        bits: Number of bits of every 16-bit number. [65536]
        radius: Most bits that may differ.
        reach: Most bits that may differ in the closest part: radius // 4.
        found: Receives query, code and distance. [3, room]
    """
    low = np.uint64(0xFFFF)
    count, room = 0, found.shape[1]
    for q in range(start, stop):
        query = queries[q]
        for part in range(4):
            shift = np.uint64(16 * part)
            key = (query >> shift) & low
            for m in range(len(masks)):
                value = np.int64(key ^ masks[m])
                for p in range(offsets[part, value], offsets[part, value + 1]):
                    j = order[part, p]
                    if j <= q:
                        continue
                    differ = query ^ codes[j]
                    distance = 0
                    seen = False
                    for other in range(4):
                        apart = bits[np.int64((differ >> np.uint64(16 * other)) & low)]
                        distance += apart
                        seen = seen or (other < part and apart <= reach)
                    if seen or distance > radius:
                        continue
                    if count < room:
                        found[0, count] = q
                        found[1, count] = j
                        found[2, count] = distance
                    count += 1
    return count
