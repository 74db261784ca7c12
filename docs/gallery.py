"""Reports and pictures of the gallery, made from synthetic predictions alone.

    python docs/gallery.py docs/_build     the reports and pictures of a built site
    python docs/gallery.py --pictures      the committed pictures, and the first pages they show

Nothing is trained: tables with a known truth go through `evaluate`. The reports are made when the
site is built; the pictures are committed, and `pages.json` beside them holds the words of the first
pages that they show, with which a test compares new ones.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.data.config import Task
from medtransfer.data.ideal_observer import ideal_predictions
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.recipes.demo import PHANTOM
from medtransfer.report.evaluate import evaluate
from medtransfer.seeds import generator

IMAGES = Path(__file__).parent / "images" / "gallery"
PAGES = "pages.json"
CONFIG = EvaluationConfig(replicates=300, permutations=300)
FINDINGS = {"effusion": 0.3, "cardiomegaly": 0.15, "nodule": 0.1}
"""Finding to the share of patients who have it."""
HOSPITALS = {"vienna": 1.0, "lyon": 0.95, "porto": 0.6}
"""Hospital to the share of the evidence that its films show; networks learned at the first."""
GRADES = {"none": 0.45, "mild": 0.2, "moderate": 0.17, "severe": 0.1, "proliferative": 0.08}
"""Grade of retinopathy to the share of patients who have it."""
GRADE_STEP = 1.3
"""Distance of the evidence of neighbouring grades, in standard deviations."""


@dataclass(frozen=True)
class Example:
    """A report of the gallery.

    Attributes:
        name: Of its file and its pictures.
        table: Predictions with the attributes beside.
        attributes: Columns of the table to report by.
        task: Relation of the targets.
    """

    name: str
    table: Callable[[], pl.DataFrame]
    attributes: tuple[str, ...]
    task: Task


def chest_table() -> pl.DataFrame:
    """Three findings on chest films of three hospitals; one gives less evidence, as old films do.

    Of patients over 70 a film gives 60 % of the evidence. At Lyon a tenth of the labels is missing.
    """
    frames: list[pl.DataFrame] = []
    for hospital, visible in HOSPITALS.items():
        rng = generator(0, "gallery chest", hospital)
        count = 900 if hospital == "vienna" else 450
        old = rng.random(count) < 0.35
        columns: dict[str, pl.Series] = {}
        for finding, prevalence in FINDINGS.items():
            ill = rng.random(count) < prevalence
            strength = 2.2 * visible * np.where(old, 0.6, 1.0)
            evidence = strength * ill + rng.normal(size=count)
            logit = 2.2 * evidence - 2.2**2 / 2 + np.log(prevalence / (1 - prevalence))
            hidden = rng.random(count) < (0.1 if hospital == "lyon" else 0.0)
            columns[f"target_{finding}"] = pl.Series(np.where(hidden, np.nan, ill)).fill_nan(None)
            columns[f"logit_{finding}"] = pl.Series(logit)
        is_tuned = (np.arange(count) < 300) & (hospital == "vienna")
        cases = _cases(hospital, count, is_tuned)
        frames.append(
            cases.with_columns(
                **columns,
                sex=pl.Series(rng.choice(["F", "M"], count)),
                age=pl.Series(np.where(old, "over 70", "up to 70")),
            )
        )
    noise = {"scratch/r50x1": 1.6, "bit-s/r50x1": 0.7}
    return _runs(pl.concat(frames), noise, seeds=(0, 1, 2), fractions=(1.0,))


def retina_table() -> pl.DataFrame:
    """Five ordered grades of retinopathy; the clinic has sicker patients than the screening.

    Pictures of the portable camera show 60 % of the evidence.
    """
    frames: list[pl.DataFrame] = []
    shares = np.array(list(GRADES.values()))
    for cohort, sicker in (("screening", 1.0), ("clinic", 1.4)):
        rng = generator(0, "gallery retina", cohort)
        count = 900 if cohort == "screening" else 450
        odds = shares * sicker ** np.arange(len(shares))
        grade = rng.choice(len(shares), count, p=odds / odds.sum())
        portable = rng.random(count) < 0.4
        evidence = GRADE_STEP * grade * np.where(portable, 0.6, 1.0) + rng.normal(size=count)
        columns: dict[str, pl.Series] = {}
        for place, name in enumerate(GRADES):
            columns[f"target_{name}"] = pl.Series((grade == place).astype(np.float64))
            distance = evidence - GRADE_STEP * place
            columns[f"logit_{name}"] = pl.Series(np.log(shares[place]) - distance**2 / 2)
        cases = _cases(cohort, count, (np.arange(count) < 300) & (cohort == "screening"))
        frames.append(
            cases.with_columns(**columns, camera=pl.Series(np.where(portable, "portable", "table")))
        )
    noise = {"scratch/effnet-lite0": 1.2, "imagenet/effnet-lite0": 0.6}
    return _runs(pl.concat(frames), noise, seeds=(0, 1, 2), fractions=(0.25, 1.0))


def phantom_table() -> pl.DataFrame:
    """The phantom of `medtransfer demo`, read by its ideal observer and by a tired one."""
    truth = ideal_predictions(PHANTOM, next(iter(PHANTOM.hospitals)), cases=1200)
    noise = {"tired-observer": 1.5, "ideal-observer": 0.0}
    return _runs(truth, noise, seeds=(0,), fractions=(1.0,))


def _cases(cohort: str, count: int, is_tuned: np.ndarray) -> pl.DataFrame:
    """Ids and splits of the cases of a cohort, one a patient."""
    names = [f"{cohort}-{number}" for number in range(count)]
    return pl.DataFrame(
        {
            "case_id": names,
            "patient_id": names,
            "cohort": cohort,
            "split": np.where(is_tuned, "tune", "test"),
        }
    )


def _runs(
    truth: pl.DataFrame,
    noise: dict[str, float],
    *,
    seeds: Sequence[int],
    fractions: Sequence[float],
) -> pl.DataFrame:
    """Rungs that see the evidence through noise of their own; fewer labels are more noise."""
    logits = [name for name in truth.columns if name.startswith("logit_")]
    frames: list[pl.DataFrame] = []
    for rung, wide in noise.items():
        for fraction in fractions:
            for seed in seeds:
                rng = generator(seed, "gallery", rung, str(fraction))
                deviation = wide * fraction**-0.35
                added = [
                    pl.col(name) + pl.Series(deviation * rng.normal(size=len(truth)))
                    for name in logits
                ]
                frames.append(
                    truth.with_columns(
                        *added,
                        run_id=pl.lit(f"{rung}-{fraction:g}-{seed}"),
                        member=pl.lit(0, dtype=pl.Int64),
                        rung=pl.lit(rung),
                        seed=pl.lit(seed, dtype=pl.Int64),
                        label_fraction=pl.lit(fraction),
                    )
                )
    return pl.concat(frames)


EXAMPLES = (
    Example("chest", chest_table, ("sex", "age"), "multi-label"),
    Example("retina", retina_table, ("camera",), "single-label"),
    Example("phantom", phantom_table, ("sex",), "binary"),
)


def make_report(example: Example, folder: Path) -> Path:
    """Evaluate an example's table.

    Args:
        example: Of the gallery.
        folder: For the table, its attributes, and the evaluation.

    Returns:
        ``report.html``; `report.json`, the facts of its first page, is beside it.
    """
    table = example.table()
    folder.mkdir(parents=True, exist_ok=True)
    source, manifest = folder / f"{example.name}.parquet", folder / "cases.csv"
    table.drop(example.attributes).write_parquet(source)
    table.select("case_id", *example.attributes).unique(maintain_order=True).write_csv(manifest)
    out = folder / example.name
    made = evaluate(source, out, manifest=manifest, task=example.task, config=CONFIG)
    return made.report


def first_page(report: Path) -> dict[str, list[str]]:
    """Words of a first page: its recommendation, its marks with sentences, and its cautions."""
    facts = json.loads((report.parent / "report.json").read_text("utf-8"))
    return {
        "recommendation": [facts["verdict"], facts["reason"]],
        "findings": [f"{f['mark']}: {f['sentence']}" for f in facts["findings"]],
        "must not be concluded": facts["not_concluded"],
    }


def write_pictures(folder: Path = IMAGES) -> None:
    """Write the pictures of all examples, light and dark, and the words that they show."""
    from screenshot import take_screenshots  # only pictures need a browser

    pages: dict[str, dict[str, list[str]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for example in EXAMPLES:
            report = make_report(example, Path(scratch) / example.name)
            pages[example.name] = first_page(report)
            take_screenshots(report, folder, name=example.name)
    text = json.dumps(pages, indent=1, ensure_ascii=False)
    (folder / PAGES).write_text(f"{text}\n", "utf-8")


def write_site(site: Path) -> None:
    """Write reports and pictures into a built site, where the page of the gallery expects them."""
    (site / "gallery").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for example in EXAMPLES:
            report = make_report(example, Path(scratch) / example.name)
            shutil.copyfile(report, site / "gallery" / f"{example.name}.html")
    shutil.copytree(IMAGES, site / "images" / "gallery", dirs_exist_ok=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("site", type=Path, nargs="?", help="folder of the built site")
    parser.add_argument("--pictures", action="store_true", help="write the committed pictures")
    arguments = parser.parse_args()
    if arguments.pictures:
        write_pictures()
    if arguments.site is not None:
        write_site(arguments.site)
