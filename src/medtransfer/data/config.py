"""Data settings: targets, labels, images, splits."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from medtransfer.data.images.region import ChestWall, Framing, Region
from medtransfer.errors import listed, printable
from medtransfer.settings import (
    Settings,
    identity,
    identity_by_rows,
    identity_if_set,
    runtime,
    scoring,
    scoring_if_set,
)
from medtransfer.sizes.image_size import ImageSize, height_width, image_size, sides_words, size_name
from medtransfer.tables.values.value_map import EMPTY

Task = Literal["binary", "multi-label", "single-label"]
Flip = Literal["none", "horizontal", "vertical", "both"]
Policy = Annotated[str, Field(pattern=r"^(ignore|zeros|ones|soft\((0(\.\d+)?|1(\.0+)?|\.\d+)\))$")]
SIZE = re.compile(r"(\d{1,4})\s*[x×]\s*(\d{1,4})")
"""Height and width as text: axes are lists of values, so that a pair there must be one."""
Name = Annotated[str, Field(min_length=1, max_length=80)]
LevelRule = Literal["max", "mean"]
SidePixels = Annotated[int, Field(ge=8, le=4096)]


def _size(value: Any, info: ValidationInfo) -> ImageSize:
    """A size as it is kept: one number for a square.

    Raises:
        ValueError: It is neither a side nor a height and a width.
    """
    given = SIZE.fullmatch(value) if isinstance(value, str) else None
    parts: Any = given.groups() if given else value
    sides = list(cast("Any", parts)) if isinstance(parts, (list, tuple)) else [parts]
    try:
        sizes = [int(side) for side in sides if float(side).is_integer()]
    except (TypeError, ValueError, OverflowError):
        sizes = []
    fits = len(sizes) == len(sides) in (1, 2) and all(8 <= side <= 4096 for side in sizes)
    if not fits or any(isinstance(side, bool) for side in sides):
        raise ValueError(
            f"{info.field_name} holds {printable(value)} (allowed: the side of a square, or height "
            "and width as [1152, 896]; whole numbers from 8 up to 4096)"
        )
    return image_size(sizes[0], sizes[-1])


_SIDE = {"type": "integer", "minimum": 8, "maximum": 4096}
SizePixels = Annotated[
    ImageSize,
    BeforeValidator(_size),
    WithJsonSchema(
        {
            "anyOf": [
                _SIDE,
                {"type": "array", "prefixItems": [_SIDE, _SIDE], "minItems": 1, "maxItems": 2},
                {"type": "string", "pattern": rf"^{SIZE.pattern}$"},
            ]
        }
    ),
]
"""Side of a square, or height and width."""


MAX_STRETCH = 1.1
"""Most that training images may be stretched in one direction against test images."""


class LabelPolicy(Settings):
    """Label policy of one target: the meaning of uncertain (-1) and of empty cells."""

    uncertain: Policy = identity("ignore")
    """`ignore` masks the cell from loss and metrics; `zeros`, `ones`, `soft(p)` give it a value."""
    empty: Policy = identity("ignore")
    """The same for an empty cell."""
    fractions: Literal["refuse", "train"] = identity_if_set("refuse")
    """Cells between 0 and 1, as the share of readers who say yes. `train`: training cases keep
    them as targets; elsewhere the majority is the truth and ½ has none. Not for `single-label`."""


RetrainArm = Literal["internal+shifted", "sequential", "shifted-only"]
"""Ways to train on a shifted cohort, as the arms of adaptation curves are called."""
TOGETHER: RetrainArm = "internal+shifted"
SEQUENTIAL: Literal["sequential"] = "sequential"


class RetrainConfig(Settings):
    """A shifted cohort that is trained on again, in part."""

    cohort: Name = identity()
    """The cohort. It is the only one that such a run is tested on."""
    fraction: float = identity(gt=0, le=1)
    """Share of the patients set apart whose cases join the training; smaller shares are nested."""
    pool: float = identity(0.5, gt=0, lt=1)
    """Share of the cohort's patients that are set apart for training; the others test. A `split`
    column of the manifest goes before it: then all that is not `test` is set apart."""
    arm: RetrainArm = identity_if_set(TOGETHER)
    """`internal+shifted`: its cases join those of the training cohorts. `shifted-only`: they alone
    are trained on. `sequential`: likewise, from the weights that the training cohorts ended in."""


class SplitConfig(Settings):
    """Split settings. Splits are always by patient."""

    train_cohorts: tuple[Name, ...] | None = identity_by_rows(None)
    """Cohorts that are split into train, tune and test; every other cohort is shifted test data.
    Left out: all cohorts are pooled and there is no shift to measure."""
    tune_fraction: float = identity_by_rows(0.15, gt=0, lt=1)
    """Share of patients for selection, thresholds and calibration."""
    test_fraction: float = identity_by_rows(0.2, gt=0, lt=1)
    """Share of patients for the internal test."""
    train_fraction: float = identity(1.0, gt=0, le=1)
    """Share of the training patients whose labels are used; smaller shares are nested in larger."""
    shots: int | None = identity_if_set(None, ge=1, le=1_000_000)
    """In place of a share: so many training patients of each class, smaller numbers nested in
    larger. Classes are those of a single-label task; else the patients of each target and those
    with a case without any."""
    group_columns: tuple[Name, ...] = identity_by_rows(())
    """Columns besides `patient_id` whose equal values must stay in one split, e.g. `lesion_id`."""
    retrain: RetrainConfig | None = identity_if_set(None)
    """A shifted cohort that is trained on again; a study takes `retrain_fractions` instead."""
    seed: int = identity_by_rows(0, ge=0)
    """Seed of the split, apart from the run's: all runs are tested on the same cases."""

    @model_validator(mode="after")
    def _leave_some_to_train(self) -> "SplitConfig":
        if self.tune_fraction + self.test_fraction >= 1:
            total = self.tune_fraction + self.test_fraction
            raise ValueError(
                f"tune_fraction and test_fraction together are {total:g} (allowed: below 1)"
            )
        if self.shots is not None and self.train_fraction != 1:
            raise ValueError("shots and train_fraction exclude each other: give one")
        return self


class AugmentConfig(Settings):
    """Random changes of training images besides crop and flip, drawn for each image; 0 is none."""

    rotate: float = identity(0.0, ge=0, le=180)
    """Largest angle in degrees, either way."""
    scale: float = identity(0.0, ge=0, lt=1)
    """Largest change of size: 0.1 is from 1/1.1 to 1.1 times."""
    translate: float = identity(0.0, ge=0, le=0.5)
    """Largest shift in each direction, as a share of the side."""
    crop_area: float = identity(0.0, ge=0, le=1)
    """Smallest share of the area of a random part, of sides 3:4 to 4:3, that is cut out and resized
    to the crop; it takes the place of the plain random crop. 0: the plain crop."""
    equalise: float = identity(0.0, ge=0, le=1)
    """Share of images whose histogram is equalised."""
    brightness: float = identity(0.0, ge=0, lt=1)
    """Largest change of brightness: 0.2 is from 0.8 to 1.2 times."""
    contrast: float = identity(0.0, ge=0, lt=1)
    """Largest change of contrast: 0.2 is from 0.8 to 1.2 times."""
    gamma: float = identity(0.0, ge=0, le=2)
    """Largest change of gamma: 0.5 is from 1/1.5 to 1.5."""
    blur: float = identity(0.0, ge=0, le=20)
    """Largest standard deviation of a Gaussian blur, in pixels."""
    noise: float = identity(0.0, ge=0, le=0.5)
    """Largest standard deviation of Gaussian noise; pixels are 0 to 1."""
    erase: float = identity(0.0, ge=0, le=0.5)
    """Largest share of the area of a rectangle that is made black in one image of two."""
    cutmix: float = identity(0.0, ge=0, le=10)
    """Alpha of CutMix: a square comes from another case, targets are mixed by area. Where there is
    MixUp too, each step draws one of them."""

    @property
    def changes_images(self) -> bool:
        """True if single images are changed; CutMix needs two."""
        return any(getattr(self, name) for name in type(self).model_fields if name != "cutmix")


class ImageConfig(Settings):
    """From a decoded image to the network's input."""

    resize: SizePixels | None = identity(None)
    """Size that a training image is resized to: the side of a square, or height and width as
    `[1152, 896]`. Left out: BiT-HyperRule, by image area."""
    crop: SizePixels | None = identity(None)
    """Size of the random crop, and of the test image, likewise. Left out: BiT-HyperRule."""
    region: Region = identity_if_set("whole")
    """Part of the decoded image that is resized. `breast`: the box around the largest bright area,
    found by Otsu's threshold, without labels beside it; images without one stay whole."""
    chest_wall: ChestWall = identity_if_set("either")
    """Side that the chest wall is brought to, for `region: breast`: images with it on the other
    side are mirrored. `either` leaves them."""
    flip: Flip = identity("none")
    """Random flips in training. `none` where the side of the body matters: chest, breast."""
    augment: AugmentConfig = identity_if_set(AugmentConfig())
    """Random changes of training images besides crop and flip."""
    codec: Literal["raw", "png"] = runtime("raw")
    """Format of prepared images. `raw` is read fastest, `png` takes about half the disk; both
    keep every bit."""
    jpeg_quality: int | None = identity_if_set(None, ge=50, le=100)
    """Keep prepared images as JPEG of this quality. Lossy; 8 bits only. Left out: they are kept as
    `codec` says."""

    @property
    def framing(self) -> Framing:
        """Region of each image, and the side of its chest wall."""
        return Framing(self.region, self.chest_wall)

    @property
    def preparation(self) -> str:
        """Region and both sizes for a reader: ``256 → 224 px``."""
        region = "" if self.framing.is_whole else f"{self.framing.words()}, "
        if self.resize is None or self.crop is None:
            return f"{region}by BiT-HyperRule"
        if isinstance(self.resize, int) and isinstance(self.crop, int):
            return f"{region}{self.resize} → {self.crop} px"
        return f"{region}{sides_words(self.resize)} → {sides_words(self.crop)} px, height × width"

    @model_validator(mode="after")
    def _fit_together(self) -> "ImageConfig":
        if (self.resize is None) != (self.crop is None):
            raise ValueError("resize and crop go together: give both or neither")
        if self.resize is not None and self.crop is not None:
            _check_sizes(self.resize, self.crop)
        if self.chest_wall != "either" and self.region != "breast":
            raise ValueError("chest_wall is found with the breast: it needs region: breast")
        if self.chest_wall != "either" and self.flip in ("horizontal", "both"):
            raise ValueError(
                f"chest_wall: {self.chest_wall} brings all chest walls to one side, and flip: "
                f"{self.flip} mirrors half of them again: give one (allowed beside chest_wall: "
                "none, vertical)"
            )
        if self.jpeg_quality is not None and self.codec != "raw":
            raise ValueError("codec png keeps every bit and jpeg_quality does not: give one")
        return self


def _check_sizes(resize: ImageSize, crop: ImageSize) -> None:
    """Check that a crop fits in the image that it is cut from, and has about its proportions.

    Raises:
        ValueError: It does not.
    """
    (high, wide), (height, width) = height_width(resize), height_width(crop)
    if height > high or width > wide:
        raise ValueError(f"crop {size_name(crop)} is larger than resize {size_name(resize)}")
    stretched = max(high * width, wide * height) / min(high * width, wide * height)
    if stretched > MAX_STRETCH:
        raise ValueError(
            f"resize {size_name(resize)} and crop {size_name(crop)} differ in their proportions: "
            f"training images would be stretched {stretched:.2f} times against test images, which "
            f"are resized to the crop itself (allowed: up to {MAX_STRETCH}). Give both as one "
            "number, or both as height and width of about the same proportions"
        )


class DataConfig(Settings):
    """Manifest, prediction task and label columns."""

    manifest: Path = runtime()
    """CSV or Parquet, one row per image; relative to study.yaml. Its content is in the run id, its
    place is not."""
    image_root: Path | None = runtime(None)
    """Folder that `path` cells are relative to; the manifest's own folder by default."""
    task: Task = identity()
    """`binary`: one target; `multi-label`: several findings at once; `single-label`: one class of
    several."""
    targets: dict[Name, LabelPolicy] = identity(min_length=1)
    """Target columns and their label policies; for `single-label` the classes of `class_column`."""
    class_column: Name | None = identity(None)
    """For `single-label`: the column that holds the class name."""
    class_shares: dict[Name, Name] = identity_if_set({})
    """For `single-label`: of each class the column of its share of the readers, or of their number,
    which training cases have as their target: `nevus: readers_nevus`. The shares of a row are
    divided by their sum. Rows without any, tuning and test take `class_column`."""
    outlier_classes: tuple[Name, ...] = identity_if_set(())
    """Classes of `class_column` that no network learns: their cases are a test set of their own,
    which the detectors of foreign inputs should flag. Rare conditions, other organs."""
    attributes: tuple[Name, ...] = scoring(())
    """Columns to report by: sex, age band, skin type, scanner."""
    levels: dict[Name, LevelRule] = scoring_if_set({})
    """Columns whose equal values make cases one unit, each with its rule: `exam_id: max`. All
    numbers are reported of these units too. `max`: the highest logit of the cases; `mean`: the mean
    of their probabilities. A unit is positive if one of its cases is."""
    values: dict[Name, dict[str, str]] = scoring({})
    """Values to read in place of others, by column: `sex: {w: F, m: M}`; `empty` for no value, on
    either side: `mass: {empty: 0}`. A changed label is in the run id, as the manifest's content
    is."""
    image: ImageConfig = identity(ImageConfig())
    """Size and augmentation."""
    split: SplitConfig = identity(SplitConfig())
    """Training, tuning and test patients."""
    pixel_limit: int = runtime(100_000_000, ge=1_000_000, le=178_956_970)
    """Images of more pixels are refused by their header, before they are unpacked. The most is what
    Pillow unpacks."""

    @field_validator(
        "targets",
        mode="before",
        json_schema_input_type=list[Name] | dict[Name, LabelPolicy | None],
    )
    @classmethod
    def _names_alone(cls, value: Any) -> Any:
        """Accept a list of names, and a name without a policy."""
        if isinstance(value, list):
            if any(isinstance(name, (list, dict, set)) for name in value):  # type: ignore[misc]
                raise ValueError("data.targets holds a list within its list (allowed: names)")
            return {name: {} for name in value}  # type: ignore[misc]
        if isinstance(value, dict):
            return {name: policy or {} for name, policy in value.items()}  # type: ignore[misc]
        return value

    @field_validator("values", mode="before")
    @classmethod
    def _values_as_text(cls, value: Any) -> Any:
        """Accept numbers as values; refuse `yes` and `no`, which YAML reads as true and false."""
        if not isinstance(value, dict):
            return value
        texts: dict[Any, Any] = {}  # any YAML; pydantic checks what is left
        for column, pairs in cast("dict[Any, Any]", value).items():
            if isinstance(pairs, dict):
                cells = cast("dict[Any, Any]", pairs)
                if any(isinstance(cell, bool) for pair in cells.items() for cell in pair):
                    raise ValueError(
                        f"values of '{column}' hold true or false: put yes, no, on and off in "
                        "quotation marks"
                    )
                texts[column] = {_value_text(old): _value_text(new) for old, new in cells.items()}
            else:
                texts[column] = pairs
        return texts

    @model_validator(mode="after")
    def _task_fits_targets(self) -> "DataConfig":
        count = len(self.targets)
        if self.levels and self.task == "single-label":
            raise ValueError(
                "levels bring cases together by their highest or mean probability, which a class "
                "of several does not have: they need a binary or multi-label task"
            )
        if self.task == "single-label" and self.fractional:
            raise ValueError(
                "fractions: train is for binary and multi-label tasks: a class column holds one "
                "class a case. Name the columns of all classes in class_shares"
            )
        if self.class_shares and {*self.class_shares} != {*self.targets}:
            raise ValueError(
                f"class_shares names {listed(self.class_shares)} (allowed: a column for each of "
                f"the targets, {listed(self.targets)}, and for nothing else)"
            )
        if len({*self.class_shares.values(), self.class_column}) <= len(self.class_shares):
            raise ValueError(
                "class_shares holds a column twice, or class_column (allowed: a column for each "
                "class)"
            )
        match self.task:
            case "binary" if count != 1:
                raise ValueError(f"a binary task has one target, not {count}: use multi-label")
            case "single-label" if self.class_column is None or count < 2:
                raise ValueError("a single-label task needs class_column and at least two targets")
            case "binary" | "multi-label" if self.class_column is not None or self.class_shares:
                name = "class_shares" if self.class_shares else "class_column"
                raise ValueError(f"{name} is for single-label tasks, not {self.task}")
            case _:
                pass
        if self.outlier_classes and self.class_column is None:
            raise ValueError("outlier_classes are classes of class_column, which is not given")
        if learned := sorted({*self.outlier_classes} & {*self.targets}):
            raise ValueError(
                f"{listed(learned)} {'is' if len(learned) == 1 else 'are'} in targets and in "
                "outlier_classes: a class is learned or not"
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The targets in the order of the study file."""
        return tuple(self.targets)

    @property
    def fractional(self) -> list[str]:
        """Targets whose cells between 0 and 1 are trained on."""
        return [name for name, policy in self.targets.items() if policy.fractions == "train"]


def _value_text(cell: Any) -> Any:
    """A cell of `values` as text, empty for `empty` and for nothing."""
    if cell is None or cell == EMPTY:
        return ""
    return str(cell) if isinstance(cell, (int, float)) else cell
