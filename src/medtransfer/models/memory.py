"""Memory that is not there: how torch says so on each device, and how it is given back."""

import gc

import torch

TEXTS = ("can't allocate memory", "out of memory", "not enough memory")
"""What torch's allocators say where they raise a plain RuntimeError: CPU, Metal, Windows."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had, whichever allocator raised it."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in TEXTS)


def give_back() -> None:
    """Give what an attempt left behind back to the device, so that a smaller one has it."""
    gc.collect()  # the frames of an error hold tensors in circles
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
