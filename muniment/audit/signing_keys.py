"""The keys that sign checkpoints: a file of private keys in PEM (ed25519, PKCS 8), mode 0600, one behind the
other. The last one signs; those before it tell what was signed before.

It is made with a first key where there is none. `openssl genpkey -algorithm ed25519` makes one as well, which
may be put behind the rest by hand; processes read the file when they start.
"""

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from muniment.audit.checkpoints import CheckpointSigner, VerifierKey
from muniment.errors import ConfigurationError
from muniment.sealing.locked_file import FileLockTimedOut, replace_file, sync_folder, when_locked

LOCK_SECONDS = 10.0
_KEY = re.compile(rb"-----BEGIN PRIVATE KEY-----.+?-----END PRIVATE KEY-----\s*", re.DOTALL)


@dataclass(frozen=True)
class SigningKeys:
    """The keys under the name of the installation, the one that signs last."""

    name: str
    keys: Sequence[Ed25519PrivateKey] = field(repr=False)

    @property
    def signer(self) -> CheckpointSigner:
        return CheckpointSigner(self.name, self.keys[-1])

    @property
    def verifier_keys(self) -> list[VerifierKey]:
        return [CheckpointSigner(self.name, key).verifier_key for key in self.keys]


def load_signing_keys(path: Path, name: str) -> SigningKeys:
    """The keys of the file, which is made with a first one if it is missing: of processes that start
    together one makes it. Raises ConfigurationError where it is damaged, unreadable, or open to others."""
    try:
        if not path.exists():
            _create(path)
        if stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigurationError(
                "the file of audit signing keys is open to other users than its owner",
                remedy="Take their rights away (chmod 600), and rotate by `python -m worker.audit_keys`.",
            )
        content = path.read_bytes()
    except OSError as error:
        raise _unusable(error) from error
    return SigningKeys(name, _parsed(content))


def rotate_signing_key(path: Path) -> None:
    """Puts a new key behind the others, which signs from the next start of a process on. Raises
    ConfigurationError as `load_signing_keys` does."""
    try:
        with when_locked(path, LOCK_SECONDS):
            content = path.read_bytes()
            _parsed(content)
            replace_file(path, content.rstrip() + b"\n" + _new_key())
    except FileLockTimedOut:
        raise ConfigurationError(
            "another process keeps the file of audit signing keys locked", remedy="Try again."
        ) from None
    except OSError as error:
        raise _unusable(error) from error


def _parsed(content: bytes) -> Sequence[Ed25519PrivateKey]:
    found = []
    try:
        for block in _KEY.findall(content):
            key = load_pem_private_key(block, password=None)
            if not isinstance(key, Ed25519PrivateKey):
                raise ValueError
            found.append(key)
    except ValueError:
        raise _damaged() from None
    if not found or _KEY.sub(b"", content).strip():
        raise _damaged()
    return found


def _damaged() -> ConfigurationError:
    # The cause would show key material.
    return ConfigurationError(
        "the file of audit signing keys is damaged", remedy="Restore it from its newest backup."
    )


def _unusable(error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"the file of audit signing keys cannot be used: {error.strerror}",
        remedy="Mend the disk or the rights of the folder of keys.",
    )


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


def _create(path: Path) -> None:
    """With a first key, unless another process is quicker."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_new_key())
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, fails when the file exists: the first process wins.
        os.link(beside, path)
    except FileExistsError:
        return
    finally:
        beside.unlink()
    sync_folder(path.parent)
