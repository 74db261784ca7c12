"""Guard that fits use the tuning split alone.

A threshold, a temperature or a prediction set that was fitted on test cases looks better than it
is. So every fit passes through this check first.
"""

import numpy as np
from numpy.typing import NDArray

from medtransfer.errors import TableError, fault_list, plural, printable

TUNE = "tune"
"""The split used for fitting."""


def require_tune(splits: NDArray[np.str_], cases: int, what: str) -> None:
    """Check that all cases are in the tuning split.

    Args:
        splits: Split of each case of the fit. [n]
        cases: Number of cases, n.
        what: Name of the fit that begins the message, e.g. ``Platt scaling``.

    Raises:
        TableError: A case is in another split.
        ValueError: The numbers of splits and cases differ.
    """
    if len(splits) != cases:
        raise ValueError(f"{len(splits)} splits were given for {plural(cases, 'case')}")
    names, counts = np.unique(splits[splits != TUNE], return_counts=True)
    faults = [
        f"{plural(int(count), 'case')} of split '{printable(name)}'"
        for name, count in zip(names.tolist(), counts, strict=True)
    ]
    if faults:
        title = f"{what} cannot be fitted on these cases (allowed: split '{TUNE}')"
        advice = "Fit on the tuning split alone and apply the result to the other splits."
        raise TableError(fault_list(title, faults, advice))
