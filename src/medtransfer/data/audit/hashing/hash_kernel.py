"""A compiled pass over hashes: pairs within a radius, by an index of their 16-bit parts."""

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
    pairs: NDArray[np.int32],
) -> int:
    """Pairs (query q, code j > q) within `radius`, each once; their number.

    If `radius` bits differ in all, at most a quarter of them differ in one of the four parts: it is
    enough to look up, in each part, the codes within `reach` = `radius` // 4 bits of the query.
    Pairs beyond the room in `pairs` are counted and not written: call again with more room.

    Args:
        queries: [N]
        start: First query.
        stop: One after the last.
        codes: [N]
        order: Codes sorted by each 16-bit part. [4, N]
        offsets: Position where each value of a part begins in `order`. [4, 65537]
        masks: Every change of up to `reach` bits in a part. [M]
        bits: Number of bits of every 16-bit number. [65536]
        radius: Largest number of bits that differ.
        reach: Largest number of bits that differ in the closest part: radius // 4.
        pairs: Receives query, code and distance. [3, room]
    """
    low = np.uint64(0xFFFF)
    count, room = 0, pairs.shape[1]
    # invariant: count pairs have a query before q, and the first `room` of them are in `pairs`
    for q in range(start, stop):
        query = queries[q]
        for part in range(4):
            shift = np.uint64(16 * part)
            key = (query >> shift) & low
            # invariant: every pair of q that is within reach in a part before this one was counted
            for m in range(len(masks)):
                value = np.int64(key ^ masks[m])
                for p in range(offsets[part, value], offsets[part, value + 1]):
                    j = order[part, p]
                    if j <= q:
                        continue
                    differ = query ^ codes[j]
                    distance = 0
                    # within reach in an earlier part: this pair was counted there
                    counted = False
                    for other in range(4):
                        apart = bits[np.int64((differ >> np.uint64(16 * other)) & low)]
                        distance += apart
                        counted = counted or (other < part and apart <= reach)
                    if counted or distance > radius:
                        continue
                    if count < room:
                        pairs[0, count] = q
                        pairs[1, count] = j
                        pairs[2, count] = distance
                    count += 1
    return count
