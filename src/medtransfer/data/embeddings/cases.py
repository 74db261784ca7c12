"""Features of cases, from features of images or of cases that another program computed."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.cases import Cases
from medtransfer.data.embeddings.files import Embeddings
from medtransfer.errors import TableError, plural
from medtransfer.models.config import Pool
from medtransfer.tables.manifest import Manifest
from medtransfer.tables.schema import rows_of

CHUNK_CASES = 4096
"""Cases that are pooled at once."""


@dataclass(frozen=True)
class Coverage:
    """Ids of a file of features compared with a manifest.

    Attributes:
        extra: Number of ids that the manifest does not name.
        missing: Rows of the manifest without features.
        without: Rows of cases without any features, among them.
        key: Column that was compared.
    """

    extra: int
    missing: pl.DataFrame
    without: pl.DataFrame
    key: str

    @classmethod
    def of(cls, embeddings: Embeddings, manifest: Manifest) -> "Coverage":
        """Compare ids, exactly as they are spelled."""
        key, frame = embeddings.key, manifest.frame
        given = pl.DataFrame({key: embeddings.ids})
        missing = frame.join(given, on=key, how="anti", maintain_order="left")
        covered = frame.join(given, on=key, how="semi").select("case_id").unique()
        without = missing.join(covered, on="case_id", how="anti", maintain_order="left")
        extra = given.join(frame.select(key).unique(), on=key, how="anti")
        return cls(len(extra), missing, without, key)

    def require_cases(self, rung: str) -> None:
        """Refuse a file that leaves cases without features: rungs are compared on the same cases.

        Raises:
            TableError: There are such cases, with their rows.
        """
        if self.without.is_empty():
            return
        count = plural(self.without["case_id"].n_unique(), "case")
        raise TableError(
            f"The features of rung '{rung}' lack {count}, {rows_of(self.without)} of the manifest. "
            "Rungs are compared on the same cases: add the features, or remove the rows from the "
            f"manifest. Ids are compared letter by letter ({self.key})."
        )


def embedding_rows(embeddings: Embeddings, cases: Cases) -> NDArray[np.int64] | None:
    """Row of the features of each case; None if some cases have several. Arguments as below. [N]"""
    at, _ = _rows_and_owners(embeddings, cases)
    return at if len(at) == len(cases) else None


def _rows_and_owners(
    embeddings: Embeddings, cases: Cases
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of features that belong to cases, and the number of the case of each. [M], [M]"""
    position = pl.DataFrame({"id": embeddings.ids}).with_row_index("at")
    owners = np.arange(len(cases), dtype=np.int64)
    if embeddings.key == "case_id":
        ids = cases.case_ids.tolist()
    else:
        ids, owners = cases.image_ids, np.repeat(owners, cases.counts)
    asked = pl.DataFrame({"id": ids, "owner": owners}, schema={"id": pl.String, "owner": pl.Int64})
    joined = asked.join(position, on="id", how="inner", maintain_order="left")
    return joined["at"].cast(pl.Int64).to_numpy(), joined["owner"].to_numpy()


def case_embeddings(embeddings: Embeddings, cases: Cases, pool: Pool) -> NDArray[np.float32]:
    """Features of cases, brought together over the images that have some.

    Args:
        embeddings: Every case has features.
        cases: N of them.
        pool: Mean or maximum; of no effect on features of cases.

    Returns:
        [N, D]
    """
    at, owner = _rows_and_owners(embeddings, cases)
    if len(at) == len(cases):
        return embeddings.values[at]
    starts = np.searchsorted(owner, np.arange(len(cases)))
    pooled = np.empty((len(cases), embeddings.width), dtype=np.float32)
    for first in range(0, len(cases), CHUNK_CASES):
        last = min(first + CHUNK_CASES, len(cases))
        end = starts[last] if last < len(cases) else len(at)
        values = embeddings.values[at[starts[first] : end]]
        offsets = starts[first:last] - starts[first]
        if pool == "max":
            pooled[first:last] = np.maximum.reduceat(values, offsets)
        else:
            sizes = np.diff(np.append(offsets, len(values)))
            sums = np.add.reduceat(values, offsets, dtype=np.float64)
            pooled[first:last] = sums / sizes[:, None]
    return pooled
