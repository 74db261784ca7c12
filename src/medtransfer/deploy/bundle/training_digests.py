"""Salted digests of the images and patients that a network was trained and tuned on.

They find an overlap with another data set without a name in the bundle. The content of an image
cannot be guessed, so its digest tells nothing. The number of a patient can: somebody who holds the
bundle can try all numbers. A slow digest makes that cost time and does not prevent it; the
patients' digests can be left out.
"""

import hashlib
import hmac
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16
SCRYPT_COST, SCRYPT_BLOCK = 2**12, 8
"""4 MiB and about 10 ms a patient: one core tries 9 million numbers in a day."""
THREADS = 4

Digests = NDArray[np.uint8]
"""Sorted, without doubles. [N, 16]"""


@dataclass(frozen=True, eq=False)
class TrainingDigests:
    """Digests of what a network was trained and tuned on.

    Attributes:
        salt: Of the bundle.
        images: Of the contents of the images.
        patients: Of the patients' ids; None if they were left out.
    """

    salt: bytes
    images: Digests
    patients: Digests | None

    def known_images(self, contents: Iterable[str]) -> NDArray[np.bool_]:
        """True for images that the network was trained or tuned on.

        Args:
            contents: SHA-256 of each image, as `data.images.scan` gives it. N

        Returns:
            [N]
        """
        return _are_among(image_digests(contents, self.salt), self.images)

    def known_patients(self, ids: Iterable[str]) -> NDArray[np.bool_] | None:
        """True for ids of patients whom the network was trained or tuned on; None if unknown. [N]

        Two hospitals can give the same number to two patients.
        """
        if self.patients is None:
            return None
        return _are_among(patient_digests(ids, self.salt), self.patients)


def image_digests(contents: Iterable[str], salt: bytes) -> list[bytes]:
    """Digest of each image, from the SHA-256 of its content."""
    return [hmac.digest(salt, content.encode(), "sha256")[:DIGEST_BYTES] for content in contents]


def patient_digests(ids: Iterable[str], salt: bytes) -> list[bytes]:
    """Digest of each patient's id, about 10 ms each."""
    of_patient = partial(_patient_digest, salt=salt)
    with ThreadPoolExecutor(THREADS) as pool:  # scrypt releases the interpreter lock
        return list(pool.map(of_patient, ids))


def digest_table(digests: Iterable[bytes]) -> Digests:
    """Digests as an array, sorted and without doubles. [N, 16]"""
    joined = b"".join(sorted(set(digests)))
    return np.frombuffer(joined, np.uint8).reshape(-1, DIGEST_BYTES)


def _patient_digest(patient: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        patient.encode(), salt=salt, n=SCRYPT_COST, r=SCRYPT_BLOCK, p=1, dklen=DIGEST_BYTES
    )


def _are_among(digests: list[bytes], table: Digests) -> NDArray[np.bool_]:
    members = {row.tobytes() for row in table}
    return np.array([digest in members for digest in digests], dtype=np.bool_)
