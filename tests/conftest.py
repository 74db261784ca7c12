"""What every test starts from: no network, no inherited settings, one thread, known data."""

import gc
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, cast

import pytest

from medtransfer import files
from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.study.config import Study

if TYPE_CHECKING:
    from collections.abc import Callable

    from medtransfer.pretraining.config import Pretrain
    from tests.local_run import Local

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes share two cores
ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("MEDTRANSFER_SHARED", ROOT.parent / "shared" / "data"))


def pytest_collection_finish() -> None:
    """Leave what was collected out of garbage collection, which took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(scope="session")
def speeds_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where measured speeds are remembered, in place of the user's cache."""
    return tmp_path_factory.mktemp("speeds")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, speeds_folder: Path) -> None:
    """Settings of the person who runs the tests must not change their outcome."""
    for name in list(os.environ):
        if name.startswith(("MEDTRANSFER_", "HF_", "HUGGINGFACE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("MEDTRANSFER_CACHE", str(speeds_folder))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection that leaves this machine fails the test."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: tuple[Any, ...] | str) -> None:
        host = address[0] if isinstance(address, tuple) else "local"
        if self.family != socket.AF_UNIX and host not in ("127.0.0.1", "localhost", "::1"):
            raise AssertionError(f"a test opened a connection to {host}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def no_lease_left() -> Iterator[None]:
    """A lease that a test leaves taken would guard the writes of the next one, its folder gone."""
    held = list(files._guards)
    yield
    for guard in [guard for guard in files._guards if guard not in held]:
        cast("Lease", cast("MethodType", guard).__self__).drop()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images, or a skip that says what is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"real images are absent: {SHARED.name} beside the repository's folder")
    return SHARED


@pytest.fixture(scope="session")
def chromium() -> str:
    """A headless browser, or a skip that says what is missing."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed: the report is not looked at in a browser")
    return found


PHANTOM = Phantom(
    kind="lesion",
    hospitals={"a": Hospital(48), "b": Hospital(24, contrast=0.7)},
    size=32,
    signal=1.5,
    seed=3,
)


@pytest.fixture(scope="session")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small phantom with its pictures inside: ``lesion.parquet``; read-only for tests."""
    folder = tmp_path_factory.mktemp("phantom")
    write_phantom(PHANTOM, folder / "lesion.parquet")
    radiograph = Phantom(kind="radiograph", hospitals={"a": Hospital(40)}, size=32, views=3, seed=4)
    write_phantom(radiograph, folder / "radiograph.parquet")
    return folder


@pytest.fixture(scope="session")
def tiny_study(phantom_folder: Path) -> Study:
    """A study whose runs take a second or two."""
    return Study.model_validate(
        {
            "name": "tiny",
            "data": {
                "manifest": phantom_folder / "lesion.parquet",
                "task": "binary",
                "targets": ["malignant"],
                "attributes": ["sex"],
                "image": {"resize": 36, "crop": 32},
                "split": {"train_cohorts": ["a"]},
            },
            "rungs": ["scratch/r14x0.5"],
            "seeds": [0],
            "training": {
                "batch_size": 8,
                "micro_batch": 4,
                "steps": 6,
                "checks": 3,
                "learning_rate": 0.01,
                "checkpoint_seconds": 0,
            },
            "evaluation": {"replicates": 100, "permutations": 50},
        }
    )


@pytest.fixture(scope="session")
def finished(phantom_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A finished study of two rungs, two label fractions and two seeds; read-only for tests."""
    study = Study.model_validate(
        {
            "name": "finished",
            "data": {
                "manifest": phantom_folder / "lesion.parquet",
                "task": "binary",
                "targets": ["malignant"],
                "attributes": ["sex"],
                "image": {"resize": 36, "crop": 32},
                "split": {"train_cohorts": ["a"]},
            },
            "rungs": ["scratch/r14x0.5", "imagenet/effnet-lite0"],
            "label_fractions": [0.5, 1.0],
            "seeds": [0, 1],
            "training": {"batch_size": 8, "micro_batch": 8, "steps": 4, "checks": 2},
            "evaluation": {"replicates": 100, "permutations": 50},
        }
    )
    from tests.in_process import run_here  # torch reads the variables above as it is imported

    return run_here(study, tmp_path_factory.mktemp("finished") / "study")


@pytest.fixture(scope="session")
def local(tiny_study: Study) -> "Callable[..., Local]":
    """Plans one run in a folder, to be carried out in this process."""
    from tests.local_run import plan_locally

    def make(folder: Path, study: Study = tiny_study) -> "Local":
        return plan_locally(study, folder)

    return make


@pytest.fixture
def recipe(tmp_path: Path) -> "Pretrain":
    """Shades: the class of a picture is how bright it is, so that a few steps learn something."""
    from medtransfer.data.config import AugmentConfig
    from medtransfer.pretraining.config import Pretrain, UpstreamConfig, UpstreamTraining
    from tests.shades import write_shades

    write_shades(tmp_path / "shades.parquet")
    return Pretrain(
        name="shades",
        rung="scratch/r26x0.25",
        about="shades of grey",
        data=UpstreamConfig(
            images=tmp_path / "shades.parquet", resize=18, crop=16, augment=AugmentConfig()
        ),
        training=UpstreamTraining(
            batch_size=16,
            micro_batch=8,
            epochs=3,
            learning_rate=0.05,
            checks=3,
            precision="float32",
            ema=0.9,
        ),
    )
