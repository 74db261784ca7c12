"""Arrays are measured by their headers, before memory is taken for them."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from medtransfer.errors import TableError, WeightsError
from medtransfer.sizes import limits
from medtransfer.sizes.archives import require_array_sizes, require_member_sizes


def test_arrays_that_claim_more_than_there_is_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDTRANSFER_MAX_MEMORY_GIB", "1")
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("train_images.npy", "w") as file:
        shape = (6 * 2**20, 1024)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(TableError, match=r"a.npz needs about 6.0 GiB of memory"):
        require_array_sizes(path, "a.npz", TableError)
    np.savez(path, a=np.zeros(10))
    require_array_sizes(path, "a.npz", TableError)


def test_members_of_an_archive_of_tensors_are_summed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "memory_limit", lambda: 2**20)
    path = tmp_path / "w.pth"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("w/data/0", "w", force_zip64=True) as file,
    ):
        file.write(bytes(2**21))
    with pytest.raises(WeightsError, match=r'weights file "w.pth" needs about 2.0 MiB'):
        require_member_sizes(path, 'The weights file "w.pth"', WeightsError)
    path.write_bytes(b"no archive")
    require_member_sizes(path, "It", WeightsError)
