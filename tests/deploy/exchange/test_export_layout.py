"""Folders for other libraries, opened by the libraries' own loaders."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from huggingface_hub import ModelCard
from numpy.testing import assert_allclose
from PIL import Image
from tests.deploy import handmade

from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.exchange.export_layout import export_layout
from medtransfer.deploy.exchange.export_source import export_source
from medtransfer.deploy.exchange.file_input import FileInput
from medtransfer.deploy.inference.model import load_bundle
from medtransfer.errors import BundleError, ConfigError
from medtransfer.runs.folders import StudyFolder


@pytest.fixture(scope="module")
def pictures(phantom_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Some images of the phantom in colour, of several sizes."""
    folder = tmp_path_factory.mktemp("pictures")
    rows = pl.read_parquet(phantom_folder / "lesion.parquet").head(6)
    for number, content in enumerate(rows["image"]):
        path = folder / f"{number}.png"
        path.write_bytes(content)
        side = 30 + 7 * number
        Image.open(path).convert("RGB").resize((side, 50)).save(path)
    return sorted(folder.iterdir())


def logits_of(bundle: Bundle, paths: list[Path]) -> Any:
    outcome = load_bundle(bundle.path, device="cpu").predict(paths)
    return outcome.scores.sort("case_id")["logit_malignant"].to_numpy()


def test_timm_opens_the_hub_layout_and_predicts_the_same(
    bundle: Bundle, pictures: list[Path], tmp_path: Path
) -> None:
    import timm
    import torch
    from timm.data import create_transform, resolve_model_data_config

    folder = export_layout(bundle, tmp_path / "hub", "huggingface")
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform: Any = create_transform(**resolve_model_data_config(model), is_training=False)
    images = [transform(Image.open(path).convert("RGB")) for path in pictures]
    read = FileInput(folder / "bundle.json")
    for path, image in zip(pictures, images, strict=True):
        assert_allclose(read(path), image, atol=1e-6)
    with torch.no_grad():
        logits = model(torch.stack(images)).numpy()[:, 0]
    assert_allclose(logits, logits_of(bundle, pictures), atol=1e-5)
    assert json.loads((folder / "config.json").read_text())["label_names"] == ["malignant"]
    card = ModelCard.load(folder / "README.md")
    assert card.data.to_dict()["library_name"] == "timm"
    assert "Not a medical device" in card.text


def test_a_monai_bundle_has_the_files_and_fields_of_its_specification(
    bundle: Bundle, tmp_path: Path
) -> None:
    """The published schema asks for these fields; MONAI loads it from the web to check them."""
    folder = export_layout(bundle, tmp_path / "monai", "monai")
    metadata = json.loads((folder / "configs/metadata.json").read_text())
    wanted = "version monai_version pytorch_version numpy_version task description authors"
    assert set(wanted.split()) <= set(metadata)
    assert {"changelog", "copyright", "network_data_format"} <= set(metadata)
    assert isinstance(metadata["required_packages_version"], dict)
    for name in ("version", "monai_version", "pytorch_version", "numpy_version"):
        assert re.fullmatch(r"\d+\.\d+\.\d+", metadata[name])
    data = metadata["network_data_format"]
    image, output = data["inputs"]["image"], data["outputs"]["pred"]
    for end in (image, output):
        assert isinstance(end["num_channels"], int)
        assert {"type", "format", "spatial_shape", "dtype", "channel_def"} <= set(end)
        assert len(end["channel_def"]) == end["num_channels"]
    assert image["spatial_shape"] == [32, 32]
    assert image["value_range"][0] < 0 < image["value_range"][1]
    assert output["channel_def"] == {"0": "malignant"}
    for name in ("LICENSE", "docs/README.md", "models/model.safetensors", "configs/inference.json"):
        assert (folder / name).stat().st_size > 0


@pytest.mark.slow
def test_monai_runs_its_bundle_and_predicts_the_same(
    bundle: Bundle, pictures: list[Path], tmp_path: Path
) -> None:
    monai = pytest.importorskip("monai.bundle", reason="monai is not installed")
    folder = export_layout(bundle, tmp_path / "monai", "monai")
    parser = monai.ConfigParser()
    parser.read_config(folder / "configs/inference.json")
    parser.read_meta(folder / "configs/metadata.json")
    parser["bundle_root"] = str(folder)
    parser["images"] = [str(path) for path in pictures]
    parser["device"] = "cpu"
    parser.parse()
    (outcome,) = parser.get_parsed_content("run")
    expected = 1 / (1 + np.exp(-logits_of(bundle, pictures)))
    assert_allclose(np.array(outcome)[:, 0], expected, atol=1e-6)


@pytest.mark.slow
def test_a_layout_is_made_of_a_study_too(finished: StudyFolder, tmp_path: Path) -> None:
    out = tmp_path / "hub"
    made = export_source(finished, out, rung="imagenet/effnet-lite0", layout="huggingface")
    assert made.facts.members == 1
    assert sorted(p.name for p in out.iterdir()) == [
        "README.md",
        "bundle.json",
        "config.json",
        "model.safetensors",
    ]


def test_what_no_other_library_can_hold_is_refused(tmp_path: Path) -> None:
    own = handmade.write_by_hand(tmp_path / "own.medt")
    with pytest.raises(ConfigError, match="'r14x0.5' is one that timm cannot build by name"):
        export_layout(own, tmp_path / "x", "huggingface")
    network = own.facts.network
    known = replace(
        network, architecture=replace(network.architecture, layers=None, timm="resnet18")
    )
    training = replace(own.facts.training, run_ids=("a", "b"), seeds=(0, 1))
    two = handmade.facts(network=known, members=2, training=training)
    made = handmade.write_by_hand(tmp_path / "two.medt", two)
    with pytest.raises(ConfigError, match="holds 2 networks, and this layout holds one"):
        export_layout(made, tmp_path / "x", "monai")
    views = replace(own.facts.training, images_per_case=4)
    weighed = handmade.facts(network=replace(known, pool="attention"), training=views)
    made = handmade.write_by_hand(tmp_path / "pool.medt", weighed)
    with pytest.raises(ConfigError, match="weighs the images of a case by attention"):
        export_layout(made, tmp_path / "x", "monai")
    other = handmade.write_by_hand(tmp_path / "other.medt", handmade.facts(network=known))
    with pytest.raises(BundleError, match="belong to another network"):
        export_layout(other, tmp_path / "x", "huggingface")
    with pytest.raises(BundleError, match=r'"gone\.json" is no bundle\.json'):
        FileInput(tmp_path / "gone.json")
    assert not (tmp_path / "x").exists()
