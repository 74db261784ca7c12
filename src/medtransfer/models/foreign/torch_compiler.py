"""Torch's compiler, left out of imports that name it and do not need it."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache, wraps
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any, cast

import torch

COMPILER = "torch._dynamo"
UTILS = f"{COMPILER}.utils"


class _LateUtils(ModuleType):
    """Stand-in whose functions load the compiler when they are called, not when they are named."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)

        def late(*arguments: object) -> object:
            return getattr(import_module(UTILS), name)(*arguments)

        return late


class _Watch:
    """Finder that finds nothing, and takes the stand-in away when the compiler is imported."""

    def __init__(self, stand_in: _LateUtils) -> None:
        self._stand_in = stand_in

    def find_spec(self, name: str, *_: object) -> None:
        if name == COMPILER:
            self.remove()

    def remove(self) -> None:
        if sys.modules.get(UTILS) is self._stand_in:
            del sys.modules[UTILS]


@contextmanager
def late_compiler() -> Generator[None]:
    """Import timm, and torchvision with it, without torch's compiler.

    ``torchvision.ops.roi_align`` imports one function of the compiler, which asks whether something
    can be compiled, and ``timm.models.naflexvit`` marks functions as not to be compiled. Either
    loads sympy, triton and 1,500 more modules: nearly half of the processor time from an empty
    process to the first prediction (benchmarks/deploy.py). Inside this context both load the
    compiler when they are called. Where something else imports it, it is imported as ever.
    """
    if COMPILER in sys.modules:
        yield
        return
    compiler = cast("Any", torch.compiler)
    stand_in, disable = _LateUtils(UTILS), compiler.disable
    watch = _Watch(stand_in)
    sys.modules[UTILS] = stand_in
    sys.meta_path.insert(0, watch)
    compiler.disable = _late_disable(disable)
    try:
        yield
    finally:
        compiler.disable = disable
        sys.meta_path.remove(watch)
        watch.remove()


def _late_disable(disable: Callable[..., Any]) -> Callable[..., Any]:
    """``torch.compiler.disable``, applied to a plain function at its first call."""

    def late(function: object = None, *arguments: object, **options: object) -> Any:
        if not isinstance(function, FunctionType):
            return disable(function, *arguments, **options)

        @cache
        def disabled() -> Callable[..., Any]:
            return disable(function, *arguments, **options)

        @wraps(function)
        def call(*given: object, **named: object) -> Any:
            return disabled()(*given, **named)

        return call

    return late
