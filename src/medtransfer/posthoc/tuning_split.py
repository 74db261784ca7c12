"""What is fitted is fitted on the tuning split, and on nothing else.

A threshold, a temperature or a prediction set that has seen the cases it is judged on looks better
than it is. So everything that is fitted passes through here first.
"""

import numpy as np
from numpy.typing import NDArray

from medtransfer.errors import TableError, fault_list, plural, printable

TUNE = "tune"
"""The split that may be fitted on."""


def require_tune(splits: NDArray[np.str_], cases: int, what: str) -> None:
    """Refuse to fit on anything but the tuning split.

    Args:
        splits: Split of each case that is to be fitted on. [n]
        cases: How many cases there are, n.
        what: What is to be fitted, to begin a sentence with, e.g. ``Platt scaling``.

    Raises:
        TableError: A case is of another split.
        ValueError: There are not as many splits as cases.
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
        advice = "Fit on the tuning split alone and carry the result to every other."
        raise TableError(fault_list(title, faults, advice))
