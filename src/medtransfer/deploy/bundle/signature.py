"""Signature of a bundle by Ed25519: who made it, and that nothing in it was changed since.

What is signed is the bundle's digest, which stands for every entry. The signature lies beside the
list of entries, so that a bundle has the same digest with it and without.
"""

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from medtransfer.errors import BundleError, ConfigError, listed
from medtransfer.files import json_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PURPOSE = b"medtransfer bundle 1\n"
"""Begin of what is signed: a signature for a bundle is one for nothing else."""
PASSPHRASE = "MEDTRANSFER_KEY_PASSPHRASE"  # noqa: S105 — the variable's name
TO_INSTALL = 'pip install "medtransfer[sign]"'
MAX_KEY = 2**16
KEY_BYTES, SIGNATURE_BYTES = 32, 64
HOW = "`ssh-keygen -t ed25519 -f KEY` makes a pair: KEY signs, KEY.pub is the one to trust"


@dataclass(frozen=True)
class Signature:
    """Signature of a digest.

    Attributes:
        key: Raw public key of whoever signed.
        value: The signature.
    """

    key: bytes
    value: bytes

    @property
    def key_id(self) -> str:
        """Short name of the key."""
        return key_id(self.key)

    def content(self) -> bytes:
        """The signature as an entry of a bundle."""
        texts = {"key": self.key, "signature": self.value}
        encoded = {name: base64.b64encode(raw).decode() for name, raw in texts.items()}
        return json_text({"algorithm": "ed25519", **encoded}).encode()


def key_id(key: bytes) -> str:
    """Short name of a raw public key: the first 16 digits of its SHA-256."""
    return hashlib.sha256(key).hexdigest()[:16]


def read_signature(name: str, content: bytes) -> Signature:
    """The signature that an entry holds.

    Args:
        name: Of the bundle, for the message.
        content: Of the entry.

    Raises:
        BundleError: It is none.
    """
    try:
        fields = json.loads(content)
        signature = Signature(
            base64.b64decode(fields["key"], validate=True),
            base64.b64decode(fields["signature"], validate=True),
        )
        is_ed25519 = fields["algorithm"] == "ed25519"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _no_signature(name) from error
    if not is_ed25519 or len(signature.key) != KEY_BYTES or len(signature.value) != SIGNATURE_BYTES:
        raise _no_signature(name)
    return signature


def sign(digest: str, key: Path) -> Signature:
    """Signature of a bundle's digest.

    Args:
        digest: Of the bundle.
        key: File of a private Ed25519 key, PEM or OpenSSH.

    Raises:
        ConfigError: `cryptography` is not installed, or the file holds no such key.
    """
    private = read_private_key(key)
    return Signature(private.public_key().public_bytes_raw(), private.sign(_message(digest)))


def require_trusted(
    name: str, digest: str, signature: Signature | None, trusted: Sequence[Path]
) -> None:
    """Check that a bundle is signed by one of some keys.

    Args:
        name: Of the bundle, for messages.
        digest: Of the bundle.
        signature: Its signature; None if it has none.
        trusted: Files of public keys, PEM or OpenSSH.

    Raises:
        BundleError: It is not signed, by another key, or was changed since.
        ConfigError: `cryptography` is not installed, or a file holds no such key.
    """
    keys = [read_public_key(path) for path in trusted]
    if signature is None:
        raise BundleError(
            f'Bundle "{name}" is not signed. Ask whoever made it for a signed one, or open it '
            "without --trusted."
        )
    if signature.key not in keys:
        raise BundleError(
            f'Bundle "{name}" is signed by key {signature.key_id}, not by the key that you trust '
            f"({listed(map(key_id, keys))}). Do not use it unless you know why."
        )
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        public = Ed25519PublicKey.from_public_bytes(signature.key)
        public.verify(signature.value, _message(digest))
    except InvalidSignature:
        raise BundleError(
            f'Bundle "{name}" was changed after it was signed by key {signature.key_id}. Do not '
            "use it; ask for it again."
        ) from None


def read_private_key(path: Path) -> "Ed25519PrivateKey":
    """A private key; a passphrase is taken from `PASSPHRASE`.

    Raises:
        ConfigError: `cryptography` is not installed, or the file holds no such key.
    """
    content = _key_file(path, "--sign")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    is_ssh = b"OPENSSH PRIVATE KEY" in content
    load = serialization.load_ssh_private_key if is_ssh else serialization.load_pem_private_key
    passphrase = os.environ.get(PASSPHRASE)
    try:
        try:
            key = load(content, None)
        except TypeError:  # it has a passphrase
            if passphrase is None:
                raise ConfigError(
                    f'Key "{path.name}" has a passphrase: set {PASSPHRASE} to it.'
                ) from None
            key = load(content, passphrase.encode())
    except Exception as error:
        if isinstance(error, ConfigError):
            raise
        raise _no_key(path, "private") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "private")
    return key


def read_public_key(path: Path) -> bytes:
    """A public key as 32 bytes.

    Raises:
        ConfigError: `cryptography` is not installed, or the file holds no such key.
    """
    content = _key_file(path, "--trusted")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    is_ssh = content.lstrip().startswith(b"ssh-")
    load = serialization.load_ssh_public_key if is_ssh else serialization.load_pem_public_key
    try:
        key = cast("Any", load(content))
    except Exception as error:
        raise _no_key(path, "public") from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path, "public")
    return key.public_bytes_raw()


def _key_file(path: Path, option: str) -> bytes:
    """Content of a key's file.

    Raises:
        ConfigError: `cryptography` is not installed, or there is no such file.
    """
    if find_spec("cryptography") is None:
        raise ConfigError(f"{option} needs cryptography: {TO_INSTALL}.")
    if not path.is_file():
        raise ConfigError(f'The key "{path}" does not exist. {HOW}.')
    with path.open("rb") as stream:
        return stream.read(MAX_KEY)


def _message(digest: str) -> bytes:
    return PURPOSE + digest.encode()


def _no_signature(name: str) -> BundleError:
    return BundleError(f'Bundle "{name}" cannot be used: its signature is none. Ask for it again.')


def _no_key(path: Path, kind: str) -> ConfigError:
    return ConfigError(f'"{path.name}" holds no {kind} Ed25519 key. {HOW}.')
