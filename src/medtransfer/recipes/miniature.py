"""The paper's claim in miniature: two widths × three scales of pre-training × medical targets.

Command:  the four of `benchmarks/miniature.md`: pretrain.py, targets.py, transfer.py, tables.py
Time:     about an hour on one core for the six networks, then half an hour for each task
Expect:   `benchmarks/miniature.md`

A network of two blocks a stage, a quarter and a half as wide as R50x1, is trained on nested shares
of one set of small natural images. The recipe is the same for all; only how often an image is seen
depends on the scale: a tenth of the images is seen three times as often, a hundredth fifteen times,
so the smaller scales are not starved of steps, and see fewer of them all the same.

Networks that pip brings, trained on all of ImageNet, are a study of their own beside: they are of
other families and were trained at 224 px, so that effects of scale are not estimated across them.
"""

from dataclasses import dataclass
from pathlib import Path

from medtransfer.data.config import (
    AugmentConfig,
    DataConfig,
    Flip,
    ImageConfig,
    LabelPolicy,
    SplitConfig,
    Task,
)
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.pretraining.config import Pretrain, UpstreamConfig, UpstreamTraining
from medtransfer.study.config import RungEntry, Study
from medtransfer.training.config import TrainingConfig

WIDTHS = ("r26x0.25", "r26x0.5")
SCALES = {"1k": (0.01, 150.0), "10k": (0.1, 30.0), "100k": (1.0, 10.0)}
"""Name of a scale → share of the images, and how often each is seen."""
SHIPPED = ("10k", "100k")
"""Scales whose networks come with the package, as `tiny-10k/…` and `tiny-100k/…`."""
IMAGENET = ("imagenet/effnet-lite0", "imagenet/mobilenetv2")
"""Rungs of the study beside; each is a pip package."""


def miniature_rungs(images: Path) -> list[Pretrain]:
    """Pre-training runs of the miniature, smallest first.

    Args:
        images: A table of natural images with `image`, `label` and `split`, of about 100,000 that
            train; Tiny-ImageNet at 32 px.
    """
    return [_rung(images, width, scale) for width in WIDTHS for scale in SCALES]


def _rung(images: Path, width: str, scale: str) -> Pretrain:
    share, epochs = SCALES[scale]
    return Pretrain(
        name=f"tiny-{scale}-{width}",
        rung=f"scratch/{width}",
        about=f"Tiny-ImageNet at 32 px, {scale} images",
        licence="non-commercial research, as the images of ImageNet",
        data=UpstreamConfig(
            images=images,
            fraction=share,
            resize=36,
            crop=32,
            augment=AugmentConfig(),
        ),
        training=UpstreamTraining(
            batch_size=128,
            micro_batch=128,
            learning_rate=0.1,
            weight_decay=0.0005,
            epochs=epochs,
            schedule="cosine",
            precision="float32",
        ),
    )


@dataclass(frozen=True)
class Target:
    """A medical task of the miniature.

    Attributes:
        name: Of its study.
        task: What the targets are to each other.
        targets: Columns, or classes of `class_column`.
        class_column: For single-label tasks.
        train_cohorts: Cohorts that are trained on; others are shifted tests. None: all.
        attributes: Groups to report by.
        flip: Flips that leave the label as it is.
    """

    name: str
    task: Task
    targets: tuple[str, ...]
    class_column: str | None = None
    train_cohorts: tuple[str, ...] | None = None
    attributes: tuple[str, ...] = ()
    flip: Flip = "both"


TARGETS = (
    Target(
        "dermatology",
        "binary",
        ("malignant",),
        train_cohorts=("ham10000",),
        attributes=("sex", "age_band"),
    ),
    Target("chest", "binary", ("abnormal",), attributes=("sex", "view"), flip="none"),
    Target(
        "breast",
        "single-label",
        ("benign", "malignant", "normal"),
        class_column="label",
        flip="horizontal",
    ),
    Target("blood", "single-label", ("Platelets", "RBC", "WBC"), class_column="label"),
)


def miniature_study(target: Target, manifest: Path) -> Study:
    """Fine-tuning of the miniature's rungs on one medical task, at four label fractions.

    Every rung has the same recipe and budget; networks from scratch have twice the steps and a
    higher learning rate, so that they converge.

    Args:
        target: The task.
        manifest: Its manifest, written by `benchmarks/miniature/targets.py`.

    Raises:
        ConfigError: The rungs that do not come with the package are not in the folder ``rungs``.
    """
    scratch = TrainingConfig(steps=300, learning_rate=0.03)
    rungs = [RungEntry(rung=f"scratch/{width}", training=scratch) for width in WIDTHS]
    rungs += [RungEntry(rung=_transferred(scale, width)) for scale in SCALES for width in WIDTHS]
    return _study(f"miniature-{target.name}", target, manifest, rungs)


def imagenet_study(target: Target, manifest: Path) -> Study:
    """The same fine-tuning of networks that pip brings, on the same cases.

    Args:
        target: The task.
        manifest: Its manifest, written by `benchmarks/miniature/targets.py`.
    """
    rungs = [RungEntry(rung=rung) for rung in IMAGENET]
    return _study(f"miniature-{target.name}-imagenet", target, manifest, rungs)


def _transferred(scale: str, width: str) -> str:
    return f"tiny-{scale}/{width}" if scale in SHIPPED else f"own/tiny-{scale}-{width}"


def _study(name: str, target: Target, manifest: Path, rungs: list[RungEntry]) -> Study:
    return Study(
        name=name,
        data=DataConfig(
            manifest=manifest,
            task=target.task,
            targets=dict.fromkeys(target.targets, LabelPolicy()),
            class_column=target.class_column,
            attributes=target.attributes,
            image=ImageConfig(resize=36, crop=32, flip=target.flip),
            split=SplitConfig(train_cohorts=target.train_cohorts),
        ),
        rungs=tuple(rungs),
        label_fractions=(0.03, 0.1, 0.3, 1.0),
        seeds=(0, 1, 2),
        training=TrainingConfig(
            batch_size=64, learning_rate=0.01, steps=150, checks=5, precision="float32"
        ),
        evaluation=EvaluationConfig(replicates=1000),
    )
