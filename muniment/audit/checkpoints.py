"""Signed checkpoints: the size and the root of a tenant's tree, as notes (C2SP tlog-checkpoint and
signed-note, https://c2sp.org/tlog-checkpoint).

    origin
    size
    base64 of the root

    — name base64(key id ‖ signature)

The last line is there for each signature; those of keys that are not known, such as of witnesses, are
passed over. The key id is SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key)[:4], the signature ed25519 over the
first three lines with their ends. A verifier key is written
name+hexadecimal key id+base64(0x01 ‖ public key).
"""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from muniment.audit.merkle import HASH_BYTES
from muniment.errors import CheckpointInvalid

_ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_SIGNATURE_LINE = re.compile(r"— (\S+) (\S+)")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
MAX_NOTE_BYTES = 16_384
"""A note has some 300 bytes; each witness adds 120."""
KEY_NAME = r"[^\s+]+"
"""What the name of a key may be."""


@dataclass(frozen=True)
class Checkpoint:
    """What a note says: `origin` names the tree, which had `size` leaves and this root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True)
class VerifierKey:
    """The public half of a key that signs checkpoints."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        named = self.name.encode() + b"\n" + _ED25519 + self.public_key
        return sha256(named).digest()[:_KEY_ID_BYTES]

    def written(self) -> str:
        encoded = base64.b64encode(_ED25519 + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parsed(cls, text: str) -> "VerifierKey":
        """Raises CheckpointInvalid for what is no verifier key of ed25519."""
        try:
            name, key_id, encoded = text.strip().split("+", 2)
            algorithm_and_key = base64.b64decode(encoded, validate=True)
            Ed25519PublicKey.from_public_bytes(algorithm_and_key[1:])
        except (ValueError, binascii.Error):
            raise _no_key() from None
        key = cls(name, algorithm_and_key[1:])
        is_named = re.fullmatch(KEY_NAME, name) is not None
        if algorithm_and_key[:1] != _ED25519 or key.key_id.hex() != key_id or not is_named:
            raise _no_key()
        return key


@dataclass(frozen=True)
class CheckpointSigner:
    """Signs under the name with the ed25519 key."""

    name: str
    private_key: Ed25519PrivateKey

    @property
    def verifier_key(self) -> VerifierKey:
        return VerifierKey(self.name, self.private_key.public_key().public_bytes_raw())

    def sign(self, checkpoint: Checkpoint) -> str:
        """The note."""
        text = checkpoint.text()
        signature = self.private_key.sign(text.encode())
        encoded = base64.b64encode(self.verifier_key.key_id + signature).decode()
        return f"{text}\n— {self.name} {encoded}\n"


def origin_of(name: str, tenant_id: UUID) -> str:
    """What the tree of a tenant is called in its checkpoints."""
    return f"{name}/audit/{tenant_id}"


def is_of(origin: str, tenant_id: UUID) -> bool:
    """Whether it is the origin of that tenant's tree, whatever name the key had."""
    return origin.endswith(f"/audit/{tenant_id}")


def opened(note: str, keys: Iterable[VerifierKey]) -> Checkpoint:
    """What the note says. Raises CheckpointInvalid unless one of these keys signed it, and where it is
    damaged or one of their signatures does not fit."""
    checkpoint, signatures = _parsed(note)
    known = {(key.name, key.key_id): key for key in keys}
    is_signed = False
    for name, key_id, signature in signatures:
        key = known.get((name, key_id))
        if key is None:
            continue
        try:
            public_key = Ed25519PublicKey.from_public_bytes(key.public_key)
            public_key.verify(signature, checkpoint.text().encode())
        except InvalidSignature:
            raise CheckpointInvalid("a checkpoint's signature does not fit it") from None
        is_signed = True
    if not is_signed:
        raise CheckpointInvalid(
            "none of the keys that are known signed the checkpoint",
            remedy="Give the verifier key that was current when it was signed.",
        )
    return checkpoint


def _parsed(note: str) -> tuple[Checkpoint, list[tuple[str, bytes, bytes]]]:
    text, separator, signed = note.partition("\n\n")
    lines = text.split("\n")
    is_whole = separator and signed.endswith("\n") and len(note.encode()) <= MAX_NOTE_BYTES
    if not is_whole or len(lines) != 3 or not lines[0] or not _SIZE.fullmatch(lines[1]):
        raise _damaged()
    try:
        root = base64.b64decode(lines[2], validate=True)
        signatures = [_signature(line) for line in signed.removesuffix("\n").split("\n")]
    except (ValueError, binascii.Error):
        raise _damaged() from None
    checkpoint = Checkpoint(lines[0], int(lines[1]), root)
    # One text for one checkpoint: base64 has others that decode to the same.
    if len(root) != HASH_BYTES or checkpoint.text() != text + "\n":
        raise _damaged()
    return checkpoint, signatures


def _signature(line: str) -> tuple[str, bytes, bytes]:
    found = _SIGNATURE_LINE.fullmatch(line)
    if found is None:
        raise ValueError
    decoded = base64.b64decode(found[2], validate=True)
    return found[1], decoded[:_KEY_ID_BYTES], decoded[_KEY_ID_BYTES:]


def _damaged() -> CheckpointInvalid:
    return CheckpointInvalid("this is no checkpoint, or a damaged one")


def _no_key() -> CheckpointInvalid:
    return CheckpointInvalid(
        "this is no verifier key", remedy="Give it as it was shown: name+key id+key."
    )
