"""Errors that a user can fix, and the form of their messages.

MedTransferError
├── ConfigError    study.yaml, or an option on the command line
├── TableError     a manifest, predictions or results table
├── ImageError     an image that cannot be read or must not be
├── WeightsError   pre-trained weights: missing, altered, or of another network
├── StudyError     a study or run folder, its disk, its worker
└── BundleError    a bundle that cannot be opened or made

The command line prints only the message of these and exits with code 2. Anything else is a
bug and keeps its traceback. A message says what is wrong, the value, what is allowed and what
to do, and names all faults of a kind at once.
"""

import errno
from collections.abc import Iterable, Sequence
from pathlib import Path

WHOLE_NAME = 120
"""Characters of a name that is never cut, such as a rung's for readers."""
MAX_LISTED = 20
"""Faults printed one by one; the rest are counted."""


REFUSALS = {
    errno.ENAMETOOLONG: (
        "the name of a file or folder is too long",
        "Names may have 255 bytes, paths 4,096. Use a shorter one.",
    ),
    errno.EMFILE: (
        "too many files are open at once",
        "Raise the limit of this process with `ulimit -n 1024`, or the least that works.",
    ),
    errno.ENFILE: ("too many files are open on this machine", "Close other programs."),
    errno.ENOMEM: ("memory ran out", "Close other programs, or use a larger machine."),
    errno.EAGAIN: (
        "no further thread or process could be started",
        "Close other programs, or raise the limits of this process (`ulimit -u`, `ulimit -v`).",
    ),
    errno.EBUSY: ("a file is in use by another program", "Close it there."),
    errno.EIO: ("the disk could not be read or written", "Look at the disk before you go on."),
    errno.EROFS: ("the disk is read-only", "Write elsewhere with --out."),
    errno.ENOSPC: ("the disk is full", "Free some space."),
    errno.EDQUOT: ("the quota on the disk is used up", "Free some space."),
    errno.EACCES: ("a file or folder may not be read or written", "Check its permissions."),
    errno.EPERM: ("a file or folder may not be changed", "Check its permissions."),
    errno.ESTALE: ("a file on a network disk was replaced", "Wait for the disk."),
    errno.ELOOP: ("links lead in a circle", "Remove one of them."),
}
"""Refusals of the system by error number: what is wrong, and what to do."""


class MedTransferError(Exception):
    """Root of everything a user can mend."""


class ConfigError(MedTransferError):
    """A setting that cannot be used."""


class TableError(MedTransferError):
    """A table that does not keep its contract."""


class ImageError(MedTransferError):
    """An image that cannot be read, or must not be."""


class WeightsError(MedTransferError):
    """Weights that are missing, altered, or belong to another network."""


class StudyError(MedTransferError):
    """A study or run folder that cannot be used, a full disk, a lost worker."""


class BundleError(MedTransferError):
    """A bundle that is damaged, of another version, expired, or cannot be made."""


def fault_list(
    title: str, faults: Sequence[str], advice: str = "", *, count: int | None = None
) -> str:
    """One message for all faults of a kind.

    Args:
        title: What cannot be used, e.g. ``Manifest "chest.csv" cannot be used``.
        faults: One sentence without a full stop per fault.
        advice: What to do about them, as a sentence.
        count: Number of faults, if `faults` holds only the first of millions.

    Returns:
        ``title: fault; fault. advice`` on one line for up to three short faults, else a list.
    """
    shown = list(faults[:MAX_LISTED])
    count = len(faults) if count is None else count
    if count > len(shown):
        shown.append(f"and {count - len(shown)} more")
    sentence = "; ".join(shown)
    one_line = f"{title}: {sentence}{'' if sentence.endswith('?') else '.'}"
    if len(shown) <= 3 and len(one_line) <= 300:
        return f"{one_line} {advice}".rstrip()
    lines = "".join(f"\n  - {fault}" for fault in shown)
    return f"{title}:{lines}" + (f"\n{advice}" if advice else "")


def listed(values: Iterable[object], limit: int = 8, width: int = 40) -> str:
    """Join values for a message: ``a, b, c`` and how many more there are.

    Args:
        values: To be joined.
        limit: Most values.
        width: Most characters of each.
    """
    items = [printable(value, width) for value in values]
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def printable(value: object, limit: int = 40) -> str:
    """A value as one short line of text without control characters.

    Cells of a table end up in messages on a terminal: an escape sequence in one must not.
    """
    text = "".join(letter if letter.isprintable() else "�" for letter in str(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shown(text: str) -> str:
    """A text of several lines without control characters but for line ends."""
    lines = text.split("\n")
    return "\n".join(printable(line, len(line)) for line in lines)


def suggestion(value: str, allowed: Iterable[str]) -> str:
    """``Did you mean 'x' or 'y'?`` for the closest allowed names, or nothing."""
    from difflib import get_close_matches

    names = {name.casefold(): name for name in allowed}
    close = [names[near] for near in get_close_matches(value.casefold(), names, n=2, cutoff=0.6)]
    return f"Did you mean {' or '.join(repr(name) for name in close)}?" if close else ""


def plural(count: int, noun: str) -> str:
    """``1 row``, ``2 rows``, ``12,408 rows``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1] + 'ies' if noun.endswith('y') else noun + 's'}"


def system_fault(error: BaseException) -> str | None:
    """Sentence on a refusal of the operating system; None for an error that is a bug.

    File names are not quoted, since they may identify a person.
    """
    match error:
        case MemoryError():
            number = errno.ENOMEM
        case RuntimeError() if "start new thread" in str(error):
            number = errno.EAGAIN
        case ImportError() if "allocate memory" in str(error) or "failed to map" in str(error):
            number = errno.ENOMEM
        case OSError() if error.errno in REFUSALS:
            number = error.errno or 0
        case _:
            return None
    reason, advice = REFUSALS[number]
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code.co_filename
        if "medtransfer" in Path(code).parts:
            place = f" (in {Path(code).name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return (
        f"The system refused: {reason}{place}. {advice} What was finished is kept; run the same "
        "command again."
    )
