"""Few-shot budgets beside label fractions: each at its share of the training patients. No torch."""

from collections.abc import Sequence

import numpy as np

from medtransfer.data.cases import Cases, class_counts
from medtransfer.errors import StudyError, plural
from medtransfer.study.grid import Cell


def share_of_shots(cell: Cell, cases: Cases) -> float:
    """Share of the training patients that a few-shot budget has, whatever the seed.

    A patient counts once for every class it is of: where classes share no patient it is the exact
    share.

    Raises:
        StudyError: No class has more patients than the budget takes.
    """
    shots = cell.shots or 0
    counts = class_counts(cases, cell.run.data)
    most = int(counts.max(initial=0))
    if shots >= most:
        raise StudyError(
            f"shots holds {shots}, and no class has more than {plural(most, 'training patient')}: "
            f"that is all of them (allowed: below {most}). Leave it out; label fraction 1 has all."
        )
    return float(np.minimum(counts, shots).sum() / counts.sum())


def refuse_equal_budgets(cells: Sequence[Cell]) -> None:
    """Refuse budgets that tables and curves, which go by shares, could not keep apart.

    Raises:
        StudyError: A few-shot budget has the share of a label fraction.
    """
    plain = {cell.label_fraction for cell in cells if cell.shots is None}
    for cell in cells:
        if cell.shots is not None and cell.label_fraction in plain:
            raise StudyError(
                f"shots {cell.shots} and label fraction {cell.label_fraction:g} are the same share "
                "of the training patients. Leave one of them out."
            )
