"""Check for test cohorts of public sets that a rung has seen, as the study states. No torch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import polars as pl

from medtransfer.data.audit.findings import Finding, finding_for_rows
from medtransfer.data.sources.catalog import SOURCES
from medtransfer.errors import plural

CODE = "A023"


def seen_test_sets(
    seen: Mapping[str, Sequence[str]], frames: Iterable[pl.DataFrame]
) -> Iterator[Finding]:
    """Test cohorts whose names are those of sets that a rung has seen.

    A cohort is known by its name alone: `medtransfer import` gives it that of the set.

    Args:
        seen: Sets by rung, from the ladder and the study.
        frames: Rows of the manifest with their splits, for each way in which the study divides
            them.
    """
    if not any(seen.values()):
        return
    for frame in frames:
        tested = frame.filter(pl.col("split") == "test")
        for cohort in tested["cohort"].unique().sort().to_list():
            for rung, names in seen.items():
                shared = [name for name in names if is_set(cohort, name)]
                if shared:
                    rows = tested.filter(pl.col("cohort") == cohort)
                    images = plural(rows["image_id"].n_unique(), "image")
                    sentence = (
                        f"cohort '{cohort}' ({images} tested on) is of {shared[0]}, which rung "
                        f"'{rung}' has seen"
                    )
                    yield finding_for_rows(CODE, sentence, rows)


def is_set(cohort: str, name: str) -> bool:
    """True if a cohort's name is that of a public set: the same words, or the most of its kind."""
    words = set(_words(cohort))
    ranks = {source: len(words & set(_words(source))) for source in SOURCES}
    first = _words(name)[0]
    kin = [source for source in SOURCES if _words(source)[0] == first]
    return first in words and ranks[name] == max(ranks[source] for source in kin)


def _words(name: str) -> list[str]:
    return "".join(c.lower() if c.isalnum() else " " for c in name).split()
