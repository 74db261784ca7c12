"""Every configuration field takes a side, says what it is, and does what its side promises."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from medtransfer.data.config import (
    AugmentConfig,
    DataConfig,
    ImageConfig,
    LabelPolicy,
    RetrainConfig,
    SplitConfig,
)
from medtransfer.deploy.adaptation.tuning.config import SequentialConfig
from medtransfer.deploy.monitoring.config import MonitorConfig
from medtransfer.deploy.validation.config import ValidationConfig
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.models.config import ModelConfig
from medtransfer.pretraining.config import Pretrain, UpstreamConfig, UpstreamTraining, pretrain_id
from medtransfer.runs.config import Transfer, earlier_run_id, run_id, scoring_digest
from medtransfer.settings import Settings, Side, _plain, sides_of
from medtransfer.study.axes.config import AxesConfig, AxisRange, ConditionConfig, SampleConfig
from medtransfer.study.config import RungEntry, Study, SweepConfig
from medtransfer.training.config import GrowthConfig, LossConfig, TrainingConfig, TuningConfig
from medtransfer.training.mitigation.config import MitigationConfig, StudyMitigation

GOLDEN = Path(__file__).parents[1] / "golden" / "run_ids.json"
FIELDS = GOLDEN.with_name("identity_fields.json")
NORTH = RetrainConfig(cohort="north", fraction=1.0)
DATA, WEIGHTS = "d" * 64, "e" * 64

CONFIGS: tuple[type[Settings], ...] = (
    LabelPolicy,
    SplitConfig,
    RetrainConfig,
    AugmentConfig,
    ImageConfig,
    DataConfig,
    ModelConfig,
    LossConfig,
    TuningConfig,
    GrowthConfig,
    TrainingConfig,
    MitigationConfig,
    StudyMitigation,
    EvaluationConfig,
    AdaptConfig,
    MonitorConfig,
    SequentialConfig,
    ValidationConfig,
    Transfer,
    RungEntry,
    SweepConfig,
    AxesConfig,
    AxisRange,
    SampleConfig,
    ConditionConfig,
    Study,
    UpstreamConfig,
    UpstreamTraining,
    Pretrain,
)

OTHERWISE: dict[type[Settings], dict[str, Any]] = {
    LabelPolicy: {"uncertain": "zeros", "empty": "ones", "fractions": "train"},
    SplitConfig: {
        "train_cohorts": ("north",),
        "tune_fraction": 0.1,
        "test_fraction": 0.3,
        "train_fraction": 0.5,
        "shots": 5,
        "group_columns": ("lesion_id",),
        "seed": 7,
        "retrain": RetrainConfig(cohort="south", fraction=0.5),
    },
    RetrainConfig: {"cohort": "south", "fraction": 0.5, "pool": 0.3, "arm": "sequential"},
    ImageConfig: {
        "resize": 100,
        "crop": 80,
        "region": "breast",
        "chest_wall": "left",
        "flip": "both",
        "codec": "png",
        "jpeg_quality": 90,
        "augment": AugmentConfig(rotate=5),
    },
    AugmentConfig: {
        "rotate": 10,
        "scale": 0.1,
        "translate": 0.1,
        "crop_area": 0.5,
        "equalise": 0.5,
        "brightness": 0.1,
        "contrast": 0.1,
        "gamma": 0.1,
        "blur": 1,
        "noise": 0.1,
        "erase": 0.1,
        "cutmix": 1,
    },
    DataConfig: {
        "manifest": Path("elsewhere.csv"),
        "image_root": Path("pictures"),
        "task": "binary",
        "targets": {"Effusion": LabelPolicy()},
        "class_column": "dx",
        "levels": {"exam_id": "mean"},
        "attributes": ("sex",),
        "class_shares": {"Edema": "readers"},
        "outlier_classes": ("rare",),
        "values": {"sex": {"w": "F"}},
        "image": ImageConfig(flip="both"),
        "split": SplitConfig(train_fraction=0.9),
        "pixel_limit": 2_000_000,
    },
    ModelConfig: {
        "rung": "scratch/r26x1",
        "weights": Path("w.safetensors"),
        "pool": "max",
        "features": Path("f.npy"),
        "feature_ids": Path("ids.csv"),
        "head": "mlp",
        "covariates": ("age",),
    },
    TrainingConfig: {
        "batch_size": 64,
        "learning_rate": 0.1,
        "steps": 50,
        "mixup": 0.2,
        "momentum": 0.5,
        "weight_decay": 0.01,
        "micro_batch": 8,
        "precision": "float32",
        "selection": "last",
        "checks": 3,
        "deterministic": False,
        "device": "cpu",
        "checkpoint_seconds": 5.0,
        "hang_seconds": 60.0,
        "devices": 2,
        "spread_weights": True,
        "schedule": "cosine",
        "optimiser": "adamw",
        "layer_decay": 0.7,
        "clip_norm": 1.0,
        "ema": 0.99,
        "ood": False,
        "head_start": "probe",
        "growth": GrowthConfig(share=0.25),
        "mitigation": MitigationConfig(groups="sex", method="weights"),
        "loss": LossConfig(kind="focal"),
        "tuning": TuningConfig(mode="linear"),
    },
    GrowthConfig: {"share": 0.3, "until": 0.2},
    LossConfig: {
        "kind": "asymmetric",
        "gamma": 1.0,
        "gamma_negative": 2.0,
        "margin": 0.1,
        "weights": "balanced",
        "smoothing": 0.1,
    },
    TuningConfig: {
        "mode": "low-rank",
        "frozen_stages": 2,
        "frozen_until": 0.5,
        "rank": 4,
        "scale": 2.0,
        "penalties": (1.0,),
    },
    EvaluationConfig: {
        "operating_points": ("youden",),
        "replicates": 10,
        "permutations": 10,
        "minimum_group": 3,
        "seed": 5,
        "resample": "bayesian",
        "interval": "bca",
        "intersections": (("sex", "age_band"),),
        "group_thresholds": ("sex",),
        "healthy_targets": ("No Finding",),
        "margin": 0.02,
        "decision_thresholds": (0.1, 0.2),
        "miss_cost": 5.0,
        "grades": ("low", "high"),
        "metrics": ("core",),
    },
    Transfer: {
        "data": None,
        "model": None,
        "training": None,
        "evaluation": None,
        "seed": 4,
    },
}
"""Another legal value for every field that a run is made of; None: its own fields are varied."""


def transfer(**changes: Any) -> Transfer:
    """A run of a chest study with every field at a stated value."""
    data = DataConfig(
        manifest=Path("chest.csv"),
        task="multi-label",
        targets={"Edema": LabelPolicy(), "Effusion": LabelPolicy(uncertain="ones")},
        image=ImageConfig(resize=72, crop=64),
    )
    parts: dict[str, Any] = {"data": data, "model": ModelConfig(rung="scratch/r14x1"), **changes}
    return Transfer(**parts)


UPSTREAM: dict[type[Settings], dict[str, Any]] = {
    UpstreamConfig: {
        "images": Path("elsewhere"),
        "image_root": Path("pictures"),
        "task": "multi-label",
        "label": "names",
        "targets": ("Edema",),
        "fraction": 0.5,
        "held_out": 0.1,
        "resize": 300,
        "crop": 200,
        "flip": "none",
        "augment": AugmentConfig(),
        "jpeg_quality": 90,
        "seed": 3,
        "pixel_limit": 2_000_000,
    },
    UpstreamTraining: {
        **OTHERWISE[TrainingConfig],
        "mixup": 0.2,
        "selection": "best",
        "epochs": 5.0,
        "warmup_steps": 7,
        "sides": (128, 224),
    },
    Pretrain: {
        "name": "other",
        "rung": "scratch/r26x1",
        "weights": Path("w.safetensors"),
        "data": None,
        "training": None,
        "seed": 4,
        "about": "cats",
        "licence": "free",
    },
}
"""The same for what a pre-training run is made of."""


def pretraining() -> Pretrain:
    return Pretrain(name="cats", rung="scratch/r14x1", data=UpstreamConfig(images=Path("cats")))


@pytest.mark.parametrize(
    ("config", "name"),
    [(config, name) for config, fields in UPSTREAM.items() for name in fields],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_a_field_moves_the_id_of_pretraining_exactly_if_it_is_identity(
    config: type[Settings], name: str
) -> None:
    run, value = pretraining(), UPSTREAM[config][name]
    if value is None:
        return
    change = {name: value}
    if config is UpstreamConfig:
        change = {"data": _at(run.data, **change)}
    elif config is UpstreamTraining:
        change = {"training": _at(run.training, **change)}
    moved = pretrain_id(_at(run, **change), DATA, None) != pretrain_id(run, DATA, None)
    assert moved == (sides_of(config)[name] == "identity")


@pytest.mark.parametrize("config", UPSTREAM, ids=lambda c: c.__name__)
def test_every_field_of_pretraining_is_varied_here(config: type[Settings]) -> None:
    assert set(UPSTREAM[config]) == set(config.model_fields)


def varied() -> list[tuple[type[Settings], str]]:
    return [(config, name) for config, fields in OTHERWISE.items() for name in fields]


def with_change(config: type[Settings], name: str) -> Transfer | None:
    """The run with one field changed, wherever that field sits; None for a nested whole."""
    value = OTHERWISE[config][name]
    if value is None:
        return None
    run = transfer()
    holders: dict[type[Settings], Any] = {
        DataConfig: lambda new: {"data": new(run.data)},
        SplitConfig: lambda new: {"data": _at(run.data, split=new(run.data.split))},
        RetrainConfig: lambda new: {
            "data": _at(run.data, split=_at(run.data.split, retrain=new(NORTH)))
        },
        ImageConfig: lambda new: {"data": _at(run.data, image=new(run.data.image))},
        AugmentConfig: lambda new: {
            "data": _at(run.data, image=_at(run.data.image, augment=new(run.data.image.augment)))
        },
        LabelPolicy: lambda new: {
            "data": _at(run.data, targets={**run.data.targets, "Edema": new(LabelPolicy())})
        },
        ModelConfig: lambda new: {"model": new(run.model)},
        TrainingConfig: lambda new: {"training": new(run.training)},
        LossConfig: lambda new: {"training": _at(run.training, loss=new(run.training.loss))},
        TuningConfig: lambda new: {"training": _at(run.training, tuning=new(run.training.tuning))},
        GrowthConfig: lambda new: {"training": _at(run.training, growth=new(GrowthConfig()))},
        EvaluationConfig: lambda new: {"evaluation": new(run.evaluation)},
    }
    if config is Transfer:
        return _at(run, **{name: value})
    return _at(run, **holders[config](lambda whole: _at(whole, **{name: value})))


def _at(whole: Any, **changes: Any) -> Any:
    return whole.model_copy(update=changes)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.__name__)
def test_every_field_takes_a_side_and_says_what_it_is(config: type[BaseModel]) -> None:
    taken = sides_of(config)
    for name, field in config.model_fields.items():
        assert taken.get(name) in get_args(Side), f"{config.__name__}.{name} takes no side"
        assert field.description, f"{config.__name__}.{name} has no sentence under it"


def test_every_config_class_is_in_this_test() -> None:
    import medtransfer.runs.config  # noqa: F401 — brings all of them in

    own = {c for c in _subclasses(Settings) if c.__module__.startswith("medtransfer.")}
    assert own == set(CONFIGS)


@pytest.mark.parametrize("config", OTHERWISE, ids=lambda c: c.__name__)
def test_every_field_of_a_run_is_varied_here(config: type[Settings]) -> None:
    assert set(OTHERWISE[config]) == set(config.model_fields)


@pytest.mark.parametrize(("config", "name"), varied(), ids=lambda v: getattr(v, "__name__", v))
def test_a_field_moves_the_run_id_exactly_if_it_is_identity(
    config: type[Settings], name: str
) -> None:
    changed = with_change(config, name)
    if changed is None:
        return
    moved = run_id(changed, DATA, None) != run_id(transfer(), DATA, None)
    scored = scoring_digest(changed, DATA) != scoring_digest(transfer(), DATA)
    side = sides_of(config)[name]
    if acts_by_rows(config, name):  # the rows are in the digest of the data
        moved = not moved and earlier_run_id(changed, DATA, None) != earlier_run_id(
            transfer(), DATA, None
        )
    assert (moved, scored) == (side == "identity", side == "scoring")


def acts_by_rows(config: type[Settings], name: str) -> bool:
    extra = config.model_fields[name].json_schema_extra
    return isinstance(extra, dict) and "by" in extra


def test_data_and_weights_are_part_of_the_run_id() -> None:
    ids = {
        run_id(transfer(), data, weights)
        for data in (DATA, "f" * 64)
        for weights in (None, WEIGHTS)
    }
    assert len(ids) == 4


def test_run_ids_are_as_they_were_reviewed() -> None:
    from tests.demo_frame import demo_study_without_files

    from medtransfer.recipes.demo import NAME
    from medtransfer.study.grid import expand
    from medtransfer.study.yaml_file import resolve_paths

    study = resolve_paths(demo_study_without_files(), Path())
    ids = {
        f"{NAME} {cell.rung} {cell.label_fraction:g} {cell.seed}": run_id(cell.run, DATA, None)
        for cell in expand(study, None)  # type: ignore[arg-type] — no cohort is left out
    }
    ids["chest"] = run_id(transfer(), DATA, WEIGHTS)
    assert ids == json.loads(GOLDEN.read_text()), (
        "Run ids have moved: finished studies would be run again. If a number can change, raise "
        "IDENTITY_VERSION and write the new ids to tests/golden/run_ids.json"
    )


def identity_fields() -> dict[str, Any]:
    """Every field on the side of identity, with its default and whether ids hold it always."""
    fields: dict[str, Any] = {}
    for config in CONFIGS:
        for name, side in sides_of(config).items():
            field = config.model_fields[name]
            if side != "identity" or field.default_factory is not None:
                continue
            default = None if field.is_required() else _plain(field.default, (side,))
            fields[f"{config.__name__}.{name}"] = {
                "hashed": _hashed(config, name),
                "default": default,
            }
    return fields


def _hashed(config: type[Settings], name: str) -> str:
    """How ids hold a field: always, if it is set, or by the rows that it leads to."""
    if acts_by_rows(config, name):
        return "by rows"
    extra = config.model_fields[name].json_schema_extra
    return "if set" if isinstance(extra, dict) and "later" in extra else "always"


def test_a_setting_that_is_added_later_is_not_hashed_at_its_default() -> None:
    reviewed, now = json.loads(FIELDS.read_text()), identity_fields()
    added = {name: field for name, field in now.items() if name not in reviewed}
    always = [name for name, field in added.items() if field["hashed"] == "always"]
    assert not always, (
        f"{always} would give finished runs other ids: declare them with identity_if_set"
    )
    assert now == reviewed, (
        "Fields of identity or their defaults have moved. A changed default changes runs under "
        "their old ids: raise IDENTITY_VERSION. Write the fields to tests/golden/"
        "identity_fields.json"
    )


def _subclasses(config: type) -> set[type]:
    return {c for sub in config.__subclasses__() for c in {sub, *_subclasses(sub)}}
