"""Bundles of a finished study."""

import pytest

from medtransfer.deploy.bundle.export import export_bundle
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.inference.model import BundleModel, load_bundle
from medtransfer.runs.folders import StudyFolder


@pytest.fixture(scope="session")
def bundle(finished: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of one network of the finished study."""
    path = tmp_path_factory.mktemp("bundle") / "lesion.medt"
    return export_bundle(finished, path, rung="imagenet/effnet-lite0")


@pytest.fixture(scope="session")
def bundle_model(bundle: Bundle) -> BundleModel:
    """The bundle, ready to predict."""
    return load_bundle(bundle.path, device="cpu")
