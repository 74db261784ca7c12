"""Decisions of the stages of an automatic study in words."""

from collections.abc import Mapping, Sequence

from medtransfer.errors import listed, plural
from medtransfer.study.planning.speeds import rough_time
from medtransfer.study.selection.halving import Race


def scores_text(scores: Mapping[str, float | None], kept: Sequence[str]) -> str:
    """Tuning AUROC of the rungs that go on, and the number of the others."""
    texts = [f"{rung} {scores[rung]:.3f}" for rung in kept if scores.get(rung) is not None]
    others = len(scores) - len(texts)
    rest = f"; {plural(others, 'other')} dropped" if others else ""
    return f"tuning AUROC {', '.join(texts)}{rest}" if texts else "no number"


def race_text(race: Race, left: float) -> str:
    """Plan of fine-tuning in a sentence."""
    if not race.entrants:
        return (
            f"No fine-tuning: it takes about {rough_time(race.seconds)} at least, and "
            f"{rough_time(max(0.0, left))} are left. The linear probes decide."
        )
    return (
        f"Fine-tuning of {listed(race.entrants)}, {race.seeds} seeds of the finalists: at most "
        f"{rough_time(race.seconds)} of {rough_time(left)}."
    )


def mode_text(mode: str) -> str:
    """Mode of tuning in words."""
    return "linear probe" if mode == "linear" else "fine-tuned"
