"""Schema of ``bundle.json``: everything between a file and a decision, without the arrays.

Bundles of another schema version, unknown keys and numbers out of range are refused. Whoever
changes a field here raises `SCHEMA_VERSION`.
"""

from dataclasses import replace
from datetime import date
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from medtransfer.data.config import SizePixels, Task
from medtransfer.data.images.region import Framing
from medtransfer.data.images.shards import Coding
from medtransfer.deploy.bundle.facts.further_training import FurtherTrainingFacts
from medtransfer.deploy.bundle.facts.targets import (
    STRICT,
    Count,
    LevelFacts,
    PromisedNumber,
    ShortName,
    Split,
    TargetFacts,
    Text,
)
from medtransfer.deploy.clinical.facts import CovariateFacts
from medtransfer.models.config import Pool
from medtransfer.models.rungs.architectures import Architecture, Interpolation, Precision, Stem

SCHEMA_VERSION = 1
MAX_PIXELS = 178_956_970
"""Most pixels that Pillow unpacks."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Blocks = Annotated[int, Field(ge=1, le=200)]
Positive = Annotated[float, Field(gt=0)]
Channels = tuple[float, float, float]


@dataclass(frozen=True, config=STRICT)
class ArchitectureFacts:
    """A network without weights, so that a bundle does not depend on the reader's ladder.

    Attributes:
        name: Our short name.
        timm: ShortName in timm; empty for small members of the BiT family.
        width: Length of the feature vector.
        input_size: Side of the input it was designed for.
        channels_last: True if that memory format is faster on a CPU.
        layers: Blocks per stage, for small members of the BiT family.
        width_factor: Width of such a member.
        groups: Of its group normalisation; 0 for batch normalisation.
        stem: Of such a member.
    """

    name: ShortName
    timm: Annotated[str, Field(max_length=200)]
    width: Annotated[int, Field(ge=1, le=65_536)]
    input_size: Annotated[int, Field(ge=1, le=4096)]
    channels_last: bool
    layers: tuple[Blocks, Blocks, Blocks, Blocks] | None
    width_factor: Annotated[float, Field(gt=0, le=16)]
    groups: Annotated[int, Field(ge=0, le=4096)]
    stem: Stem

    def architecture(self) -> Architecture:
        """The network as `models.backbones` builds it."""
        return Architecture(
            name=self.name,
            timm=self.timm,
            parameters=None,
            width=self.width,
            input_size=self.input_size,
            channels_last=self.channels_last,
            layers=self.layers,
            width_factor=self.width_factor,
            groups=self.groups,
            stem=self.stem,
        )


@dataclass(frozen=True, config=STRICT)
class NetworkFacts:
    """The trained network.

    Attributes:
        rung: Rung that training started from.
        architecture: Of the backbone.
        pool: Pooling of the features over the images of a case.
        precision: Of the backbone in the study; pooling and head are float32.
        tuning: Mode of training, as `full` or `linear`.
        parameters: Of the whole network.
    """

    rung: ShortName
    architecture: ArchitectureFacts
    pool: Pool
    precision: Precision
    tuning: ShortName
    parameters: Count


@dataclass(frozen=True, config=STRICT)
class InputFacts:
    """Conversion of a file to the network's input, in this order.

    Attributes:
        decoder: Decoders that made the study's pixels, with versions.
        dicom_rules: Version of the rules that turn DICOM values into pixels; black is 0.
        pixel_limit: Most pixels an image may claim.
        modalities: Modalities in the headers of the DICOM training images; a file whose header
            names another is refused. Empty if no training image named one.
        crop: Side of the square that an image is resized to, or height and width.
        framing: Region that is cut out of the image before; left out where there is none.
        interpolation: Of that resize, antialiased.
        coding: Encoding of the resized pixels in the study: `jpeg` is lossy, and is repeated.
        quality: Of that JPEG; 0 for the others.
        mean: Subtracted, per channel, from pixels scaled to 0..1; grey is repeated to three.
        std: Divisor after that.
    """

    decoder: Text
    dicom_rules: Text
    pixel_limit: Annotated[int, Field(ge=1, le=MAX_PIXELS)]
    modalities: tuple[ShortName, ...]
    crop: SizePixels
    interpolation: Interpolation
    coding: Coding
    quality: Annotated[int, Field(ge=0, le=100)]
    mean: Channels
    std: tuple[Positive, Positive, Positive]
    framing: Framing = Framing()


@dataclass(frozen=True, config=STRICT)
class DetectorFacts:
    """A detector of out-of-distribution cases.

    Attributes:
        name: In the catalogue `posthoc.ood_detectors.DETECTORS`.
        threshold: Score above which a case is flagged.
        kept_share: Share of the tuning cases that are not flagged, at least.
    """

    name: ShortName
    threshold: float
    kept_share: Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, config=STRICT)
class DeferralRule:
    """Cases that are left to a person.

    Attributes:
        set_method: Prediction sets that decide; a set of more or fewer answers than one defers.
            None: sets do not defer.
        targets: Targets whose sets defer a case; None for all.
        ood: True if a case that any detector flags is deferred.
        missing_images: True if a case of which an image could not be read is deferred. It is
            predicted from its other images.
    """

    set_method: ShortName | None = "split"
    targets: tuple[ShortName, ...] | None = None
    ood: bool = True
    missing_images: bool = True


@dataclass(frozen=True, config=STRICT)
class TrainingFacts:
    """Origin of the network.

    Attributes:
        study: ShortName of the study.
        run_ids: Runs whose networks are the bundle's members, in order.
        seeds: Of these runs.
        label_fraction: Share of the training patients whose labels were used.
        cohorts: That were trained on.
        test_cohorts: Test sets of the promised cases; the internal one first.
        images_per_case: Largest number of images of a training case.
        train_cases: Number of labelled training cases.
        train_patients: Their patients.
        tune_cases: Number of cases that everything after training was fitted on.
        tune_patients: Their patients.
        salt: Of the digests of training patients and images.
        has_patients: False if digests of patients were left out.
        why: Reason why this rung was taken.
    """

    study: ShortName
    run_ids: tuple[ShortName, ...]
    seeds: tuple[Count, ...]
    label_fraction: Annotated[float, Field(gt=0, le=1)]
    cohorts: tuple[ShortName, ...]
    test_cohorts: tuple[ShortName, ...]
    images_per_case: Annotated[int, Field(ge=1, le=100_000)]
    train_cases: Count
    train_patients: Count
    tune_cases: Count
    tune_patients: Count
    salt: Sha256
    has_patients: bool
    why: Text


@dataclass(frozen=True, config=STRICT)
class OnnxFacts:
    """The network in ONNX, and how far it is from torch.

    Attributes:
        opset: Version of ONNX's operators.
        exporter: torch, with its version.
        runtime: onnxruntime, with its version, on which it was compared.
        inputs: Number of generated images it was compared on; they and torch's outputs are inside.
        logit_difference: Largest difference of a logit from torch in float32.
        precision_difference: The same from torch in the study's precision; None if that is float32.
    """

    opset: Annotated[int, Field(ge=1, le=1000)]
    exporter: ShortName
    runtime: ShortName
    inputs: Count
    logit_difference: Annotated[float, Field(ge=0)]
    precision_difference: Annotated[float, Field(ge=0)] | None


@dataclass(frozen=True, config=STRICT)
class LicenceFacts:
    """A licence that binds whoever uses or passes on the bundle.

    Attributes:
        subject: Weights or data set.
        terms: Its licence or terms.
    """

    subject: Text
    terms: Text


@dataclass(frozen=True, config=STRICT)
class BundleFacts:
    """Content of ``bundle.json``.

    Attributes:
        schema_version: Of this schema.
        medtransfer: Version that wrote the bundle.
        name: Of the bundle.
        task: How the targets relate to each other.
        class_column: Column that held the class in the study, in single-label tasks.
        targets: In the order of the network's outputs.
        case: Fits for the case as a whole, in single-label tasks.
        network: The network.
        members: Number of networks; the logits of several are combined as an ensemble's.
        input: From a file to the network's input.
        detectors: Detectors of out-of-distribution cases.
        deferral: Rule by which cases are left to a person.
        promises: Numbers of the bundle's own study.
        training: Origin of the network.
        licences: Licences in force.
        margin: Largest loss against the promise that still counts as holding.
        expires: Last day on which it predicts; None for no end.
        parent: Digest of the bundle that this one supersedes.
        changes: Sentences on what was changed since the parent.
        onnx: The networks in ONNX beside torch's; None if they are not inside.
        clinical: Clinical data that each network sees, in order; left out where none sees any.
        levels: Units of several cases that are predicted too; left out where there are none.
        further_training: Trainings at other hospitals, in order; left out where there are none.
    """

    schema_version: Literal[1]
    medtransfer: ShortName
    name: ShortName
    task: Task
    class_column: ShortName | None
    targets: Annotated[tuple[TargetFacts, ...], Field(min_length=1, max_length=10_000)]
    case: TargetFacts | None
    network: NetworkFacts
    members: Annotated[int, Field(ge=1, le=100)]
    input: InputFacts
    detectors: Annotated[tuple[DetectorFacts, ...], Field(max_length=20)]
    deferral: DeferralRule
    promises: tuple[PromisedNumber, ...]
    training: TrainingFacts
    licences: tuple[LicenceFacts, ...]
    margin: Annotated[float, Field(gt=0, lt=1)]
    expires: date | None = None
    parent: Sha256 | None = None
    changes: tuple[Text, ...] = ()
    onnx: OnnxFacts | None = None
    clinical: tuple[tuple[CovariateFacts, ...], ...] = ()
    levels: Annotated[tuple[LevelFacts, ...], Field(max_length=20)] = ()
    further_training: Annotated[tuple[FurtherTrainingFacts, ...], Field(max_length=100)] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The targets' names. T"""
        return tuple(target.name for target in self.targets)

    def target(self, name: str) -> TargetFacts:
        """The fits of a target."""
        return next(target for target in self.targets if target.name == name)

    def promise(self, metric: str, target: str, cohort: str, split: Split = "test") -> float | None:
        """A promised value; None if it is undefined or not there."""
        key = metric, target, cohort, split
        same = (n for n in self.promises if (n.metric, n.target, n.cohort, n.split) == key)
        return next((number.value for number in same), None)


def level_facts(facts: BundleFacts, level: LevelFacts) -> BundleFacts:
    """Facts of a bundle as they are of the units of a level, in place of its cases."""
    return replace(facts, targets=level.targets, promises=level.promises, levels=())
