"""Negative controls: rungs that should fail, and what it means where they do not."""

import polars as pl

from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.models.rungs.start import Control, control_of
from medtransfer.tables.results import ALL

CHANCE = 0.5
MEANINGS: dict[Control, str] = {
    "shuffled-labels": "a network without labels must not know them: training or test cases leak, "
    "or the split is not by patient",
    "border-only": "the borders of the images tell the target: markers, collimation or padding may "
    "be what every rung reads",
    "patch-shuffled": "texture and brightness tell the target without the anatomy's arrangement, "
    "so a high AUROC of a rung does not show that it sees a finding",
}


def control_cautions(results: pl.DataFrame) -> list[str]:
    """A sentence for each control and cohort whose AUROC is above chance with its whole interval.

    Args:
        results: The results table of a study, with means over seeds.
    """
    rows = results.filter(
        pl.col("run_id").is_null()
        & (pl.col("metric") == HEADLINE)
        & (pl.col("attribute") == ALL)
        & (pl.col("low") > CHANCE)
    )
    rows = rows.filter(pl.col("label_fraction") == pl.col("label_fraction").max().over("rung"))
    sentences: list[str] = []
    for row in rows.sort("rung", "cohort", "target").iter_rows(named=True):
        control = control_of(str(row["rung"]))
        if control is not None:
            sentences.append(
                f"Negative control {row['rung']} does not fail on {row['cohort']} "
                f"({row['target']}): AUROC {row['value']:.2f} "
                f"[{row['low']:.2f}, {row['high']:.2f}]. Read it so: {MEANINGS[control]}."
            )
    return sentences
