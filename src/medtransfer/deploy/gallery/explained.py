"""The network of a run, with heat maps of its images."""

from dataclasses import dataclass, field

import torch

from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.deploy.bundle.trained_run import open_run
from medtransfer.deploy.gallery.heat_maps import (
    HeatMap,
    HeatMaps,
    correlation_words,
    mean_correlation,
)
from medtransfer.errors import StudyError
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.messages import RunRequest


@dataclass(eq=False)
class ExplainedRun:
    """A run whose images get heat maps.

    Attributes:
        maps: Of its network.
        recipe: Recipe of the pixels that it was tested on.
        made: Heat maps so far.
    """

    maps: HeatMaps
    recipe: PixelRecipe
    made: list[HeatMap] = field(default_factory=list[HeatMap])

    @classmethod
    def open(cls, study: StudyFolder, request: RunRequest) -> "ExplainedRun":
        """Load the network of a finished run.

        Raises:
            StudyError: Its data have changed, or its weights are gone.
        """
        trained = open_run(study, request)
        if trained.cases.width:
            raise StudyError(
                f"Rung '{trained.run.model.rung}' sees clinical data, and heat maps are of images "
                "alone. Leave --heatmap out, or look at its twin without them."
            )
        classifier = trained.classifier(torch.device("cpu"))
        return cls(HeatMaps(classifier, trained.spec), trained.recipe)

    def heat(self, content: bytes, frame: int | None, output: int) -> HeatMap:
        """Heat map of an image.

        Args:
            content: A file's content.
            frame: Number of the frame in a file with several.
            output: Number of the output whose logit is explained.

        Raises:
            ImageError: It cannot be read.
        """
        self.made.append(self.maps.of_image(self.recipe.make(content, frame), output))
        return self.made[-1]

    def sentence(self) -> str:
        """Method of the maps, and their check."""
        words = correlation_words(mean_correlation(self.made))
        return f"Heat maps by {self.maps.method}. {words}"
