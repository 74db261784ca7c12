"""Names that the shell completes: rungs, metrics, public sets, folders of studies.

Each function is asked by the shell while a command is typed, so it reads no more than it must, and
a fault ends in no names instead of an error in the middle of a line.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

STUDIES = Path("studies")
STUDY_ENDINGS = (".yaml", ".yml")
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
    places = [] if incomplete else [p for p in _entries(STUDIES) if (p / MARK).is_file()]
    typed = Path(incomplete)
    around = typed if incomplete.endswith("/") else typed.parent
    places += [place for place in _entries(around) if _leads_to_a_study(place)]
    names = dict.fromkeys(str(place) + "/" * place.is_dir() for place in places)
    return _starting(incomplete, names)


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _entries(folder: Path) -> Iterator[Path]:
    """Entries of a folder without hidden ones; none if it cannot be read."""
    try:
        yield from sorted(entry for entry in folder.iterdir() if entry.name[:1] != ".")
    except OSError:
        return


def _leads_to_a_study(place: Path) -> bool:
    return place.is_dir() or place.suffix in STUDY_ENDINGS
