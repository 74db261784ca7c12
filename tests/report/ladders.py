"""Ladders of known truth, and the folder of an evaluation of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tests.prediction_tables import Site, binary_table, class_table

from medtransfer.data.config import Task
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.ladder import LadderTables, compare_runs
from medtransfer.evaluation.comparison.scaling import RungFacts
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.files import write_json
from medtransfer.seeds import generator
from medtransfer.tables.results import write_curve_tables, write_results
from medtransfer.tables.schema import write_frame

HOME, AWAY = "north", "south"
SITES = {
    HOME: Site({"tune": 80, "test": 160}, separation=2.0, lost=0.3, each=2),
    AWAY: Site({"test": 120}, separation=1.6, lost=0.3, prevalence=0.3),
}
SMALL, LARGE = "scratch/r14x1", "bit-m/r50x1"
NOISE = {SMALL: 3.0, LARGE: 0.5}
"""Rung to the standard deviation of what it adds to the logits: more is worse."""
QUICK = EvaluationConfig(replicates=100, permutations=50, minimum_group=10)


@dataclass(frozen=True)
class Ladder:
    """Settings of an evaluation."""

    task: Task = "binary"
    targets: tuple[str, ...] = ("edema",)
    noise: Mapping[str, float] = field(default_factory=lambda: NOISE)
    fractions: tuple[float, ...] = (1.0,)
    seeds: tuple[int, ...] = (0,)
    retrained: tuple[float, ...] = ()
    sites: Mapping[str, Site] = field(default_factory=lambda: SITES)
    attributes: tuple[str, ...] = ("sex", "age")
    config: EvaluationConfig = QUICK
    facts: tuple[RungFacts, ...] = ()

    @property
    def truth(self) -> pl.DataFrame:
        """The table of a network without noise."""
        if self.task == "single-label":
            return class_table(dict(self.sites), classes=self.targets, seed=5)
        return binary_table(dict(self.sites), targets=self.targets, seed=5)

    @property
    def runs(self) -> list[LadderRun]:
        """A run for each rung, fraction and seed, then those trained again on other cases."""
        truth = self.truth
        places = [(fraction, None) for fraction in sorted(self.fractions, reverse=True)]
        places += [(1.0, share) for share in self.retrained]
        return [
            self._run(truth, rung, fraction, share, seed)
            for rung in self.noise
            for fraction, share in places
            for seed in self.seeds
        ]

    def _run(
        self, truth: pl.DataFrame, rung: str, fraction: float, share: float | None, seed: int
    ) -> LadderRun:
        rng = generator(seed, rung, str(fraction), str(share))
        wide = self.noise[rung] / fraction**0.3 / (1 + (share or 0))
        noisy = {
            name: truth[name] + rng.normal(0, wide, len(truth))
            for name in truth.columns
            if name.startswith("logit_")
        }
        run_id = f"{rung}-{fraction:g}-{share}-{seed}"
        frame = truth.with_columns(run_id=pl.lit(run_id), **noisy)
        return LadderRun(run_id, GridKey(rung, fraction, None, share), seed, lambda: frame)

    def tabulated(self) -> LadderTables:
        """Its tables."""
        attributes = attributes_of(self.truth, self.attributes)
        return compare_runs(
            self.runs,
            attributes,
            self.task,
            self.config,
            reference=next(iter(self.noise)),
            facts=self.facts,
        )


def attributes_of(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """`sex`: two groups; `age`: three, one of them of very few cases."""
    number = np.array(frame["patient_id"].str.extract(r"(\d+)$").cast(pl.Int64).to_list())
    columns = {
        "sex": np.where(number % 2 == 0, "F", "M"),
        "age": np.where(number % 100 == 99, "over 90", np.where(number % 3 == 0, "to 60", "60–90")),
    }
    return pl.DataFrame({"case_id": frame["case_id"], **{name: columns[name] for name in names}})


def counts_of(ladder: Ladder) -> list[dict[str, Any]]:
    """Numbers of cases and patients, one row per cohort and split."""
    return [
        {
            "cohort": cases["cohort"][0],
            "split": cases["split"][0],
            "cases": len(cases),
            "patients": cases["patient_id"].n_unique(),
            "positive": {t: int((cases[f"target_{t}"] == 1).sum()) for t in ladder.targets},
        }
        for cases in ladder.truth.partition_by("cohort", "split", maintain_order=True)
    ]


def write_evaluation(
    ladder: Ladder, folder: Path, name: str = "chest", tables: LadderTables | None = None
) -> Path:
    """Write the files that `medtransfer evaluate` writes.

    Args:
        ladder: What was evaluated.
        folder: For the files.
        name: Of the evaluation.
        tables: Its tables; made here by default.
    """
    tables = tables or ladder.tabulated()
    write_results(tables.results, folder / "results.parquet")
    write_frame(tables.comparisons, folder / "comparisons.parquet")
    write_curve_tables(tables.curves, folder / "curves")
    write_json(
        folder / "evaluation.json",
        {
            "name": name,
            "task": ladder.task,
            "targets": list(ladder.targets),
            "reference": next(iter(ladder.noise)),
            "rungs": list(ladder.noise),
            "config": ladder.config.model_dump(mode="json"),
            "attributes": list(ladder.attributes),
            "said": ["Column 'score' was taken as a probability: all values are between 0 and 1."],
            "counts": counts_of(ladder),
            "versions": {"medtransfer": "0.1.0"},
        },
    )
    return folder
