"""Base of an automatic study: the study that its stages are made from."""

from collections.abc import Sequence
from dataclasses import dataclass

from medtransfer.errors import StudyError
from medtransfer.models.ladder import find_rung
from medtransfer.study.config import Study
from medtransfer.study.drafting.draft import Draft, drafted_settings
from medtransfer.study.drafting.fingerprint import Fingerprint
from medtransfer.study.drafting.rules import (
    SHORT_SIDES,
    Derived,
    Length,
    Sides,
    choose_flips,
    choose_length,
    choose_margin,
    choose_points,
    choose_sides,
    choose_sides_for_time,
    choose_weights,
)
from medtransfer.study.planning.rules import (
    EFFICIENCY,
    FORWARD,
    UNKNOWN_PARAMETERS,
    images_per_second,
)

WORK_SHARE = 0.6
"""Share of the time that the work may take by rule, which resolution is chosen for."""
UNUSED = ("seeds", "label_fractions", "shots", "retrain_fractions", "sweep", "axes", "controls")
"""Settings of a study file that an automatic study has no use for."""


@dataclass(frozen=True)
class SettingNote:
    """A setting of the base with the rule that gave it.

    Attributes:
        setting: Dotted path.
        value: As text.
        note: Basis, rule and reason.
    """

    setting: str
    value: str
    note: str


@dataclass(frozen=True)
class Base:
    """Base of an automatic study.

    Attributes:
        study: Its settings; the rungs are all that can be tried.
        facts: The fingerprint in one sentence; empty for a study file.
        notes: Settings that were derived.
        ignored: Settings of a study file that have no part in it.
    """

    study: Study
    facts: str
    notes: tuple[SettingNote, ...]
    ignored: tuple[str, ...] = ()


def base_of_study(study: Study, rungs: Sequence[str]) -> Base:
    """The base of a study file, whose settings stand.

    Args:
        study: From `read_study`.
        rungs: That can be tried.

    Raises:
        StudyError: It leaves cohorts out in turn, and has no one tuning split to select on.
    """
    if study.leave_cohort_out:
        raise StudyError(
            "leave_cohort_out has a tuning split for each cohort, and an automatic study selects "
            "on one. Name data.split.train_cohorts instead."
        )
    ignored = tuple(name for name in UNUSED if name in study.model_fields_set)
    fields = {name: getattr(study, name) for name in study.model_fields_set if name not in UNUSED}
    entries = {entry.rung: entry for entry in study.rungs}
    fields["rungs"] = [entries.get(rung, rung) for rung in rungs]
    fields.pop("reference", None)
    return Base(Study.model_validate(fields), "", (), ignored)


def base_of_draft(draft: Draft, name: str, rungs: Sequence[str], seconds: float) -> Base:
    """The base of a manifest: every setting by a rule.

    Args:
        draft: Findings in the manifest.
        name: Of the study.
        rungs: That can be tried.
        seconds: That the study may take.
    """
    facts = draft.fingerprint
    data = drafted_settings(draft)
    train_cases = round(facts.train_cases * facts.share_of(data.split))
    length = choose_length(train_cases, facts.machine)
    labels = facts.trained_labels(draft.targets)
    sides = _sides(facts, length.value, rungs, seconds)
    flips, margin = choose_flips(facts.side_columns), choose_margin()
    weights = choose_weights(labels, facts.train_cases, length.value.batch)
    points = choose_points(labels, data.split)
    resize, crop = sides.value.resize, sides.value.crop
    base = Study.model_validate(
        {
            "name": name,
            "data": {
                **data.model_dump(exclude_unset=True),
                "image_root": draft.image_root,
                "image": {"resize": resize, "crop": crop, "flip": flips.value},
            },
            "rungs": list(rungs),
            "training": {
                "batch_size": length.value.batch,
                "learning_rate": length.value.rate,
                "steps": length.value.steps,
                **({} if weights.value == "none" else {"loss": {"weights": weights.value}}),
            },
            "evaluation": {"operating_points": points.value, "margin": margin.value},
        }
    )
    schedule = f"{length.value.steps} steps of {length.value.batch} at rate {length.value.rate:g}"
    notes = (
        SettingNote("data.image.crop", str(crop or "by the rule"), sides.note),
        SettingNote("data.image.flip", flips.value, flips.note),
        SettingNote("training.steps", schedule, length.note),
        SettingNote("training.loss.weights", weights.value, weights.note),
        SettingNote("evaluation.operating_points", ", ".join(points.value), points.note),
        SettingNote("evaluation.margin", f"{margin.value:g}", margin.note),
    )
    return Base(base, facts.sentence, notes)


def _sides(
    facts: Fingerprint, length: Length, rungs: Sequence[str], seconds: float
) -> Derived[Sides]:
    """Resolution; on a CPU by the time as well."""
    if facts.machine.gpus:
        return choose_sides(facts.sizes, facts.machine)
    work = {crop: work_seconds(facts, length, rungs, crop) for _, crop in SHORT_SIDES}
    return choose_sides_for_time(work, WORK_SHARE * seconds)


def work_seconds(facts: Fingerprint, length: Length, rungs: Sequence[str], side: int) -> float:
    """Seconds of all linear probes and of two fine-tuned rungs, by the rule for CPUs.

    Args:
        facts: Fingerprint.
        length: Of the schedule.
        rungs: That are probed; the two smallest count as fine-tuned.
        side: Of the network's input.
    """
    sizes = sorted(find_rung(rung).architecture.parameters or UNKNOWN_PARAMETERS for rung in rungs)
    area = (side / 224) ** 2
    speeds = [
        EFFICIENCY.middle * images_per_second(size, area, facts.machine.cores) for size in sizes
    ]
    probes = sum(facts.images / (FORWARD * speed) for speed in speeds)
    per_case = facts.images / max(1, facts.cases)
    trained = length.steps * length.batch * per_case
    return probes + sum(trained / speed for speed in speeds[:2])
