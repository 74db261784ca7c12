"""One of several processes that train the bench's runs together; started by test_distributed.

Argument: a JSON file with the folders, and what to do, one after the other. Rank 0 writes what came
out beside it.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from tests.training.conftest import Bench, make_bench

from medtransfer.evaluation.inference import predict as predicting
from medtransfer.models.runtime import world
from medtransfer.training.distributed import is_sharded, join_world, shard_weights
from medtransfer.training.loop import StepReport, Stopped

IMAGES_AT_ONCE = 3
"""So that the tuning cases are several parts, the last of them smaller."""


def carry_out(bench: Bench, folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """One run, by one process or as one of several; what came out of it."""
    everyone = world()
    predicting.IMAGES_AT_ONCE = IMAGES_AT_ONCE
    classifier = bench.classifier(task.get("rung", "scratch/r14x0.5"))
    if task.get("spread") and everyone.size > 1:
        shard_weights(classifier.backbone, torch.device("cpu"), everyone)
        assert is_sharded(classifier)
    if everyone.rank == task.get("small_memory_at"):
        classifier.backbone.register_forward_pre_hook(_small)
    losses: list[float] = []

    def watch(report: StepReport) -> bool:
        losses.append(report.loss)
        if everyone.size > 1 and everyone.rank == task.get("dies_at") and report.step == 2:
            os._exit(9)
        # the last process alone is asked to stop, as by a signal that comes later to the others
        return everyone.rank == everyone.size - 1 and report.step == task.get("stop")

    changes = {"micro_batch": 2, "steps": 4, "checks": 2, "batch_size": 8} | task.get("changes", {})
    try:
        _, state = bench.fit(folder, classifier=classifier, watch=watch, mixup=0.3, **changes)
    except Stopped:
        return {"stopped": True, "losses": losses}
    return {
        "stopped": False,
        "losses": losses,
        "checks": [vars(check) for check in state.checks],
        "images": state.images,
        "micro_batch": state.micro_batch,
        "selected": state.selected,
        "logits": predicting.predict(classifier, bench.tuning).tolist(),
    }


def _small(backbone: torch.nn.Module, images: tuple) -> None:
    if backbone.training and len(images[0]) > 1:
        raise torch.OutOfMemoryError("CUDA out of memory")


def main() -> None:
    about = json.loads(Path(sys.argv[1]).read_text())
    everyone = join_world("cpu")
    bench = make_bench(Path(about["phantom"]), Path(about["bench"]))
    outcomes = [
        carry_out(bench, Path(about["out"]) / task.get("folder", str(number)), task)
        for number, task in enumerate(about["tasks"])
    ]
    if everyone.is_main:
        (Path(about["out"]) / "outcomes.json").write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main()
