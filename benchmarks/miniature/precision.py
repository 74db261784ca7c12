"""Effect of bfloat16 prediction on AUROC, on finished runs of one of the miniature's studies.

python benchmarks/miniature/precision.py STUDIES/miniature-dermatology r26x0.5

Run it where `rungs` is the folder that `pretrain.py` filled. Goal: 0.001. Exits with 1 if the goal
is missed.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from medtransfer.data.cases import build_cases
from medtransfer.data.images.cache import PixelCache
from medtransfer.data.images.scan import scan_images
from medtransfer.data.loader import CaseImages
from medtransfer.data.splits import assign_splits
from medtransfer.evaluation.inference.predict import predict, quick_score
from medtransfer.files import read_json
from medtransfer.models.classifier import build_classifier
from medtransfer.runs.config import Transfer
from medtransfer.runs.fine_tune import partition_cases
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.inputs import (
    cache_requests,
    input_spec,
    known_architecture,
    read_run_manifest,
)

GOAL = 0.001


def main() -> int:
    study, network = StudyFolder(Path(sys.argv[1])), sys.argv[2]
    changes: list[float] = []
    for run_id in study.run_ids():
        about = read_json(study.run(run_id).path / "run.json")
        if about["label_fraction"] == 1.0 and about["rung"].endswith(network):
            changes += changed(study, study.run(run_id), Transfer.model_validate(about["run"]))
    most = max(changes)
    print(f"AUROC changed by at most {most:.5f} in {len(changes)} comparisons (goal {GOAL})")
    return 0 if most <= GOAL else 1


def changed(study: StudyFolder, folder: RunFolder, run: Transfer) -> list[float]:
    """Change of AUROC on each cohort."""
    manifest = read_run_manifest(run.data)
    frame = assign_splits(manifest, run.data)
    facts = scan_images(manifest, run.data.pixel_limit, study.images)
    cases = build_cases(frame, run.data)
    spec = input_spec(run, known_architecture(run.model.rung), frame, facts)
    built = build_classifier(
        run.model,
        len(run.data.names),
        seed=run.seed,
        input_size=spec.crop,
        device=torch.device("cpu"),
        precision="float32",
    )
    (weights,) = folder.checkpoint.glob("selected-*/model.safetensors")
    built.classifier.load_state_dict(load_file(weights))
    tested = partition_cases(cases, frame, run).test
    pixels = PixelCache(cache_requests(run, spec, frame)[1].make(manifest, facts, study.cache))
    changes: list[float] = []
    for cohort, of_cohort in tested.items():
        areas: list[float] = []
        for precision in ("float32", "bfloat16"):
            built.classifier.precision = precision
            logits = predict(built.classifier, CaseImages(of_cohort, pixels, spec))
            areas.append(
                quick_score(of_cohort.targets, logits.astype(np.float64), run.data.task)[1]
                or np.nan
            )
        changes.append(abs(areas[1] - areas[0]))
        print(f"{run.model.rung} seed {run.seed}, {cohort}: {areas[0]:.5f}, {areas[1]:.5f}")
    return changes


if __name__ == "__main__":
    sys.exit(main())
