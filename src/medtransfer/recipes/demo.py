"""The demonstration: five questions about a phantom whose truth is known.

A small BiT from scratch and from 100,000 natural images, on few labelled cases of one hospital.
Malignant lesions differ from benign ones in the contrast of small spots, and not all of
them do: no reader can be right about every case. Women's lesions and those of the other hospital
show less of it. `planted_truths` computes what that costs the ideal observer.

Command:  medtransfer demo
Time:     under 4 minutes on 2 cores; under 1 minute with --quick
Expect:   `tests/golden/demo.json`; pre-training helps
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
        "hospital-a": Hospital(760, prevalence=0.45),
        "hospital-b": Hospital(480, prevalence=0.2, signal=0.5),
    },
    spread=0.45,
    group_gap=0.5,
    label_noise=0.03,
)
SCRATCH, PRETRAINED = "scratch/r26x0.25", "tiny-100k/r26x0.25"


def demo_study(folder: Path, *, quick: bool = False) -> Study:
    """The demonstration study, its phantom written into its folder.

    Args:
        folder: Of the study.
        quick: One seed instead of five; a whole demonstration in the same folder keeps its runs.

    Raises:
        StudyError: The folder holds something else.
    """
    StudyFolder(folder).claim(NAME)
    manifest = folder / "phantom.parquet"
    if not manifest.is_file():
        write_phantom(PHANTOM, manifest)
    tuned = TrainingConfig(steps=100, learning_rate=0.03)
    # so few pictures teach a network from scratch nothing in some seeds by SGD; its tuning AUROC
    # stands still from step 120 on
    scratch = TrainingConfig(steps=200, optimiser="adamw", learning_rate=0.002, weight_decay=0.01)
    return Study(
        name=NAME,
        data=DataConfig(
            manifest=manifest.resolve(),
            task="binary",
            targets={"malignant": LabelPolicy()},
            attributes=("sex",),
            image=ImageConfig(resize=72, crop=64, flip="both"),
            split=SplitConfig(train_cohorts=("hospital-a",), tune_fraction=0.25, test_fraction=0.7),
        ),
        rungs=(
            RungEntry(rung=SCRATCH, training=scratch),
            RungEntry(rung=PRETRAINED, training=tuned),
        ),
        label_fractions=(0.35, 1.0),
        seeds=(0,) if quick else (0, 1, 2, 3, 4),
        training=TrainingConfig(batch_size=32, learning_rate=0.003, steps=60, checks=5),
    )
