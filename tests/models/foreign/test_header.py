"""A file of another network is refused by its header, before images are read."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from medtransfer.errors import WeightsError
from medtransfer.models.backbones import build_backbone
from medtransfer.models.foreign.header import require_header
from medtransfer.models.load_weights import load_weights
from medtransfer.models.rungs.architectures import architecture_of
from medtransfer.study.check import check_study
from medtransfer.study.config import Study

NETWORKS = ("r14x0.5", "effnet-lite0", "timm:vit_tiny_patch16_224", "timm:convnext_atto")


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_that_loads_passes_and_others_do_not(name: str, tmp_path: Path) -> None:
    network = build_backbone(architecture_of(name), seed=0)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    require_header(tmp_path / "w.safetensors", architecture_of(name))
    other = "timm:vit_tiny_patch16_224" if name == NETWORKS[0] else NETWORKS[0]
    with pytest.raises(WeightsError, match="belong to another network") as early:
        require_header(tmp_path / "w.safetensors", architecture_of(other))
    with pytest.raises(WeightsError) as late:
        load_weights(build_backbone(architecture_of(other), 0), tmp_path / "w.safetensors", "head")
    assert str(early.value).splitlines()[0] == str(late.value).splitlines()[0]


def test_weights_of_another_input_pass_as_they_load(tmp_path: Path) -> None:
    network = build_backbone(architecture_of("timm:vit_tiny_patch16_224"), seed=0)
    state = {**network.state_dict()}
    state["pos_embed"] = torch.zeros(1, 1 + 8 * 8, 192)
    state["patch_embed.proj.weight"] = torch.zeros(192, 1, 16, 16)
    save_file(state, tmp_path / "w.safetensors")
    require_header(tmp_path / "w.safetensors", architecture_of("timm:vit_tiny_patch16_224"))
    load_weights(network, tmp_path / "w.safetensors", "head")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="is damaged"):
        require_header(tmp_path / "w.safetensors", architecture_of(NETWORKS[0]))


def test_check_says_it_of_every_rung_before_images_are_prepared(
    tiny_study: Study, tmp_path: Path
) -> None:
    save_file({"layer.weight": torch.zeros(2)}, tmp_path / "w.safetensors")
    entries = [
        {"rung": f"file/{name}", "weights": tmp_path / "w.safetensors"} for name in NETWORKS[:2]
    ]
    study = Study.model_validate(
        tiny_study.model_dump(exclude_unset=True) | {"rungs": entries, "reference": None}
    )
    report = check_study(study, tmp_path / "s")
    assert isinstance(report.fault, WeightsError)
    assert str(report.fault).count("belong to another network") == 2
    assert not (tmp_path / "s" / "cache").exists()
