"""Images and labels of a hospital, as a bundle's network is tuned on them."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from medtransfer.data.cases import Cases, build_cases
from medtransfer.data.config import DataConfig
from medtransfer.data.images.cache import CachedImages
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.data.images.scan import Progress, scan_images
from medtransfer.deploy.adaptation.tuning.draws import TuningDraw
from medtransfer.deploy.adaptation.tuning.rule import training_size
from medtransfer.deploy.adaptation.tuning.work import TuningWork
from medtransfer.deploy.inference.model import BundleModel
from medtransfer.deploy.inference.sources import ManifestSource
from medtransfer.deploy.validation.labelled_cases import LabelledScores, data_config
from medtransfer.errors import ConfigError
from medtransfer.metrics.kernels.sums import Flags
from medtransfer.runs.inputs import CacheRequest
from medtransfer.tables.manifest import Manifest
from medtransfer.tables.schema import ROW


@dataclass(frozen=True, eq=False)
class TuningCases:
    """Cases of a draw, with their images.

    Attributes:
        train: To train on; clinical data are not encoded yet.
        tune: Held back.
        test: Of the patients that judge.
        images: Training images at the size to crop from, the others as they are tested, and the
            training images as they would be tested.
    """

    train: Cases
    tune: Cases
    test: Cases
    images: tuple[CachedImages, CachedImages, CachedImages]


@dataclass(frozen=True, eq=False)
class HospitalImages:
    """Usable images of a hospital.

    Attributes:
        manifest: Rows of images that the bundle could read, of cases that it scored.
        facts: Of each image.
        data: Targets and label policies of the bundle.
        spec: Input of its network.
        recipe: Recipe of images as they are tested.
        source: The cases, as the bundle predicts them.
    """

    manifest: Manifest
    facts: pl.DataFrame
    data: DataConfig
    spec: InputSpec
    recipe: PixelRecipe
    source: ManifestSource

    @classmethod
    def of(
        cls, model: BundleModel, labelled: LabelledScores, work: TuningWork, progress: Progress
    ) -> "HospitalImages":
        """Usable images among those that a bundle has predicted.

        Args:
            model: The bundle.
            labelled: Its scores at the hospital, from a manifest.
            work: Keeps the facts of the images.
            progress: Called as images are read.
        """
        source = labelled.source
        if not isinstance(source, ManifestSource):
            raise ConfigError("A network is tuned on the images of a manifest alone.")
        frame = source.manifest.frame
        is_scored = pl.col("case_id").is_in(labelled.scores["case_id"].unique().implode())
        is_refused = pl.format("row {}", ROW).is_in(labelled.refused["image"].implode())
        manifest = replace(source.manifest, frame=frame.filter(is_scored & ~is_refused))
        facts = model.facts.input
        scanned = scan_images(manifest, facts.pixel_limit, work.facts, progress)
        crop = facts.crop
        return cls(
            manifest=manifest,
            facts=scanned,
            data=data_config(model.facts, manifest.path),
            spec=InputSpec(training_size(crop), crop, facts.mean, facts.std, facts.interpolation),
            recipe=model.rules.recipe,
            source=source,
        )

    def cases(
        self, draw: TuningDraw, test: Flags, work: TuningWork, progress: Progress
    ) -> TuningCases:
        """Cases of a draw and of the patients that judge, their images prepared.

        Args:
            draw: Patients to tune with.
            test: Cases of the patients that judge. [N]
            work: Holds the prepared images.
            progress: Called as images are prepared.
        """
        names = np.select([draw.train, draw.held, test], ["train", "tune", "test"], "")
        splits = pl.DataFrame({"case_id": draw.ids.tolist(), "split": names.tolist()})
        frame = self.manifest.frame.drop("split", strict=False)
        frame = frame.join(splits, on="case_id", how="left", maintain_order="left")
        parts = frame["split"].fill_null("").to_numpy()
        seen = np.flatnonzero(parts == "train")
        rest = np.flatnonzero((parts == "tune") | (parts == "test"))
        trained = replace(self.recipe, size=self.spec.resize)
        requests = ((seen, trained), (rest, self.recipe), (seen, self.recipe))
        to_train, to_test, as_tested = (
            CacheRequest(rows, recipe).make(self.manifest, self.facts, work.cache, progress)
            for rows, recipe in requests
        )
        cases = build_cases(frame.filter(pl.col("split").fill_null("") != ""), self.data)
        has_label = ~np.isnan(cases.targets).all(axis=1)
        return TuningCases(
            train=cases.take((cases.splits == "train") & has_label),
            tune=cases.take(cases.splits == "tune"),
            test=cases.take(cases.splits == "test"),
            images=(to_train, to_test, as_tested),
        )
