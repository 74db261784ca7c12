"""The place of a Ray cluster: what is one, and what an environment without Ray is told."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtransfer.engines.ray.address import RayAddress, read_address, require_ray
from medtransfer.errors import ConfigError
from medtransfer.study.config import Study
from medtransfer.study.schedule import run_study


@pytest.mark.parametrize(
    ("text", "address", "given_to_ray"),
    [
        ("ray", RayAddress("private"), "local"),
        ("10.0.0.5:6379", RayAddress("node", "10.0.0.5", 6379), "10.0.0.5:6379"),
        ("head:6379", RayAddress("node", "head", 6379), "head:6379"),
        ("[fe80::1]:6379", RayAddress("node", "fe80::1", 6379), "[fe80::1]:6379"),
        ("ray://a.b-c:10001", RayAddress("client", "a.b-c", 10001), "ray://a.b-c:10001"),
    ],
)
def test_an_address_is_given_to_ray_as_it_was_written(
    text: str, address: RayAddress, given_to_ray: str
) -> None:
    assert read_address(text) == address
    assert address.text == given_to_ray


@pytest.mark.parametrize(
    "text",
    [
        "moon",
        "Ray",
        "ray://",
        "ray://head",
        "head:",
        ":6379",
        "head:0",
        "head:65536",
        "head:６379",
        "ray://ray://head:1",
        "http://head:1",
        "user@head:1",
        "head:1/path",
        "head one:1",
        "-head:1",
        "head\n:1",
        "fe80::1",
        "[head]:1",
        "[10.0.0.5]:1",
        "fe80::1:6379",
        "[fe80::1:6379",
        "fe80::1]:6379",
        "[fe80::1%a\tb]:6379",
        "[fe80::1%]:6379",
        "head:" + "9" * 5000,
    ],
)
def test_what_is_no_address_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ConfigError, match=r"allowed: local, slurm, ray, HOST:PORT .* ray://HOST:P"):
        read_address(text)


@given(st.text() | st.from_regex(r"\A(ray://)?\[?[\w.:%-]{1,20}\]?:[0-9]{1,6}\Z"))
def test_what_is_read_is_given_to_ray_as_it_was_written(text: str) -> None:
    try:
        address = read_address(text)
    except ConfigError:
        return
    host, _, port = text.rpartition(":")
    assert text == "ray" or address.text == f"{host}:{int(port)}"


@given(
    st.sampled_from(["", "ray://"]),
    st.from_regex(r"\A[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z0-9]{1,5}){0,2}\Z")
    | st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map("[{}]".format),
    st.integers(1, 65535),
)
def test_names_and_numbers_of_both_kinds_are_addresses(start: str, host: str, port: int) -> None:
    address = read_address(f"{start}{host}:{port}")
    assert address.kind == ("client" if start else "node")
    assert (address.text, address.port) == (f"{start}{host}:{port}", port)


def test_an_environment_without_ray_is_told_the_extra_before_data_are_read(
    tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"Install the extra `medtransfer\[ray\]`, on all nodes"):
        run_study(tiny_study, tmp_path / "s", on="ray")
    assert not (tmp_path / "s").exists()
    with pytest.raises(ConfigError, match=r"not installed. Install the extra `medtransfer\[ray\]`"):
        require_ray()
