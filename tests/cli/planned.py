"""Planned runs without a study behind them."""

from pathlib import Path

import polars as pl

from medtransfer.data.config import DataConfig
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.models.config import ModelConfig
from medtransfer.runs.config import Transfer
from medtransfer.runs.tested.cases import PredictedCases
from medtransfer.study.grid import Cell
from medtransfer.study.plan import PlannedRun

EMPTY = pl.DataFrame(
    schema=dict.fromkeys(("cohort", "case_id", "image_id", "split", "sha256"), pl.String)
)


def planned_runs() -> list[PlannedRun]:
    data = DataConfig.model_validate(
        {"manifest": Path("m.csv"), "task": "binary", "targets": ["y"]}
    )
    return [
        PlannedRun(
            f"{n:012x}",
            Cell(GridKey(rung), 0, Transfer(data=data, model=ModelConfig(rung=rung))),
            (),
            60,
            1920,
            100,
            PredictedCases(EMPTY, EMPTY, data),
        )
        for n, rung in enumerate(("scratch/r14x0.5", "imagenet/effnet-lite0"))
    ]
