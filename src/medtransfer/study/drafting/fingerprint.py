"""Fingerprint of a data set and a machine: all facts that a study is derived from. No ids."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from medtransfer.data.cases import SIDE_COLUMNS
from medtransfer.data.config import SplitConfig
from medtransfer.data.images.decode import inspect
from medtransfer.data.images.scan import map_images
from medtransfer.engines.machine import usable_cores, visible_gpus
from medtransfer.errors import ImageError
from medtransfer.sizes.limits import available_memory
from medtransfer.tables.manifest import Manifest

MAX_SAMPLE = 24
"""Images whose headers are read where not all of them were scanned."""
PIXEL_LIMIT = 178_956_970
"""Largest `data.pixel_limit`: a header that claims more is not counted."""


@dataclass(frozen=True)
class ImageSizes:
    """Sizes of images, from their headers.

    Attributes:
        images: Number of images that were read.
        width: Median width in pixels.
        height: Median height in pixels.
        bits: Most bits of a channel.
        channels: Most channels: 1 for grey, 3 for colour.
    """

    images: int
    width: int
    height: int
    bits: int
    channels: int

    @property
    def area(self) -> int:
        """Pixels of the median image."""
        return self.width * self.height


@dataclass(frozen=True)
class Machine:
    """Machine that a study is derived for.

    Attributes:
        gpus: Number of GPUs that torch would see.
        cores: Cores that may be kept busy.
        memory: Bytes that are available.
    """

    gpus: int
    cores: int
    memory: int

    @property
    def device(self) -> str:
        """``GPU`` or ``CPU``."""
        return "GPU" if self.gpus else "CPU"


@dataclass(frozen=True)
class LabelCount:
    """Cases of one target, or class, in one cohort.

    Attributes:
        target: Name of the target or class.
        cohort: Name of the cohort.
        positive: Cases with the finding.
        negative: Cases without it.
        unlabelled: Cases that are uncertain or empty.
    """

    target: str
    cohort: str
    positive: int
    negative: int
    unlabelled: int


@dataclass(frozen=True)
class Fingerprint:
    """Facts that the settings of a study are derived from.

    Attributes:
        images: Number of images.
        cases: Number of cases.
        patients: Number of patients.
        train_cohort: Cohort that is trained on.
        train_cases: Its cases.
        train_patients: Its patients.
        labels: Of every target and cohort.
        side_columns: Columns that tell the side of the body or the view.
        has_split: The manifest has a split of its own.
        sizes: Of images; None if none could be read.
        machine: This machine.
    """

    images: int
    cases: int
    patients: int
    train_cohort: str
    train_cases: int
    train_patients: int
    labels: tuple[LabelCount, ...]
    side_columns: tuple[str, ...]
    has_split: bool
    sizes: ImageSizes | None
    machine: Machine

    def trained_labels(self, targets: Sequence[str]) -> list[LabelCount]:
        """Counts of some targets in the cohort that is trained on."""
        return [
            count
            for count in self.labels
            if count.cohort == self.train_cohort and count.target in targets
        ]

    def share_of(self, split: SplitConfig) -> float:
        """Expected share of the training cohort's cases that train."""
        return 1 - split.tune_fraction - split.test_fraction

    @property
    def sentence(self) -> str:
        """The facts in one sentence."""
        machine = self.machine
        cohorts = len({count.cohort for count in self.labels})
        size = "sizes unknown"
        if self.sizes is not None:
            size = f"{self.sizes.width:,} × {self.sizes.height:,} px, {self.sizes.bits} bits"
        gpus = f"{machine.gpus} GPU{'s' * (machine.gpus > 1)}, " if machine.gpus else "no GPU, "
        return (
            f"{self.cases:,} cases of {self.patients:,} patients in {cohorts} "
            f"cohort{'s' * (cohorts > 1)}; {self.images:,} images ({size}); {gpus}"
            f"{machine.cores} core{'s' * (machine.cores > 1)}, {machine.memory / 2**30:.0f} GiB."
        )

    def plain(self) -> dict[str, object]:
        """The facts as a JSON object."""
        return asdict(self)


def make_fingerprint(
    manifest: Manifest, coverage: pl.DataFrame, train_cohort: str, sizes: ImageSizes | None
) -> Fingerprint:
    """Fingerprint of a manifest on this machine.

    Args:
        manifest: The images.
        coverage: Cases of each target by cohort, from `tables.guessed_targets.label_counts`.
        train_cohort: Cohort that is trained on.
        sizes: From `sizes_of_sample` or `sizes_of_facts`.
    """
    frame = manifest.frame
    trained = frame.filter(pl.col("cohort") == train_cohort)
    labels = tuple(
        LabelCount(row["target"], row["cohort"], row["positive"], row["negative"], unlabelled)
        for row in coverage.iter_rows(named=True)
        for unlabelled in [row["uncertain"] + row["empty"]]
    )
    sides = [
        name
        for name in sorted(SIDE_COLUMNS)
        if name in frame.columns and frame[name].drop_nulls().n_unique() > 1
    ]
    return Fingerprint(
        images=len(frame),
        cases=frame["case_id"].n_unique(),
        patients=frame["patient_id"].n_unique(),
        train_cohort=train_cohort,
        train_cases=trained["case_id"].n_unique(),
        train_patients=trained["patient_id"].n_unique(),
        labels=labels,
        side_columns=tuple(sides),
        has_split="split" in frame.columns,
        sizes=sizes,
        machine=this_machine(),
    )


def this_machine() -> Machine:
    """Facts of this machine. No torch."""
    return Machine(len(visible_gpus()), usable_cores(), available_memory())


def sizes_of_sample(manifest: Manifest) -> ImageSizes | None:
    """Sizes of images spread evenly over a manifest; None if none of them can be read."""
    if not manifest.has_images or not len(manifest):
        return None
    chosen = np.unique(np.linspace(0, len(manifest) - 1, MAX_SAMPLE).astype(int)).tolist()
    rows = [
        (facts.width, facts.height, facts.bits, facts.channels)
        for _, facts in map_images(
            manifest, chosen, lambda data, frame: inspect(data, PIXEL_LIMIT, frame)
        )
        if not isinstance(facts, ImageError)
    ]
    schema = ["width", "height", "bits", "channels"]
    return sizes_of_facts(pl.DataFrame(rows, schema=schema, orient="row")) if rows else None


def sizes_of_facts(facts: pl.DataFrame) -> ImageSizes | None:
    """Sizes of images from `scan_images`, or from columns of the same names."""
    readable = facts.drop_nulls("width")
    if readable.is_empty():
        return None
    middle = {name: int(np.median(readable[name].to_numpy())) for name in ("width", "height")}
    most = {name: int(readable[name].to_numpy().max()) for name in ("bits", "channels")}
    return ImageSizes(len(readable), **middle, **most)
