"""A bundle made by hand, without a study: every number in it is chosen."""

from pathlib import Path
from typing import Any

import numpy as np

from medtransfer.data.config import Task
from medtransfer.deploy.bundle.facts.targets import (
    CalibratorFacts,
    PromisedNumber,
    SetFacts,
    TargetFacts,
)
from medtransfer.deploy.bundle.reader import (
    CARD,
    PROMISED,
    TRAINING,
    Bundle,
    array_bytes,
    detectors_name,
    weights_name,
    write_bundle,
)
from medtransfer.deploy.bundle.schema import (
    ArchitectureFacts,
    BundleFacts,
    DeferralRule,
    DetectorFacts,
    InputFacts,
    LicenceFacts,
    NetworkFacts,
    TrainingFacts,
)
from medtransfer.deploy.bundle.training_digests import (
    digest_table,
    image_digests,
    patient_digests,
)

SALT = "ab" * 32
CASES = 12
TRAINED_PATIENTS = ("p1", "p2")
TRAINED_IMAGES = ("11" * 32, "22" * 32)


def target(name: str = "x", **changes: Any) -> TargetFacts:
    fields: dict[str, Any] = {
        "name": name,
        "uncertain": "ignore",
        "empty": "ignore",
        "prevalence": 0.25,
        "thresholds": {"sens90": 0.4},
        "calibrators": (
            CalibratorFacts("temperature", {"temperature": (2.0,)}),
            CalibratorFacts("platt", {"slope": (1.5,), "intercept": (-0.5,)}),
            CalibratorFacts("isotonic", {"knots": (-1.0, 1.0), "levels": (0.1, 0.9)}),
        ),
        "calibrator": "temperature",
        "sets": (
            SetFacts("split", 0.1, "lac", 0.01, 5, "all", ("all",), (0.7,), (40,)),
            SetFacts("class", 0.1, "lac", 0.01, 5, "class", ("0", "1"), (0.6, None), (30, 8)),
        ),
        "missing": {},
    }
    return TargetFacts(**(fields | changes))


def facts(task: Task = "binary", names: tuple[str, ...] = ("x",), **changes: Any) -> BundleFacts:
    fields: dict[str, Any] = {
        "schema_version": 1,
        "medtransfer": "0.2.0",
        "name": "by hand",
        "task": task,
        "class_column": "label" if task == "single-label" else None,
        "targets": tuple(target(name) for name in names),
        "case": target("case") if task == "single-label" else None,
        "network": NetworkFacts(
            "scratch/r14x0.5",
            ArchitectureFacts("r14x0.5", "", 1024, 64, False, (1, 1, 1, 1), 0.5, 32, "bit"),
            "mean",
            "float32",
            "full",
            2_008_353,
        ),
        "members": 1,
        "input": InputFacts(
            "Pillow",
            "dicom 1",
            1_000_000,
            (),
            32,
            "bilinear",
            "raw",
            0,
            (0.5, 0.5, 0.5),
            (0.5, 0.5, 0.5),
        ),
        "detectors": (DetectorFacts("energy", 1.0, 0.95),),
        "deferral": DeferralRule(),
        "promises": (PromisedNumber("test", "a", names[0], "auroc", 0.8, 0.7, 0.9, 6, 6, 2, None),),
        "training": TrainingFacts(
            study="by hand",
            run_ids=("a" * 12,),
            seeds=(0,),
            label_fraction=1.0,
            cohorts=("a",),
            test_cohorts=("a", "b"),
            images_per_case=1,
            train_cases=9,
            train_patients=9,
            tune_cases=4,
            tune_patients=4,
            salt=SALT,
            has_patients=True,
            why="it is",
        ),
        "licences": (LicenceFacts("weights", "none"),),
        "margin": 0.05,
    }
    return BundleFacts(**(fields | changes))


def entries(of: BundleFacts) -> dict[str, bytes]:
    """Entries that fit some facts; the weights are those of no network."""
    rng = np.random.default_rng(0)
    promised = {
        "logits": rng.normal(size=(of.members, CASES, len(of.targets))),
        "targets": rng.integers(0, 2, (CASES, len(of.targets))).astype(np.float64),
        "patient": np.arange(CASES, dtype=np.int64),
        "cohort": np.repeat(np.array([0, 1], dtype=np.int64), CASES // 2),
        "is_test": np.arange(CASES) >= 3,
        "ood": rng.normal(size=(CASES, len(of.detectors))),
    }
    key = bytes.fromhex(SALT)
    digests = {
        "images": digest_table(image_digests(TRAINED_IMAGES, key)),
        "patients": digest_table(patient_digests(TRAINED_PATIENTS, key)),
    }
    content = {PROMISED: array_bytes(promised), TRAINING: array_bytes(digests), CARD: b"# card\n"}
    for member in range(of.members):
        content[weights_name(member)] = array_bytes({"w": np.zeros(3)})
        content[detectors_name(member)] = array_bytes({})
    return content


def write_by_hand(
    path: Path, of: BundleFacts | None = None, changed: dict[str, bytes] | None = None
) -> Bundle:
    of = of or facts()
    return write_bundle(path, of, entries(of) | (changed or {}))
