"""Tensors of this package's own on disk: safetensors, whole or not at all."""

import os
import re
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
from safetensors import SafetensorError

from medtransfer.files import replacing

Tensors = dict[str, torch.Tensor]


def write_tensors(tensors: Tensors, path: Path) -> None:
    """Write tensors, contiguous and on the CPU, under their names.

    Raises:
        StudyError: The disk is full or does not let itself be written to.
    """
    with replacing(path) as temporary:
        try:
            cast("Any", safetensors.torch).save_file(tensors, temporary)
        except SafetensorError as error:
            # it hides that the disk is full in a text
            code = re.search(r"os error (\d+)", str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from error


def read_tensors(path: Path) -> Tensors:
    """Read what `write_tensors` wrote; folders that hold it are sealed and were checked before."""
    return cast("Tensors", cast("Any", safetensors.torch).load_file(path))
