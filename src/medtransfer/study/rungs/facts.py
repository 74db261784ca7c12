"""Scale of a study's rungs: size of the network, and of what it was pre-trained on."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from medtransfer.errors import ConfigError
from medtransfer.evaluation.comparison.scaling import RungFacts
from medtransfer.models.ladder import find_rung
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.plan import PlannedRun


def study_facts(study: Study, folder: StudyFolder, done: Sequence[PlannedRun]) -> list[RungFacts]:
    """Scale facts of a study's rungs; those that the study states come first.

    The size of a network that the ladder does not know is that of its finished runs.
    """
    sizes = {run.cell.rung: folder.run(run.run_id).cost().parameters for run in done}
    facts: list[RungFacts] = []
    for entry in study.rungs:
        for scale in known_facts([entry.rung]):
            size = scale.parameters
            if not np.isfinite(size):
                size = float(sizes.get(entry.rung) or "nan")
            images = scale.images if entry.images is None else entry.images
            name = entry.pretraining or scale.pretraining
            facts.append(replace(scale, parameters=size, images=images, pretraining=name))
    return facts


def known_facts(names: Iterable[str]) -> list[RungFacts]:
    """Scale facts of rungs in the ladder; other names are left out."""
    facts: list[RungFacts] = []
    for name in names:
        with contextlib.suppress(ConfigError):
            facts.append(_facts(name))
    return facts


def _facts(name: str) -> RungFacts:
    """Scale facts of a rung in the ladder; a rung from scratch has seen no image."""
    rung = find_rung(name)
    images = 0 if rung.is_random else rung.images
    return RungFacts(
        name,
        float(rung.architecture.parameters or "nan"),
        float("nan") if images is None else float(images),
        rung.architecture.name,
        rung.pretraining,
    )
