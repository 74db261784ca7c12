"""`medtransfer auto` beside AutoGluon-Multimodal and a recipe like fastai's, at equal wall time.

    python benchmarks/automatic.py MANIFEST --folder OUT [--minutes 10] [--autogluon PYTHON]

MANIFEST is one of `examples/`. Every contender gets the same patients to train, tune and test on,
the files of the images, the weights of EfficientNet-Lite0 (ImageNet) and the same minutes on the
same cores, one after the other; ours may choose among all rungs at hand, as a user's would.
AutoGluon runs by the interpreter of an environment of its own, and is left out without one. All
are scored by `evaluate`, on the same test cases, with intervals by patient and paired differences.

Goal: none of the peers is shown to be better than ours on the internal test cases. --quick is under
a minute, on 60 images, and shows that the parts fit together.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch
from contest.fastai_like import fine_tuned

from medtransfer import EvaluationConfig, evaluate
from medtransfer.automatic.auto_study import auto_study
from medtransfer.data.config import DataConfig
from medtransfer.data.images.decode import decode
from medtransfer.data.images.pictures import encode_png
from medtransfer.data.images.scan import image_readers
from medtransfer.data.splits import assign_splits
from medtransfer.models.classifier import build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.study.drafting.draft import drafted_settings
from medtransfer.study.template import draft_study
from medtransfer.tables.manifest import Manifest, read_manifest

RUNG = "imagenet/effnet-lite0"
PIXELS = 100_000_000
LONGEST = 512
"""Longest side of the files that peers get: larger ones would cost them decoding alone."""
Contender = Callable[[Path, Path, float], None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--autogluon", type=Path, help="python of its environment")
    parser.add_argument("--only", default="", help="name of one contender; others are kept")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    manifest, minutes = given.manifest.resolve(), 0.25 if given.quick else given.minutes
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.quick:
        manifest = shortened(manifest, given.folder)
    if not (given.folder / "task.json").exists():
        prepare(manifest, given.folder)
    contenders: dict[str, Contender] = {"ours": ours, "fastai-like": fastai_like}
    if given.autogluon:
        os.environ["AUTOGLUON"] = str(given.autogluon)
        contenders["autogluon"] = autogluon
    for name, run in contenders.items():
        if given.only in ("", name):
            begun = time.monotonic()
            run(manifest, given.folder, minutes)
            print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)
    if given.only:
        return 0
    return scored(given.folder, [n for n in contenders if (given.folder / f"{n}.npz").exists()])


def shortened(manifest: Path, folder: Path) -> Path:
    """The first images of every class and cohort, for a quick look."""
    frame = pl.read_parquet(manifest)
    column = "diagnosis" if "diagnosis" in frame.columns else "pneumonia"
    path = folder / "short.parquet"
    frame.filter(pl.col(column).is_not_null()).group_by("cohort", column).head(20).write_parquet(
        path
    )
    return path


def settings_of(manifest: Path) -> tuple[DataConfig, Manifest]:
    draft = draft_study(manifest)
    return drafted_settings(draft), read_manifest(manifest)


def prepare(manifest: Path, folder: Path) -> None:
    """Write the images as files, their labels and splits, and the weights."""
    data, table = settings_of(manifest)
    frame = assign_splits(table, data)
    label = pl.col(data.class_column) if data.class_column else pl.col(data.names[0])
    frame = frame.with_columns(label=label.cast(pl.String), file=pl.int_range(pl.len()))
    frame = frame.with_columns(file=pl.format("{}.png", "file"), split=pl.col("split").cast(str))
    classes = list(data.names) if data.class_column else ["0", "1"]
    labelled = frame["label"].is_in(classes).to_numpy().nonzero()[0].tolist()
    (folder / "images").mkdir(exist_ok=True)
    for index, read in image_readers(table, labelled):
        pixels = decode(read(), PIXELS)
        step = max(1, -(-max(pixels.shape[:2]) // LONGEST))
        (folder / "images" / frame["file"][index]).write_bytes(
            encode_png(np.ascontiguousarray(pixels[::step, ::step]))
        )
    columns = ["file", "label", "split", "case_id", "patient_id", "cohort"]
    frame[labelled].select(columns).write_csv(folder / "images.csv")
    weights = folder / "weights"
    weights.mkdir(exist_ok=True)
    network = build_classifier(
        ModelConfig(rung=RUNG), 1, seed=0, device=torch.device("cpu"), precision="float32"
    ).classifier.backbone
    torch.save(network.state_dict(), weights / "pytorch_model.bin")
    facts = {
        "architecture": "tf_efficientnet_lite0",
        "num_features": 1280,
        "pretrained_cfg": {
            "input_size": [3, 224, 224],
            "mean": [0.5] * 3,
            "std": [0.5] * 3,
            "interpolation": "bicubic",
            "crop_pct": 0.875,
        },
    }
    (weights / "config.json").write_text(json.dumps(facts))
    (folder / "task.json").write_text(json.dumps({"task": data.task, "classes": classes}))


def ours(manifest: Path, folder: Path, minutes: float) -> None:
    """The automatic study; the predictions of what it advises."""
    outcome = auto_study(manifest, folder / "study", hours=minutes / 60)
    advised = outcome.advice.rung
    tested = pl.read_parquet(folder / "study/predictions.parquet")
    runs = [json.loads(path.read_text()) for path in (folder / "study/runs").glob("*/run.json")]
    seeds = {run["run_id"]: run["seed"] for run in runs if run["rung"] == advised}
    seed = pl.col("run_id").replace_strict(seeds, default=None, return_dtype=pl.Int64)
    whole = tested.with_columns(seed=seed).drop_nulls("seed")
    whole.write_parquet(folder / "ours.parquet")
    (folder / "ours.npz").touch()
    print(f"ours advises {advised} ({outcome.advice.mode}): {outcome.advice.reason}")


def fastai_like(_manifest: Path, folder: Path, minutes: float) -> None:
    fine_tuned(folder, minutes)


def autogluon(_manifest: Path, folder: Path, minutes: float) -> None:
    script = Path(__file__).parent / "contest/autogluon_peer.py"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = [os.environ["AUTOGLUON"], str(script), str(folder.resolve()), str(minutes)]
    subprocess.run(command, check=True, env=clean)


def table_of(folder: Path, name: str, classes: list[str]) -> pl.DataFrame:
    """A peer's predictions of cases: the mean probability of their images."""
    kept = np.load(folder / f"{name}.npz")
    images = pl.read_csv(folder / "images.csv", schema_overrides={"label": pl.String})
    p = pl.DataFrame(
        {"file": kept["files"]} | {f"p_{c}": kept["p"][:, i] for i, c in enumerate(classes)}
    )
    by_case = images.join(p, on="file").group_by("case_id", maintain_order=True)
    ids = ["patient_id", "cohort", "split", "label"]
    cases = by_case.agg(pl.col(ids).first(), pl.col(r"^p_.*$").mean())
    cases = cases.with_columns(
        run_id=pl.lit(name), rung=pl.lit(name), member=pl.lit(0), seed=pl.lit(0)
    )
    if classes == ["0", "1"]:
        target = pl.col("label").cast(pl.Float64).alias("target_x")
        return cases.select(
            "run_id", "rung", "seed", "member", "case_id", *ids[:3], target, prob_x="p_1"
        )
    targets = [(pl.col("label") == c).cast(pl.Float64).alias(f"target_{c}") for c in classes]
    probabilities = [pl.col(f"p_{c}").alias(f"prob_{c}") for c in classes]
    return cases.select(
        "run_id", "rung", "seed", "member", "case_id", *ids[:3], *targets, *probabilities
    )


def own_table(folder: Path) -> pl.DataFrame:
    frame = pl.read_parquet(folder / "ours.parquet")
    names = [c.removeprefix("logit_") for c in frame.columns if c.startswith("logit_")]
    if len(names) == 1:
        shown = {f"target_{names[0]}": "target_x"}
        frame = frame.with_columns(prob_x=1 / (1 + (-pl.col(f"logit_{names[0]}")).exp())).rename(
            shown
        )
        names = ["x"]
    else:
        total = pl.sum_horizontal(pl.col(f"logit_{n}").exp() for n in names)
        frame = frame.with_columns(
            (pl.col(f"logit_{n}").exp() / total).alias(f"prob_{n}") for n in names
        )
    ids = ["run_id", "seed", "member", "case_id", "patient_id", "cohort", "split"]
    columns = [f"{kind}_{n}" for kind in ("target", "prob") for n in names]
    return frame.with_columns(pl.col("split").cast(pl.String)).select(
        *ids, *columns, rung=pl.lit("ours")
    )


def scored(folder: Path, names: list[str]) -> int:
    classes = json.loads((folder / "task.json").read_text())["classes"]
    tables = [own_table(folder)]
    tables += [table_of(folder, name, classes) for name in names if name != "ours"]
    pl.concat(tables, how="diagonal_relaxed").write_parquet(folder / "predictions.parquet")
    made = evaluate(
        folder / "predictions.parquet",
        folder / "evaluation",
        reference="ours",
        config=EvaluationConfig(permutations=0),
    )
    means = made.results.filter(
        pl.col("run_id").is_null(),
        pl.col("metric") == "auroc",
        pl.col("attribute") == "all",
        pl.col("target").is_in(["macro", "x"]),
    )
    for row in means.sort("cohort", "rung").iter_rows(named=True):
        print(
            f"{row['cohort']:24} {row['rung']:12} AUROC {row['value']:.3f} "
            f"[{row['low']:.3f}, {row['high']:.3f}]  {row['num_cases']} cases"
        )
    compared = pl.read_parquet(folder / "evaluation/comparisons.parquet")
    print("\nDifference of AUROC to ours, paired by patient, p corrected by Holm:")
    rows = compared.filter(pl.col("metric") == "auroc", pl.col("target").is_in(["macro", "x"]))
    worse = 0
    for row in rows.sort("cohort").iter_rows(named=True):
        ends = f"[{row['low']:+.3f}, {row['high']:+.3f}]" if row["low"] is not None else ""
        print(
            f"{row['cohort']:24} {row['rung']:12} {row['difference']:+.3f} {ends} p {row['p_holm']}"
        )
        internal = row["cohort"] == internal_cohort(folder)
        worse += internal and row["low"] is not None and row["low"] > 0
    print(f"\nPeers shown to be better on the internal test cases: {worse} (goal: 0)")
    return int(worse > 0)


def internal_cohort(folder: Path) -> str:
    images = pl.read_csv(folder / "images.csv")
    return images.filter(pl.col("split") == "train")["cohort"][0]


if __name__ == "__main__":
    sys.exit(main())
