"""The paper's claim in miniature: two widths × three scales of pre-training × medical targets.

Command:  python benchmarks/miniature/run.py --images natural.parquet …
Time:     about an hour on one core for the six networks
Expect:   `benchmarks/miniature.md`

A network of two blocks a stage, a quarter and a half as wide as R50x1, is trained on nested shares
of one set of small natural images. The recipe is the same for all; only how often an image is seen
depends on the scale: a tenth of the images is seen three times as often, a hundredth fifteen times,
so the smaller scales are not starved of steps, and see fewer of them all the same.
"""

from pathlib import Path

from medtransfer.data.config import AugmentConfig, UpstreamConfig
from medtransfer.study.run import Pretrain
from medtransfer.training.upstream import UpstreamTraining

WIDTHS = ("r26x0.25", "r26x0.5")
SCALES = {"1k": (0.01, 150.0), "10k": (0.1, 30.0), "100k": (1.0, 10.0)}
"""Name of a scale → share of the images, and how often each is seen."""


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
            images=images, fraction=share, resize=36, crop=32,
            augment=AugmentConfig(),
        ),
        training=UpstreamTraining(
            batch_size=128, micro_batch=128, learning_rate=0.1, weight_decay=0.0005, epochs=epochs,
            schedule="cosine", precision="float32",
        ),
    )  # fmt: skip
