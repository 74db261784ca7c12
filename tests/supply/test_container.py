"""Dockerfile: the rules of hadolint that matter, as no container engine is at hand."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()


def instructions() -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n\s*", "", TEXT)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def of(name: str) -> list[str]:
    return [rest for word, rest in instructions() if word == name]


def test_the_base_is_an_argument_with_a_release_of_its_own() -> None:
    (base,) = [rest for rest in of("ARG") if rest.startswith("BASE=")]
    assert instructions()[0] == ("ARG", base)
    assert re.fullmatch(r"BASE=[\w./-]+:[\w.-]+", base)
    assert "latest" not in base
    assert all(rest.startswith("${BASE}") for rest in of("FROM"))


def test_packages_leave_no_lists_and_no_cache_behind() -> None:
    for command in of("RUN"):
        assert ("apt-get install" in command) <= ("--no-install-recommends" in command)
        assert ("apt-get update" in command) <= ("rm -rf /var/lib/apt/lists" in command)
        assert ("pip install" in command) <= ("--no-cache-dir" in command)
        assert "sudo" not in command
        assert "curl" not in command
    assert not of("ADD")


def test_it_runs_as_a_user_without_rights_and_writes_outside_its_root() -> None:
    last = [word for word, _ in instructions()][-4:]
    assert last == ["WORKDIR", "USER", "ENTRYPOINT", "CMD"]
    (user,) = of("USER")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    assert of("ENTRYPOINT") == ['["medtransfer"]']
    environment = " ".join(of("ENV"))
    assert "HOME=/tmp" in environment
    assert "NUMBA_CACHE_DIR=/tmp" in environment


def test_only_what_it_is_built_from_reaches_the_engine() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    copied = {
        name.removeprefix("./")
        for rest in of("COPY")
        if not rest.startswith("--from")
        for name in rest.split()[:-1]
    }
    assert copied == {rule[1:] for rule in rules if rule.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)
    extras = (ROOT / "pyproject.toml").read_text()
    (named,) = [rest.removeprefix("EXTRAS=") for rest in of("ARG") if rest.startswith("EXTRAS")]
    assert all(f"\n{name} = [" in extras for name in named.split(","))
