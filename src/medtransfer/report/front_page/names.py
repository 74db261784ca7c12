"""Names on the page: readable ones of rungs, and short ones of rungs and cohorts."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import polars as pl

from medtransfer.evaluation.comparison.choice.common_choice import CommonChoice
from medtransfer.models.ladder import LADDER
from medtransfer.models.rungs.start import COVARIATES, METADATA_ONLY, START_MARK
from medtransfer.report.content import ReportData, RungInfo
from medtransfer.report.text import short_names

RESNET = re.compile(r"r(\d+)x([\d.]+)(s?)(-bn)?")
NETWORKS = {
    "effnet-lite": "EfficientNet-Lite",
    "effnet-b": "EfficientNet-B",
    "mobilenetv": "MobileNetV",
}
"""Start of an architecture's name to the start of its readable name; its number follows."""
SCRATCH = "from scratch"
CHANGES = {COVARIATES: "clinical data", "group-dro": "group DRO"}
"""End of a changed rung's name to its words; others are read as they stand."""
MAX_READABLE = 50
"""Letters of a readable name."""


def readable_names(rungs: Sequence[RungInfo]) -> dict[str, str]:
    """Every rung's name on the page to its readable name; different names stay different.

    A rung that the ladder does not know, such as a run of another framework, keeps its name.
    """
    full = {info.name: info.full_name or info.name for info in rungs}
    names = {name: _readable(rung) for name, rung in full.items()}
    counts = Counter(names.values())
    names = {
        name: _readable(full[name], with_images=True) if counts[text] > 1 else text
        for name, text in names.items()
    }
    counts = Counter([*names.values(), *full])
    return {
        name: name if counts[text] > 1 and text != name else text for name, text in names.items()
    }


def _readable(rung: str, *, with_images: bool = False) -> str:
    if rung == METADATA_ONLY:
        return "Clinical data alone"
    base, _, start = rung.partition(START_MARK)
    if start and base in LADDER:
        network = _readable(base, with_images=with_images).removesuffix(")")
        return f"{network}, {CHANGES.get(start, start.replace('-', ' '))})"
    if rung not in LADDER:
        return rung
    entry = LADDER[rung]
    pretraining = SCRATCH if entry.is_random else entry.pretraining.partition(" at ")[0]
    if with_images and entry.images:
        pretraining += f" {_rounded(entry.images)}"
    return f"{network_name(entry.architecture.name)} ({pretraining})"


def _rounded(count: int) -> str:
    """``100k`` for 99,980, ``14.2M`` for 14,197,122."""
    if count >= 10**6:
        return f"{count / 10**6:.3g}M"
    return f"{count / 1000:.3g}k"


def network_name(architecture: str) -> str:
    """``ResNet-50 ×3`` for ``r50x3``; a name of no known family is left as it is."""
    if match := RESNET.fullmatch(architecture):
        depth, width, stem, twin = match.groups()
        wide = "" if float(width) == 1 else f" ×{width}"
        return f"ResNet-{depth}{wide}{' small stem' * bool(stem)}{', batch norm' * bool(twin)}"
    for start, readable in NETWORKS.items():
        if architecture.startswith(start):
            return readable + architecture.removeprefix(start)
    return architecture


def with_readable_names(data: ReportData) -> ReportData:
    """The same data, its rungs under readable names and its cohorts under short ones."""
    readable = readable_names(data.rung_infos)
    short = short_names(list(readable.values()), MAX_READABLE)
    return _with_names(data, {n: short[text] for n, text in readable.items()}, _cohorts(data))


def with_short_names(data: ReportData) -> ReportData:
    """The same data under names that fit the page; rungs keep their full names for one table."""
    return _with_names(data, short_names([rung.name for rung in data.rung_infos]), _cohorts(data))


def _cohorts(data: ReportData) -> dict[str, str]:
    """Every cohort's name to one that fits the page."""
    tested = data.results["cohort"].unique(maintain_order=True)
    return short_names([*tested, *(count.cohort for count in data.counts)])


def _with_rungs(choice: CommonChoice, rungs: Mapping[str, str]) -> CommonChoice:
    return replace(
        choice,
        same_runs=tuple((rungs.get(a, a), rungs.get(b, b)) for a, b in choice.same_runs),
        trained_once=tuple(rungs.get(rung, rung) for rung in choice.trained_once),
        controls=tuple(rungs.get(rung, rung) for rung in choice.controls),
    )


def _with_names(
    data: ReportData, rungs: Mapping[str, str], cohorts: Mapping[str, str]
) -> ReportData:
    """The same data, its rungs and cohorts under other names."""
    if all(short == name for name, short in [*rungs.items(), *cohorts.items()]):
        return data
    return replace(
        data,
        reference=rungs.get(data.reference, data.reference),
        chosen=None if data.chosen is None else rungs.get(data.chosen, data.chosen),
        common=None if data.common is None else _with_rungs(data.common, rungs),
        rung_infos=tuple(
            replace(rung, name=rungs[rung.name], full_name=rung.full_name or rung.name)
            for rung in data.rung_infos
        ),
        curves={kind: _renamed(frame, rungs, cohorts) for kind, frame in data.curves.items()},
        counts=tuple(
            replace(count, cohort=cohorts.get(count.cohort, count.cohort)) for count in data.counts
        ),
        **{  # every table, so that one added later is not forgotten
            name: _renamed(value, rungs, cohorts)
            for name, value in vars(data).items()
            if isinstance(value, pl.DataFrame) and name in _FIELDS
        },
    )


_FIELDS = {field.name for field in fields(ReportData)}


def _renamed(
    frame: pl.DataFrame, rungs: Mapping[str, str], cohorts: Mapping[str, str]
) -> pl.DataFrame:
    maps = {"rung": rungs, "reference": rungs}
    maps |= {"cohort": cohorts, "held_out": cohorts}
    return frame.with_columns(
        pl.col(name).cast(pl.String).replace(dict(names))
        for name, names in maps.items()
        if name in frame.columns and names
    )
