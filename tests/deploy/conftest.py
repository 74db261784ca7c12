"""Bundles of a finished study."""

import pytest

from medtransfer.deploy.bundle.export import export_bundle
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.runs.folders import StudyFolder


@pytest.fixture(scope="session")
def bundle(finished: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of one network of the finished study."""
    path = tmp_path_factory.mktemp("bundle") / "lesion.medt"
    return export_bundle(finished, path, rung="imagenet/effnet-lite0")
