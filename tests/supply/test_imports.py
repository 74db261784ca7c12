"""Importing the package opens no connection and starts no process."""

import subprocess
import sys

import pytest

WATCHED = """
import importlib, pkgutil, sys

SEEN = []

def watch(event, arguments):
    # torch asks the linker's cache for a library of the system
    if event in {events!r} and not str(arguments[0]).endswith("/ldconfig"):
        SEEN.append(event)

sys.addaudithook(watch)
import medtransfer

failed = []
for module in pkgutil.walk_packages(medtransfer.__path__, "medtransfer."):
    if module.name == "medtransfer.__main__":
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:  # an extra that is not installed
        if (error.name or "").startswith("medtransfer"):
            raise
        failed.append(module.name)
{then}
print(len([n for n in sys.modules if n.startswith("medtransfer")]), len(failed), SEEN)
"""
EVENTS = ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.posix_spawn")


def events_of(then: str = "") -> tuple[int, int, str]:
    text = WATCHED.format(events=EVENTS, then=then)
    done = subprocess.run(
        [sys.executable, "-c", text], check=True, capture_output=True, text=True, timeout=300
    )
    modules, failed, seen = done.stdout.strip().split(maxsplit=2)
    return int(modules), int(failed), seen


@pytest.mark.slow
def test_no_module_connects_or_starts_a_process_when_it_is_imported() -> None:
    modules, failed, seen = events_of()
    assert modules > 300
    assert failed < 12
    assert seen == "[]"


@pytest.mark.slow
def test_the_guard_sees_what_it_looks_for() -> None:
    _, _, seen = events_of("import subprocess; subprocess.run(['true'])")
    assert "subprocess.Popen" in seen
