"""A signed bundle is one key's and unaltered, or a sentence says what it is not."""

import json
import subprocess
import zipfile
from pathlib import Path

import pytest
from tests.deploy import handmade

from medtransfer.deploy.bundle import signature as signature_module
from medtransfer.deploy.bundle.archive import SIGNATURE, open_archive
from medtransfer.deploy.bundle.card import bundle_page
from medtransfer.deploy.bundle.export import export_options
from medtransfer.deploy.bundle.reader import Bundle, read_bundle
from medtransfer.deploy.exchange.remake import remake_bundle
from medtransfer.errors import BundleError, ConfigError

pytest.importorskip("cryptography", reason="cryptography is not installed")
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key


def write_pair(folder: Path, name: str, passphrase: bytes | None = None, ssh: bool = False) -> Path:
    """A key of which ``NAME`` is the private file and ``NAME.pub`` the public one."""
    key = Ed25519PrivateKey.generate()
    lock = form.BestAvailableEncryption(passphrase) if passphrase else form.NoEncryption()
    private = form.PrivateFormat.OpenSSH if ssh else form.PrivateFormat.PKCS8
    (folder / name).write_bytes(key.private_bytes(form.Encoding.PEM, private, lock))
    encoding = form.Encoding.OpenSSH if ssh else form.Encoding.PEM
    public = form.PublicFormat.OpenSSH if ssh else form.PublicFormat.SubjectPublicKeyInfo
    (folder / f"{name}.pub").write_bytes(key.public_key().public_bytes(encoding, public))
    return folder / name


def public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


@pytest.fixture
def plain(tmp_path: Path) -> Bundle:
    return handmade.write_by_hand(tmp_path / "plain.medt")


def signed(bundle: Bundle, key: Path) -> Bundle:
    return remake_bundle(bundle.path, key.with_suffix(".medt"), export_options(sign=key))


@pytest.mark.parametrize("ssh", [False, True])
def test_a_signed_bundle_is_opened_with_its_key(plain: Bundle, tmp_path: Path, ssh: bool) -> None:
    key, other = write_pair(tmp_path, "ours", ssh=ssh), write_pair(tmp_path, "theirs")
    made = signed(plain, key)
    assert made.digest == plain.digest
    for trusted in ([], [public(key)], [public(other), public(key)]):
        assert read_bundle(made.path, trusted=trusted).facts == plain.facts
    assert made.signature is not None
    page = bundle_page(made)
    assert f"signed       by key {made.signature.key_id}; --trusted KEY checks it" in page
    assert "checks it" not in bundle_page(made, trusted=True)
    assert "signed" not in bundle_page(plain)


def test_another_key_and_no_signature_are_refused(plain: Bundle, tmp_path: Path) -> None:
    key, other = write_pair(tmp_path, "ours"), write_pair(tmp_path, "theirs")
    made = signed(plain, key)
    with pytest.raises(BundleError, match=r"is signed by key [0-9a-f]{16}, not by the key that"):
        read_bundle(made.path, trusted=[public(other)])
    with pytest.raises(BundleError, match=r'"plain\.medt" is not signed'):
        read_bundle(plain.path, trusted=[public(key)])


def rewritten(bundle: Bundle, changes: dict[str, bytes]) -> Path:
    """A bundle with other entries, as somebody with a zip program would make it."""
    path = bundle.path.with_name("changed.medt")
    with zipfile.ZipFile(bundle.path) as before, zipfile.ZipFile(path, "w") as after:
        for name in before.namelist():
            after.writestr(name, changes.get(name, before.read(name)))
    return path


def test_a_change_after_signing_is_found(plain: Bundle, tmp_path: Path) -> None:
    key = write_pair(tmp_path, "ours")
    made = signed(plain, key)
    listing = json.loads(zipfile.ZipFile(made.path).read("MANIFEST.json"))
    listing["MODEL_CARD.md"]["sha256"] = "0" * 64
    honest_list = rewritten(made, {"MODEL_CARD.md": b"# bard\n"})
    with pytest.raises(BundleError, match="is not what it was when the bundle was made"):
        _ = read_bundle(honest_list, trusted=[public(key)]).card
    new_list = rewritten(made, {"MANIFEST.json": json.dumps(listing).encode()})
    with pytest.raises(BundleError, match=r'"changed\.medt" was changed after it was signed'):
        read_bundle(new_list, trusted=[public(key)])
    junk = json.dumps({"algorithm": "ed25519", "key": "AA==", "signature": "!"})
    for content in (b"junk", b"[]", junk.encode(), b"{}"):
        broken = rewritten(made, {SIGNATURE: content})
        with pytest.raises(BundleError, match="its signature is none"):
            read_bundle(broken, trusted=[public(key)])
    large = rewritten(made, {SIGNATURE: b" " * 5000})
    with pytest.raises(BundleError, match=r"SIGNATURE\.json is too large"):
        open_archive(large)


def test_a_signature_of_another_bundle_is_none_of_this(plain: Bundle, tmp_path: Path) -> None:
    key = write_pair(tmp_path, "ours")
    other = handmade.write_by_hand(tmp_path / "o.medt", handmade.facts(name="another"))
    stolen = zipfile.ZipFile(signed(other, key).path).read(SIGNATURE)
    changed = rewritten(signed(plain, key), {SIGNATURE: stolen})
    with pytest.raises(BundleError, match="was changed after it was signed"):
        read_bundle(changed, trusted=[public(key)])


def test_a_key_with_a_passphrase_needs_it(
    plain: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = write_pair(tmp_path, "locked", passphrase=b"word")
    monkeypatch.delenv(signature_module.PASSPHRASE, raising=False)
    with pytest.raises(ConfigError, match=r'"locked" has a passphrase: set MEDTRANSFER_KEY'):
        signed(plain, key)
    monkeypatch.setenv(signature_module.PASSPHRASE, "wrong")
    with pytest.raises(ConfigError, match="holds no private Ed25519 key"):
        signed(plain, key)
    monkeypatch.setenv(signature_module.PASSPHRASE, "word")
    assert signed(plain, key).signature is not None


def test_files_that_are_no_keys_are_refused(
    plain: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rsa = generate_private_key(65537, 1024)
    (tmp_path / "rsa").write_bytes(
        rsa.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    )
    (tmp_path / "junk").write_text("junk")
    key = write_pair(tmp_path, "ours")
    for path in (tmp_path / "rsa", tmp_path / "junk", public(key)):
        with pytest.raises(ConfigError, match="holds no private Ed25519 key"):
            signed(plain, path)
    for path in (tmp_path / "junk", key):
        with pytest.raises(ConfigError, match="holds no public Ed25519 key"):
            read_bundle(plain.path, trusted=[path])
    with pytest.raises(ConfigError, match="does not exist"):
        signed(plain, tmp_path / "gone")
    monkeypatch.setattr(signature_module, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"--sign needs cryptography: pip install"):
        signed(plain, key)
    with pytest.raises(ConfigError, match=r"--trusted needs cryptography: pip install"):
        read_bundle(plain.path, trusted=[public(key)])


@pytest.mark.slow
def test_keys_of_other_programs_are_read(plain: Bundle, tmp_path: Path) -> None:
    for command in (
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "ssh")],
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(tmp_path / "pem")],
        ["openssl", "pkey", "-in", str(tmp_path / "pem"), "-pubout", "-out", f"{tmp_path}/pem.pub"],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip(f"{command[0]} is not installed")
    for name in ("ssh", "pem"):
        made = signed(plain, tmp_path / name)
        assert read_bundle(made.path, trusted=[tmp_path / f"{name}.pub"]).signature is not None
