"""The demonstration: does pre-training help on the phantom, and does more of it help more?

A small BiT from scratch and from two scales of natural images, and an EfficientNet from ImageNet.

Command:  medtransfer demo
Time:     under 4 minutes on 2 cores
Expect:   `tests/golden/demo.json`; at hospital B 100,000 images help the small network, 10,000
          do not
"""

from pathlib import Path

from medtransfer.data.config import DataConfig, ImageConfig, LabelPolicy, SplitConfig
from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import RungEntry, Study
from medtransfer.training.config import TrainingConfig

NAME = "demo"
PHANTOM = Phantom(
    kind="lesion",
    hospitals={
        "hospital-a": Hospital(360),
        "hospital-b": Hospital(120, contrast=0.75, noise=0.05, blur=0.5, prevalence=0.5),
    },
    signal=0.7,
    group_gap=0.3,
    label_noise=0.03,
)


def demo_study(folder: Path) -> Study:
    """The demonstration study, its phantom written into its folder.

    Raises:
        StudyError: The folder holds something else.
    """
    StudyFolder(folder).claim(NAME)
    manifest = folder / "phantom.parquet"
    if not manifest.is_file():
        write_phantom(PHANTOM, manifest)
    tuned = TrainingConfig(steps=100, learning_rate=0.03)
    # so few pictures teach a network from scratch nothing in some seeds by SGD
    scratch = TrainingConfig(steps=300, optimiser="adamw", learning_rate=0.002, weight_decay=0.01)
    return Study(
        name=NAME,
        data=DataConfig(
            manifest=manifest.resolve(),
            task="binary",
            targets={"malignant": LabelPolicy()},
            attributes=("sex",),
            image=ImageConfig(resize=72, crop=64, flip="both"),
            split=SplitConfig(train_cohorts=("hospital-a",)),
        ),
        rungs=(
            RungEntry(rung="scratch/r26x0.25", training=scratch),
            RungEntry(rung="tiny-10k/r26x0.25", training=tuned),
            RungEntry(rung="tiny-100k/r26x0.25", training=tuned),
            RungEntry(rung="imagenet/effnet-lite0"),
        ),
        label_fractions=(0.2, 1.0),
        seeds=(0, 1),
        training=TrainingConfig(batch_size=32, learning_rate=0.003, steps=60, checks=5),
    )
