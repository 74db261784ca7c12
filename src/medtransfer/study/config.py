"""A study: rungs × label fractions × seeds on one data set. What `study.yaml` holds."""

import math
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from medtransfer.analysis.questions import Understanding
from medtransfer.data.audit.run import CHECKS
from medtransfer.data.config import SEQUENTIAL, DataConfig, ImageConfig, Name
from medtransfer.data.images.corruptions import CorruptionName
from medtransfer.errors import listed, suggestion
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.scoring.config import EvaluationConfig, unknown_names
from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import find_rung
from medtransfer.models.rungs.start import mitigation_of, sees_covariates
from medtransfer.posthoc.adaptation.arms import TRAINED_ARMS, TrainedArm
from medtransfer.settings import (
    Settings,
    identity,
    identity_if_set,
    runtime,
    scoring,
    scoring_if_set,
)
from medtransfer.sizes.limits import MAX_RUNS, count_fault
from medtransfer.study.axes.combinations import GridSettings, axis_faults, combined
from medtransfer.study.axes.config import AxesConfig
from medtransfer.study.axes.sweep_config import SweepConfig
from medtransfer.study.rungs.entry import RungEntry
from medtransfer.study.rungs.twins import ControlName, twins
from medtransfer.training.config import TrainingConfig, TuningConfig
from medtransfer.training.mitigation.config import MitigationConfig, StudyMitigation

Fraction = Annotated[float, Field(gt=0, le=1)]
Shots = Annotated[int, Field(ge=1, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Keep = Literal["weights", "predictions"]
Reason = Annotated[str, Field(min_length=10)]
TWICE = "name the second RUNG@variant-NAME to compare several settings of one network"


class Study(Settings):
    """A study: the rungs to compare, on which data, and how."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = runtime()
    """Name of the study and of its folder: letters, digits, `.`, `_`, `-`."""
    data: DataConfig = identity()
    """Manifest, prediction task and label columns."""
    rungs: tuple[RungEntry, ...] = identity(min_length=1)
    """The rungs to compare: names, or mappings with `rung` and its own settings."""
    controls: tuple[ControlName, ...] = identity_if_set(())
    """Negative controls of the reference rung, as further rungs that should fail:
    `shuffled_labels`, `border_only` (the outer tenth of each side), `patch_shuffled` (the squares
    of an 8 × 8 grid in another order). `metadata_only`, clinical data without images, comes with
    `covariates`."""
    covariates: tuple[Name, ...] = identity_if_set(())
    """Columns of clinical data that are put beside the features of the images. Every rung is then
    there twice, without them and as `RUNG@covariates`, and `metadata-only/linear` sees them alone.
    Numbers are standardised on the training cases, other values are columns of 0 and 1."""
    mitigation: StudyMitigation | None = identity_if_set(None)
    """Trainings of the reference rung that treat groups of patients alike, as further rungs
    `RUNG@group-weights`, so that a gap has an alternative beside it."""
    reference: str | None = scoring(None)
    """The rung that others are compared with; the first one by default."""
    label_fractions: tuple[Fraction, ...] = identity((1.0,), min_length=1)
    """Shares of the training patients whose labels are used."""
    shots: tuple[Shots, ...] = identity_if_set(())
    """Few-shot budgets beside the label fractions: numbers of training patients of each class, as
    in `data.split.shots`. In tables and curves each is at its share of the training patients."""
    seeds: tuple[Seed, ...] = identity((0, 1, 2), min_length=1)
    """Each run is repeated with each seed."""
    ensemble: Literal["seeds"] | None = scoring(None)
    """`seeds`: the seeds of each rung as one more rung, `RUNG (ensemble of N seeds)`, whose
    probabilities are their mean. Trains nothing; compared with the rung itself."""
    retrain_fractions: tuple[Fraction, ...] = identity_if_set(())
    """Shares of a shifted cohort's patients whose cases join the training, each a run of its own
    with all labels at home. They are tested on that cohort's other patients; what no such training
    gives there is always shown beside it."""
    retrain_pool: float = identity_if_set(0.5, gt=0, lt=1)
    """Share of a shifted cohort's patients that `retrain_fractions` are taken of; the others
    test."""
    leave_cohort_out: bool = identity(default=False)
    """Train once without each cohort and test on it, instead of `data.split.train_cohorts`."""
    training: TrainingConfig = identity(TrainingConfig())
    """Training settings of every rung."""
    sweep: SweepConfig = identity_if_set(SweepConfig())
    """Every combination is a run at every place of the grid, with every seed. Of each rung and
    label budget the one with the best mean AUROC on the tuning split is in the tables; the others
    are in `sweep.csv` with what they cost."""
    axes: AxesConfig = identity_if_set(AxesConfig())
    """More settings to try at every place of the grid, by dotted path; chosen among as in `sweep`.
    """
    evaluation: EvaluationConfig = identity(EvaluationConfig())
    """Scoring settings."""
    adapt: AdaptConfig | None = scoring(None)
    """Adaptation of the networks to each shifted hospital with a few of its patients: `{}` for the
    default settings. Writes `curves/adapt.parquet`, with the runs of `retrain_fractions` beside the
    arms. Trains no network, but for the arms `sequential` and `shifted-only`."""
    corruptions: tuple[CorruptionName, ...] = scoring_if_set(())
    """Corruptions of the internal test cases, which runs with most labels predict too: `jpeg`,
    `blur`, `noise`, `contrast`, `resolution`, at severities 1, 3 and 5; `blur@2` is severity 2
    alone. Trains nothing; writes `curves/corruptions.parquet`. Needs the weights of the runs."""
    readings: Path | None = runtime(None)
    """Labels of several readers: a table of `case_id`, `reader` and `target_<name>`,
    relative to study.yaml. Readers and rungs are judged against it on the test cases, in
    `readers.parquet`; training and results keep the labels of the manifest. Its content decides
    whether tables are made again, its place does not."""
    understanding: tuple[Understanding, ...] = scoring(())
    """Questions about why a rung wins, asked of each finished run with most labels, on up to 2,000
    tuning cases. Trains nothing; writes `curves/understanding.parquet`. All but `convergence` and
    `trajectory` need the weights of the runs, see `keep`. With `trajectory`, runs that are trained
    from now on predict up to 1,000 test cases of each cohort at each validation, which takes time
    and selects nothing; it writes `curves/trajectory.parquet`."""
    keep: Keep = runtime("weights")
    """Content of finished runs besides their tables. With `weights`, about 4 bytes for each
    parameter (94 MB for a ResNet-50), they predict cohorts that are added later. With `predictions`
    the weights of finished runs are deleted, and such a cohort needs them to be trained again."""
    waive: dict[str, Reason] = scoring({})
    """Audit errors to accept: code and reason. Printed in the report."""

    @field_validator("rungs", mode="before", json_schema_input_type=list[str | RungEntry])
    @classmethod
    def _names_alone(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [{"rung": v} if isinstance(v, str) else v for v in value]  # type: ignore[misc]
        return value

    @model_validator(mode="after")
    def _with_twins(self) -> "Study":
        """Add the twins of the rungs, as often as the study is read."""
        added = twins(
            self.rungs,
            self.reference_rung,
            covariates=bool(self.covariates),
            controls=self.controls,
            mitigation=self.mitigation.methods if self.mitigation else (),
        )
        if added:
            object.__setattr__(self, "rungs", (*self.rungs, *added))
        return self

    @field_validator("waive")
    @classmethod
    def _known_codes(cls, value: dict[str, str]) -> dict[str, str]:
        for code in value:
            if code not in CHECKS:
                hint = suggestion(code, CHECKS)
                raise ValueError(
                    f"'{code}' is not a check (allowed: {listed(CHECKS, 40)}). {hint}".rstrip()
                )
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> "Study":
        if unknown := axis_faults(self.axes):
            raise ValueError("; ".join(unknown))
        # before the faults: they are looked for in every combination
        # the bound first: the exact number lists every combination, and a billion fill the memory
        fault = count_fault(self._most_runs, "runs", MAX_RUNS, "The study")
        if fault := fault or count_fault(self.num_runs, "runs", MAX_RUNS, "The study"):
            raise ValueError(fault)
        faults = [
            *self._repetition_faults(),
            *self._reference_faults(),
            *self._ensemble_faults(),
            *unknown_names(
                self.evaluation,
                self.data.names,
                self.data.attributes,
                single_label=self.data.task == "single-label",
            ),
            *self._training_faults(),
            *self._sweep_faults(),
            *self._split_faults(),
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _repetition_faults(self) -> list[str]:
        """Lists that hold a value twice."""
        listings: dict[str, list[str]] = {
            "rungs": [entry.rung for entry in self.rungs],
            "seeds": [str(seed) for seed in self.seeds],
            "label_fractions": [str(fraction) for fraction in self.label_fractions],
            "retrain_fractions": [str(fraction) for fraction in self.retrain_fractions],
            "shots": [str(count) for count in self.shots],
            "understanding": list(self.understanding),
            "corruptions": list(self.corruptions),
            "covariates": list(self.covariates),
            "sweep.learning_rates": [str(rate) for rate in self.sweep.learning_rates],
            "sweep.steps": [str(steps) for steps in self.sweep.steps],
            "sweep.weight_decays": [str(decay) for decay in self.sweep.weight_decays],
        }
        faults: list[str] = []
        for setting, values in listings.items():
            repeated = {value for value, count in Counter(values).items() if count > 1}
            if repeated:
                hint = f" ({TWICE})" if setting == "rungs" else ""
                faults.append(f"{setting} holds {listed(sorted(repeated))} twice{hint}")
        return faults

    def _ensemble_faults(self) -> list[str]:
        """An ensemble of one seed."""
        if self.ensemble is None or len(self.seeds) > 1:
            return []
        return ["ensemble is seeds, and seeds has one: an ensemble needs two"]

    def _reference_faults(self) -> list[str]:
        """A reference that is no rung of the study."""
        names = [entry.rung for entry in self.rungs]
        if self.reference is None or self.reference in names:
            return []
        hint = suggestion(self.reference, names)
        return [f"reference '{self.reference}' is not among the rungs. {hint}".rstrip(" .")]

    def _split_faults(self) -> list[str]:
        """Settings of the split that a study sets itself, or that exclude each other."""
        split, faults = self.data.split, list[str]()
        if split.train_fraction != 1:
            faults.append(
                f"data.split.train_fraction is {split.train_fraction:g}: a study takes "
                "label_fractions instead"
            )
        if split.shots is not None:
            faults.append("data.split.shots is given: a study takes shots instead")
        if split.retrain is not None:
            faults.append("data.split.retrain is given: a study takes retrain_fractions instead")
        is_shifted = self.leave_cohort_out or split.train_cohorts is not None
        if self.retrain_fractions and not is_shifted:
            faults.append("retrain_fractions needs a shifted cohort: name data.split.train_cohorts")
        if self.adapt is not None and not is_shifted:
            faults.append("adapt needs a shifted cohort: name data.split.train_cohorts")
        if self.leave_cohort_out and split.train_cohorts is not None:
            faults.append("leave_cohort_out and data.split.train_cohorts exclude each other")
        grouped = [entry.rung for entry in self.rungs if mitigation_of(entry.rung)]
        if self.data.image.augment.cutmix and "dro" in map(mitigation_of, grouped):
            faults.append("mitigation dro mixes no cases of several groups: set cutmix to 0")
        if grouped and self.mitigation is None:
            faults.append(f"mitigation names no groups, which {grouped[0]} needs")
        blind = [entry.rung for entry in self.rungs if sees_covariates(entry.rung)]
        if not self.covariates and (blind or "metadata_only" in self.controls):
            faults.append(
                f"covariates names no column, which {(blind or ['metadata_only'])[0]} needs"
            )
        if self.corruptions and self.keep == "predictions":
            faults.append("corruptions need the weights of finished runs: keep must be weights")
        if self.adapt is not None and "probe" in self.adapt.arms and self.keep == "predictions":
            faults.append(
                "adapt.arms: probe needs the weights of finished runs: keep must be weights"
            )
        return [*faults, *self._trained_arm_faults()]

    def _trained_arm_faults(self) -> list[str]:
        """Settings without which the arms that train cannot be."""
        if not self.trained_arms:
            return []
        arms, faults = f"adapt.arms: {listed(self.trained_arms)}", list[str]()
        if not self.retrain_fractions:
            faults.append(f"{arms}: set retrain_fractions, the shares of patients to train on")
        if self.is_swept:
            faults.append(f"{arms}: leave out sweep and axes (arms train at one setting)")
        if SEQUENTIAL not in self.trained_arms:
            return faults
        if self.keep == "predictions":
            faults.append(
                "adapt.arms: sequential needs the weights of finished runs: keep must be weights"
            )
        if all(self.training_of(entry).tuning.mode == "linear" for entry in self.rungs):
            faults.append(
                "adapt.arms: sequential has no rung: all are linear probes, whose optimum does not "
                "depend on where it starts"
            )
        return faults

    @property
    def trained_arms(self) -> tuple[TrainedArm, ...]:
        """Arms of `adapt` that train on a shifted hospital's patients, each with runs of its own.

        They are trained on the shares of `retrain_fractions`.
        """
        asked = () if self.adapt is None else self.adapt.arms
        return tuple(arm for arm in TRAINED_ARMS if arm in asked)

    def _training_faults(self) -> list[str]:
        """Conflicts between the training settings and the task, each named once."""
        conflicts = [
            fault
            for entry in self.rungs
            for each in self.settings_of(entry)
            for fault in each.training.faults(self.data.task, self.data.names, each.model.pool)
        ]
        return list(dict.fromkeys(conflicts))

    def _sweep_faults(self) -> list[str]:
        """Schedules that are too short for the checks."""
        checks = {entry.rung: self.training_of(entry).checks for entry in self.rungs}
        return [
            f"sweep.steps holds {steps}, fewer than the {count} checks of {rung}"
            for rung, count in checks.items()
            for steps in self.sweep.steps
            if steps < count
        ]

    @property
    def num_runs(self) -> int:
        """Number of its runs, where no cohort is left out or trained on again more than once."""
        return self._places * sum(len(self.settings_of(entry)) for entry in self.rungs)

    @property
    def _most_runs(self) -> int:
        """Number of its runs before conditions and exclusions of its axes; nothing is listed."""
        sweep = self.sweep
        swept = math.prod(
            max(1, len(values))
            for values in (sweep.learning_rates, sweep.steps, sweep.weight_decays)
        )
        settings = sum(
            1 if self.training_of(entry).tuning.mode == "linear" else swept for entry in self.rungs
        )
        # the combinations of the axes alone have to be listed, to see which are excluded
        return max(self._places * settings, self.axes.most)

    @property
    def _places(self) -> int:
        """Label budgets by seeds."""
        again = len(self.retrain_fractions) * (1 + len(self.trained_arms))
        return len(self.seeds) * (len(self.label_fractions) + len(self.shots) + again)

    def settings_of(self, entry: RungEntry) -> list[GridSettings]:
        """Settings that are tried of a rung: of the sweep, by those of the axes.

        Raises:
            ValueError: A combination of the axes is no valid setting.
        """
        model, image = self.model_of(entry), self.image_of(entry)
        return [
            settings
            for training in self.sweep.settings(self.training_of(entry))
            for settings in combined(self.axes, GridSettings(model, training, image))
        ]

    @property
    def is_swept(self) -> bool:
        """True if several settings are tried at every place of the grid."""
        return self.sweep.is_set or self.axes.is_set

    @property
    def reference_rung(self) -> str:
        """The rung that others are compared with."""
        return self.reference or self.rungs[0].rung

    def training_of(self, entry: RungEntry) -> TrainingConfig:
        """The study's training settings with a rung's own on top."""
        overrides = {
            name: getattr(entry.training, name) for name in entry.training.model_fields_set
        }
        method = mitigation_of(entry.rung)
        if method is not None and self.mitigation is not None:
            groups, rate = self.mitigation.groups, self.mitigation.rate
            overrides["mitigation"] = MitigationConfig(groups=groups, method=method, rate=rate)
        training = TrainingConfig(**(self.training.model_dump() | overrides))
        if find_rung(entry.rung).reads_images or training.tuning.mode == "linear":
            return training
        return training.model_copy(update={"tuning": TuningConfig(mode="linear")})

    def image_of(self, entry: RungEntry) -> ImageConfig:
        """The study's image settings with a rung's own on top.

        Raises:
            ValueError: They do not go together.
        """
        overrides = {name: getattr(entry.image, name) for name in entry.image.model_fields_set}
        if not overrides:
            return self.data.image
        return ImageConfig(**(self.data.image.model_dump() | overrides))

    def model_of(self, entry: RungEntry) -> ModelConfig:
        """The model settings of a rung."""
        return ModelConfig(
            rung=entry.rung,
            weights=entry.weights,
            pool=entry.pool,
            features=entry.features,
            feature_ids=entry.feature_ids,
            head=entry.head,
            covariates=self.covariates if sees_covariates(entry.rung) else (),
        )
