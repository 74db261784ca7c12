"""Gram matrices of the stages of a network, kept so that networks can be compared later. No torch.

Linear CKA needs the products of pairs of cases within a batch and nothing else, so a run's outputs
need not be kept: 2,000 cases take 0.4 MB a stage, whatever its width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.analysis.interval import Interval
from medtransfer.analysis.similarity import (
    BatchGrams,
    batch_grams,
    cka_of_grams,
    require_same_cases,
)
from medtransfer.errors import StudyError
from medtransfer.tables.schema import write_frame


@dataclass(frozen=True, eq=False)
class NetworkGrams:
    """Gram matrices of a network for some cases.

    Attributes:
        case_ids: N, batch by batch.
        by_stage: Of each stage by its name, the lowest first.
        numbers: Of these stages, from below.
    """

    case_ids: tuple[str, ...]
    by_stage: Mapping[str, BatchGrams]
    numbers: Mapping[str, int]


def network_grams(
    case_ids: Sequence[str],
    outputs: Mapping[str, NDArray[np.float32]],
    numbers: Mapping[str, int],
    patients: NDArray[np.str_],
) -> NetworkGrams:
    """Gram matrices of the outputs of stages.

    Args:
        case_ids: N
        outputs: Of each stage by its name. [N, C] each
        numbers: Of the stages, from below.
        patients: Of each case. [N]
    """
    by_stage = {name: batch_grams(values, patients) for name, values in outputs.items()}
    ids = np.asarray(case_ids)
    first = next(iter(by_stage.values()))
    return NetworkGrams(
        tuple(str(name) for rows in first.rows for name in ids[rows]), by_stage, dict(numbers)
    )


def between(first: NetworkGrams, second: NetworkGrams, stage: str, other: str) -> Interval:
    """CKA of a stage of one network and a stage of another.

    Args:
        first: A network.
        second: Another, on the same cases.
        stage: Of the first.
        other: Of the second.

    Raises:
        StudyError: The cases are others, or in another order.
    """
    require_same_cases(first.case_ids, second.case_ids)
    return cka_of_grams(first.by_stage[stage], second.by_stage[other])


def write_grams(grams: NetworkGrams, path: Path) -> None:
    """Write Gram matrices as a table: a stage and batch a row, the upper triangle of each."""
    rows: list[dict[str, object]] = []
    for name, stage in grams.by_stage.items():
        start = 0
        for matrix in stage.matrices:
            ids = grams.case_ids[start : start + len(matrix)]
            start += len(matrix)
            upper = matrix[np.triu_indices(len(matrix), 1)].astype(np.float32)
            rows.append(
                {
                    "stage": name,
                    "number": grams.numbers[name],
                    "case_id": list(ids),
                    "products": upper.tolist(),
                }
            )
    schema = {
        "stage": pl.String(),
        "number": pl.Int64(),
        "case_id": pl.List(pl.String()),
        "products": pl.List(pl.Float32()),
    }
    write_frame(pl.DataFrame(rows, schema=schema), path)


def read_grams(path: Path) -> NetworkGrams:
    """Read Gram matrices.

    Raises:
        StudyError: The file is damaged.
    """
    try:
        table = pl.read_parquet(path)
        by_stage: dict[str, BatchGrams] = {}
        numbers: dict[str, int] = {}
        case_ids: tuple[str, ...] = ()
        for name in table["stage"].unique(maintain_order=True).to_list():
            of_stage = table.filter(pl.col("stage") == name)
            numbers[name] = int(of_stage["number"][0])
            batches = [ids.to_list() for ids in of_stage["case_id"]]
            case_ids = tuple(str(case) for batch in batches for case in batch)
            matrices = [
                _whole(values.to_numpy(), len(batch))
                for values, batch in zip(of_stage["products"], batches, strict=True)
            ]
            by_stage[name] = BatchGrams((), tuple(matrices))
    except (pl.exceptions.PolarsError, OSError, ValueError, IndexError) as error:
        raise StudyError(
            f'"{path.name}" cannot be read. Delete it, and run the same command again.'
        ) from error
    return NetworkGrams(case_ids, by_stage, numbers)


def _whole(upper: NDArray[np.float32], size: int) -> NDArray[np.float64]:
    """A symmetric matrix without a diagonal from its upper triangle. [n, n]"""
    matrix = np.zeros((size, size))
    matrix[np.triu_indices(size, 1)] = upper
    return matrix + matrix.T
