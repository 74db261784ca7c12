"""A hospital that bundles are adapted to, and a bundle of two networks."""

from pathlib import Path

import pytest
from tests.deploy.validation.test_validate_bundle import hospital_manifest

from medtransfer.deploy.bundle.export import export_bundle
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.runs.folders import StudyFolder


@pytest.fixture(scope="session")
def south(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest of 80 cases of a hospital that the study has never seen."""
    return hospital_manifest(tmp_path_factory.mktemp("south"), 80)


@pytest.fixture(scope="session")
def ensemble(finished: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of both seeds of a rung of the finished study."""
    path = tmp_path_factory.mktemp("ensemble") / "two.medt"
    return export_bundle(finished, path, rung="imagenet/effnet-lite0", ensemble=True)
