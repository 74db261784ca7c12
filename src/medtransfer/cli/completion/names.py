"""Names that the shell completes: rungs, metrics, public sets, folders of studies.

Each function is asked by the shell while a command is typed, so it reads no more than it must, and
a fault ends in no names instead of an error in the middle of a line.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

STUDIES = Path("studies")
STUDY_ENDINGS = (".yaml", ".yml")
TABLE_ENDINGS = (".csv", ".tsv", ".xlsx", ".parquet")
BUNDLE_ENDINGS = (".medt",)
MARK = "study.json"  # the folder's own module is slow to import
"""File that makes a folder one of a study."""


def complete_rungs(incomplete: str) -> list[str]:
    """Names of rungs, with those pre-trained in this folder.

    Args:
        incomplete: What has been typed.
    """
    from medtransfer.models.ladder import LADDER
    from medtransfer.models.own_rungs import OWN, own_names
    from medtransfer.models.rungs.field import FIELD

    return _starting(incomplete, [*LADDER, *FIELD, *(f"{OWN}/{name}" for name in own_names())])


def complete_metrics(incomplete: str) -> list[str]:
    """Names of metrics.

    Args:
        incomplete: What has been typed.
    """
    from medtransfer.metrics.catalog import CATALOG

    return _starting(incomplete, CATALOG)


def complete_sources(incomplete: str) -> list[str]:
    """Names of public sets that `import` reads.

    Args:
        incomplete: What has been typed.
    """
    from medtransfer.data.sources.catalog import SOURCES

    return _starting(incomplete, SOURCES)


def complete_studies(incomplete: str) -> list[str]:
    """Folders of studies, study files, and folders that may hold one.

    Args:
        incomplete: What has been typed; without a text, studies/ is looked into first.
    """
    return _places(incomplete, STUDY_ENDINGS)


def complete_studies_and_tables(incomplete: str) -> list[str]:
    """Folders of studies, and tables of predictions beside them; argument as above."""
    return _places(incomplete, TABLE_ENDINGS)


def complete_studies_and_bundles(incomplete: str) -> list[str]:
    """Folders of studies, and bundles made of them; argument as above."""
    return _places(incomplete, BUNDLE_ENDINGS)


def _places(incomplete: str, endings: tuple[str, ...]) -> list[str]:
    """Folders, and files with one of the endings, spelled from where the typed text begins."""
    typed = incomplete.rpartition("/")[0] + "/" if "/" in incomplete else ""
    names = [] if incomplete else [f"{STUDIES}/{name}" for name in _studies()]
    for entry in _entries(Path(typed or ".")):
        if entry.is_dir() or entry.suffix in endings:
            names.append(f"{typed}{entry.name}" + "/" * entry.is_dir())
    return _starting(incomplete, dict.fromkeys(names))


def _studies() -> Iterator[str]:
    """Folders of studies where `run` puts them."""
    for entry in _entries(STUDIES):
        if (entry / MARK).is_file():
            yield f"{entry.name}/"


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _entries(folder: Path) -> list[Path]:
    """Entries of a folder without hidden ones; none if it cannot be read."""
    with suppress(OSError, RuntimeError):  # RuntimeError: ~ of no user
        return sorted(e for e in folder.expanduser().iterdir() if e.name[:1] != ".")
    return []
