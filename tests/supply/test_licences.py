"""Licences of what we install, and the list with hashes."""

import pytest
from supply.closure import Dependency, dependencies
from supply.licences import verdict
from supply.lock import locked_lines


def test_every_dependency_has_a_licence_that_is_accepted() -> None:
    refused = [d for d in dependencies("medtransfer", ("weights",)) if verdict(d) is None]
    assert not refused


def test_the_closure_holds_direct_and_indirect_requirements() -> None:
    names = {dependency.name for dependency in dependencies("medtransfer")}
    assert {"torch", "polars", "markupsafe"} <= names  # MarkupSafe comes with Jinja
    assert "medtransfer" not in names
    assert "pytest" not in names  # an extra that was not asked for


@pytest.mark.parametrize(
    ("licence", "accepted"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("(Apache-2.0 OR GPL-2.0-only) AND MIT", True),
        ("(GPL-2.0-only OR MIT) AND GPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("MIT MIT", False),
        ("__import__('os')", False),
        ("", False),
    ],
)
def test_licences_are_read_as_expressions(licence: str, accepted: bool) -> None:
    assert (verdict(Dependency("some-package", "1", licence)) is not None) is accepted


def test_the_lock_has_a_hash_for_all_that_comes_from_an_index() -> None:
    items = [
        {
            "metadata": {"name": "b", "version": "2"},
            "download_info": {"archive_info": {"hashes": {"sha256": "f" * 64}}},
        },
        {"metadata": {"name": "A", "version": "1"}, "download_info": {"dir_info": {}}},
    ]
    assert locked_lines(items) == ([f"b==2 --hash=sha256:{'f' * 64}"], ["A"])
