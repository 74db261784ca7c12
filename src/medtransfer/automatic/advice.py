"""Advice after an automatic study: the rung to deploy, the reason, and the next commands."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from medtransfer.errors import StudyError
from medtransfer.evaluation.comparison.choice.rule import Recommendation
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.selection.decisions import Decision, Decisions


@dataclass(frozen=True)
class Advice:
    """Rung to deploy after an automatic study.

    Attributes:
        rung: Its name.
        mode: `linear` for a linear probe, `full` for fine-tuning.
        is_recommended: True if the test cases recommend it; otherwise it was first on the tuning
            split, and no finalist is shown to be better.
        reason: Why, in sentences.
        commands: Next commands.
    """

    rung: str
    mode: str
    is_recommended: bool
    reason: str
    commands: tuple[str, ...]

    def plain(self) -> dict[str, object]:
        """The advice as a JSON object."""
        return asdict(self)


def make_advice(folder: StudyFolder, recommendation: Recommendation) -> Advice:
    """Advise the recommended rung, else the one that was first on the tuning split.

    Args:
        folder: Of the automatic study.
        recommendation: Of its finalists.

    Raises:
        StudyError: The folder holds no automatic study that was decided.
    """
    final = Decisions(folder).find("finalists")
    if final is None:
        raise StudyError(f'"{folder.path}" holds no automatic study whose finalists are decided.')
    modes = final.modes or {}
    rung = recommendation.rung or final.kept[0]
    reason = recommendation.sentence
    if recommendation.rung is None:
        reason = f"{reason} {_tuning_reason(final, modes)}"
    place = shlex.quote(str(folder.path))
    # without a recommendation `export` has to be told which
    named = "" if recommendation.rung else f" --rung {shlex.quote(rung)}"
    return Advice(
        rung=rung,
        mode=modes[rung],
        is_recommended=recommendation.rung is not None,
        reason=reason,
        commands=(
            f"medtransfer report {place} --for clinic",
            f"medtransfer export {place} -o {shlex.quote(folder.path.name)}.medt{named}",
        ),
    )


def _tuning_reason(final: Decision, modes: Mapping[str, str]) -> str:
    """Sentence on the finalist that was first on the tuning split."""
    first, *others = final.kept
    scores = [final.tune_auroc[f"{rung} {modes[rung]}"] for rung in final.kept]
    if not others:
        return f"{first} is the only rung that was trained to its end."
    return (
        f"On the tuning split {first} was first, with AUROC {scores[0]:.3f} against "
        f"{scores[1]:.3f} of {others[0]}: take it unless size or speed speak for the other."
    )
