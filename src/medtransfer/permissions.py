"""Permissions of files and folders that are written: outputs hold ids of patients."""

import os
import re

from medtransfer.errors import ConfigError, printable

UMASK, PRIVATE = "MEDTRANSFER_UMASK", 0o077
"""Variable of the permission bits that are not given, and its default: outputs hold ids."""


def permissions(most: int) -> int:
    """Mode of files (of at most 0o666) or folders (0o777) that are written, less `UMASK`.

    Raises:
        ConfigError: `UMASK` is no octal number, or takes rights from the owner.
    """
    text = os.environ.get(UMASK, "")
    if text and not re.fullmatch(r"0?0?[0-7]{2}", text):
        raise ConfigError(
            f"{UMASK} is '{printable(text)}' (allowed: 000 to 077, octal). 077 keeps outputs to "
            "their owner, 007 shares them with the group of the folder."
        )
    return most & ~(int(text, 8) if text else PRIVATE)
