"""Write the miniature's page and its table of results from its studies.

python benchmarks/miniature/tables.py RUNGS STUDIES benchmarks/miniature
"""

import json
import sys
from pathlib import Path

import polars as pl

from medtransfer.recipes.miniature import SCALES, TARGETS, WIDTHS
from medtransfer.tables.schema import write_frame

ASKED = {
    "auroc": "AUROC",
    "auroc_drop": "AUROC drop at the other site",
    "labels_saved": "labels saved",
    "auroc_worst_group": "AUROC of the worst group",
    "auroc_gap": "AUROC gap between groups",
    "ece_scaled": "ECE after scaling",
    "nll": "NLL",
    "aurc": "area under risk–coverage",
    "ood_auroc": "AUROC of noticing the other site",
}
LOGIT_DETECTORS = ("energy", "gen", "max_logit", "max_probability", "residual", "she")
"""Excluded from the page, but in the table of results."""
DETECTORS = ("knn", "mahalanobis")
"""Detectors on the page among the effects of scale."""
EFFECTS = ("network", "data", "interaction")


def number(row: dict[str, float | str | None]) -> str:
    """A value with its interval, or the reason why it is undefined."""
    if row["value"] is None:
        return f"– ({row['reason']})" if row["reason"] else "–"
    if row["low"] is None:
        return f"{row['value']:.3f}"
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def table(frame: pl.DataFrame, down: str, across: str) -> list[str]:
    """Markdown table of values."""
    heads = frame[across].unique(maintain_order=True).to_list()
    lines = [
        f"| {down} | " + " | ".join(str(h) for h in heads) + " |",
        "| --- " * (len(heads) + 1) + "|",
    ]
    for (name,), rows in frame.group_by(down, maintain_order=True):
        cells = {row[across]: number(row) for row in rows.iter_rows(named=True)}
        lines.append(f"| {name} | " + " | ".join(cells.get(head, "–") for head in heads) + " |")
    return [*lines, ""]


def study_part(name: str, results: pl.DataFrame) -> list[str]:
    """AUROC of one study by cohort and label fraction, and the effects of scale."""
    whole = results.filter(
        pl.col("run_id").is_null(), pl.col("split") == "test", pl.col("group") == "all"
    )
    targets = whole.filter(metric="auroc")["target"].unique().sort().to_list()
    head = "macro" if "macro" in targets else targets[0]
    whole = whole.filter(target=head).sort("rung", "label_fraction")
    lines = [f"### {name}", ""]
    for cohort in whole["cohort"].unique().sort():
        own = whole.filter(
            pl.col("cohort") == cohort, pl.col("metric") == "auroc", pl.col("rung") != "all"
        )
        if own.is_empty():
            continue
        lines += [f"AUROC on `{cohort}` by share of the training labels:", ""]
        lines += table(own, "rung", "label_fraction")
    return [*lines, *effects(results, head)]


def effects(results: pl.DataFrame, head: str) -> list[str]:
    """Effects of scale with all labels, for the five questions and for every group."""
    found = results.filter(
        pl.col("run_id").is_null(),
        pl.col("rung") == "all",
        pl.col("label_fraction") == 1.0,
        pl.col("metric").str.contains("_scale_"),
        pl.col("target").is_in([head, "case", *DETECTORS]),
    )
    found = found.with_columns(
        pl.col("metric").str.split("_scale_").list.first().alias("number"),
        pl.col("metric").str.split("_scale_").list.last().alias("effect"),
    ).filter(pl.col("number") != "auprc")
    if found.is_empty():
        return []
    group = pl.col("attribute") + ": " + pl.col("group")
    parts = (
        pl.col("number"),
        pl.col("cohort"),
        pl.when(pl.col("attribute") != "all").then(group),
        pl.when(pl.col("target").is_in(DETECTORS)).then(pl.col("target")),
    )
    found = found.with_columns(measure=pl.concat_str(parts, separator=", ", ignore_nulls=True))
    order = pl.col("effect").replace_strict({name: i for i, name in enumerate(EFFECTS)})
    title = "Change per factor 10, all labels (network: parameters; data: images):"
    return [title, "", *table(found.sort("measure", order), "measure", "effect")]


def questions(name: str, results: pl.DataFrame) -> list[str]:
    """Numbers of the five questions with all labels, for all attributes."""
    asked = results.filter(
        pl.col("run_id").is_null(),
        pl.col("split") == "test",
        pl.col("label_fraction") == 1.0,
        pl.col("metric").is_in(list(ASKED)),
        pl.col("rung") != "all",
        ~pl.col("target").is_in(LOGIT_DETECTORS),
        pl.col("group").is_in(["all"]),
    )
    asked = asked.with_columns(
        measure=pl.concat_str("metric", "cohort", "attribute", "target", separator=", ")
    ).sort("measure", "rung")
    return [f"### {name}", "", *table(asked, "measure", "rung")]


def curves(rungs: Path) -> list[str]:
    """Accuracy on the held-out images over the course of pre-training."""
    lines = [
        "| network | " + " | ".join(f"{k * 10} %" for k in range(1, 11)) + " |",
        "| --- " * 11 + "|",
    ]
    for width in WIDTHS:
        for scale in SCALES:
            path = rungs / f"tiny-{scale}-{width}" / "history.jsonl"
            if path.is_file():
                rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
                cells = " | ".join(f"{row['held_out_score']:.3f}" for row in rows)
                lines.append(f"| tiny-{scale}/{width} | {cells} |")
    return [*lines, ""]


def main() -> None:
    rungs, studies, out = (Path(argument) for argument in sys.argv[1:])
    lines = [
        "## Pre-training",
        "",
        "Top-1 accuracy of 200 classes on 7,033 held-out images, by progress of training:",
        "",
        *curves(rungs),
        "## Transfer",
        "",
    ]
    answers: list[str] = ["## The questions, all labels", ""]
    kept: list[pl.DataFrame] = []
    for target in TARGETS:
        paths = {
            name: studies / f"miniature-{name}" / "results.parquet"
            for name in (target.name, f"{target.name}-imagenet")
        }
        found = {name: pl.read_parquet(path) for name, path in paths.items() if path.is_file()}
        if not found:
            continue
        # two networks of two families show no effect of scale and no labels saved against scratch
        own = (pl.col("rung") == "all") | (pl.col("metric") == "labels_saved")
        beside = {
            name: results if name == target.name else results.filter(~own)
            for name, results in found.items()
        }
        kept += [
            results.filter(pl.col("run_id").is_null()).with_columns(study=pl.lit(name))
            for name, results in beside.items()
        ]
        results = pl.concat(beside.values(), how="diagonal")
        lines += study_part(target.name, results)
        answers += questions(target.name, results)
    write_frame(pl.concat(kept, how="diagonal"), out / "results.parquet")
    print("\n".join([*lines, *answers]))


if __name__ == "__main__":
    main()
