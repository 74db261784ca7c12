"""Optional packages that write files of other programs."""

from importlib import import_module
from types import ModuleType

from medtransfer.errors import ConfigError


def extra_module(name: str, package: str, file: str) -> ModuleType:
    """A module of an optional package.

    Args:
        name: Of the module.
        package: That it comes with.
        file: What it is needed for, e.g. "the Word file".

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"{file[0].upper()}{file[1:]} was not written: {package} is not installed. "
            '`pip install "medtransfer[office]"` installs it.'
        ) from error
