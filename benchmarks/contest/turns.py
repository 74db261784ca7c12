"""Shared parts of the contenders of training.py: cases and turns. Not a script."""

import sys
import time
from dataclasses import dataclass
from typing import Any

import torch

from medtransfer.models.classifier import build_classifier
from medtransfer.models.config import ModelConfig

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Case:
    """A network at one input size.

    A step has `batch` cases and a turn `steps` timed steps; `predicted` images are predicted after
    `learned` steps of training.
    """

    rung: str
    crop: int
    batch: int
    steps: int
    predicted: int = 0
    learned: int = 0

    @property
    def timm(self) -> str:
        """Name of the network in timm."""
        from medtransfer.models.ladder import find_rung

        return find_rung(self.rung).architecture.timm

    @property
    def resize(self) -> int:
        """Side before the random crop."""
        return self.crop * 8 // 7


CASES = {
    "r50x1-64": Case("scratch/r50x1", 64, 32, 6, 512, 300),
    "r50x1-128": Case("scratch/r50x1", 128, 16, 4),
    "r50x1-224": Case("scratch/r50x1", 224, 8, 3, 256, 100),
    "vit-s-224": Case("scratch/timm:vit_small_patch16_224", 224, 8, 3),
}


class Turns:
    """Steps grouped into turns; between turns the process waits for a signal."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.more = ""
        self._steps = case.steps
        self._started = 0.0
        self._worked = 0.0

    def step_done(self) -> None:
        """Count a training step; the first of a turn is not timed."""
        self._steps += 1
        if self._steps == 1:
            self._started, self._worked = time.perf_counter(), time.process_time()
        if self._steps > self.case.steps:
            if self._started:
                images = self.case.steps * self.case.batch
                rate = images / (time.perf_counter() - self._started)
                work = 1000 * (time.process_time() - self._worked) / images
                self.say(f"rate {rate} work {work}")
            else:
                self.say("ready 1")
            self._steps = 0

    def say(self, words: str) -> None:
        """Print a report and wait for the next turn."""
        print(f"#{words} {self.more}", flush=True)
        if not sys.stdin.readline():
            sys.exit()


def built(case: Case) -> Any:
    model = ModelConfig(rung=case.rung)
    found = build_classifier(model, 2, seed=0, device=CPU, input_size=case.crop)
    return found.classifier
