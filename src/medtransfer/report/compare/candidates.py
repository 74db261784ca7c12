"""Rungs of several studies that may be recommended."""

from collections.abc import Sequence

from medtransfer.evaluation.comparison.choice.common_choice import CommonChoice
from medtransfer.models.rungs.start import control_of
from medtransfer.report.compare.side import Side


def common_choice(sides: Sequence[Side]) -> CommonChoice:
    """Circumstances of a choice between the rungs of some sides, which are named apart."""
    runs = {
        str(rung): (side, frozenset(rows["run_id"].str.replace(r"^\d+-", "")))
        for side in sides
        for (rung,), rows in side.frame.group_by("rung", maintain_order=True)
    }
    same = dict(_same_runs(runs))
    several = any(len(ids) > 1 for _, ids in runs.values())
    patients = {(frozenset(side.trained), side.label_fraction) for side in sides}
    return CommonChoice(
        same_runs=tuple(same.items()),
        trained_once=tuple(
            rung
            for rung, (_, ids) in runs.items()
            if several and len(ids) == 1 and rung not in same
        ),
        controls=tuple(
            rung
            for rung, (side, _) in runs.items()
            if control_of(rung.removesuffix(f" ({side.name})")) is not None and rung not in same
        ),
        trained_apart=len(patients) > 1 or not all(side.knows_training for side in sides),
    )


def _same_runs(runs: dict[str, tuple[Side, frozenset[str]]]) -> list[tuple[str, str]]:
    """Rungs whose runs an earlier study has too, with the rung there."""
    first: dict[frozenset[str], str] = {}
    same: list[tuple[str, str]] = []
    for rung, (side, ids) in runs.items():
        if side.run_ids and ids in first:
            same.append((rung, first[ids]))
        elif side.run_ids:
            first[ids] = rung
    return same
