"""Notes: one text for one checkpoint, and any other byte is refused."""

from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from muniment.audit.checkpoints import (
    Checkpoint,
    CheckpointSigner,
    VerifierKey,
    opened,
    origin_of,
)
from muniment.audit.signing_keys import load_signing_keys, rotate_signing_key
from muniment.errors import CheckpointInvalid, ConfigurationError

SIGNER = CheckpointSigner("muniment.test", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
OTHER = CheckpointSigner("muniment.test", Ed25519PrivateKey.from_private_bytes(b"o" * 32))
CHECKPOINT = Checkpoint(origin_of("muniment.test", uuid4()), 7, b"r" * 32)
NOTE = SIGNER.sign(CHECKPOINT)


def test_what_was_signed_is_opened() -> None:
    assert opened(NOTE, [OTHER.verifier_key, SIGNER.verifier_key]) == CHECKPOINT
    assert VerifierKey.parsed(SIGNER.verifier_key.written()) == SIGNER.verifier_key


def test_signatures_of_witnesses_are_passed_over() -> None:
    witnessed = NOTE + OTHER.sign(CHECKPOINT).split("\n\n")[1]
    assert opened(witnessed, [SIGNER.verifier_key]) == CHECKPOINT
    with pytest.raises(CheckpointInvalid, match="none of the keys"):
        opened(NOTE, [OTHER.verifier_key])


@given(st.integers(0, len(NOTE.encode()) - 1), st.integers(1, 255))
def test_any_byte_that_is_changed_is_found(place: int, change: int) -> None:
    content = bytearray(NOTE.encode())
    content[place] ^= change
    with pytest.raises(CheckpointInvalid):
        opened(content.decode(errors="replace"), [SIGNER.verifier_key])


@pytest.mark.parametrize(
    "note",
    ["", "\n\n", NOTE[:-1], NOTE + "\n", NOTE.replace("7\n", "07\n"), NOTE + "x" * 20_000],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(CheckpointInvalid):
        opened(note, [SIGNER.verifier_key])


@pytest.mark.parametrize("key", ["", "a+b+c", "muniment.test+00000000+" + "A" * 44, "x" * 9_000])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(CheckpointInvalid):
        VerifierKey.parsed(key)


def test_keys_are_made_once_and_rotated(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "audit-signing.pem"
    first = load_signing_keys(path, "muniment.test")
    again = load_signing_keys(path, "muniment.test")
    assert again.verifier_keys == first.verifier_keys
    assert path.stat().st_mode & 0o777 == 0o600
    rotate_signing_key(path)
    rotated = load_signing_keys(path, "muniment.test")
    assert rotated.verifier_keys[:-1] == first.verifier_keys
    assert rotated.signer.verifier_key != first.signer.verifier_key
    note = first.signer.sign(CHECKPOINT)
    assert opened(note, rotated.verifier_keys) == CHECKPOINT


def test_a_damaged_or_open_file_of_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit-signing.pem"
    load_signing_keys(path, "muniment.test")
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="open to other users"):
        load_signing_keys(path, "muniment.test")
    path.chmod(0o600)
    path.write_text(path.read_text() + "x")
    with pytest.raises(ConfigurationError, match="damaged"):
        load_signing_keys(path, "muniment.test")
