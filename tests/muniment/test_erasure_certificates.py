"""A certificate of erasure holds for what was sealed, and for nothing else."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from db.models import now
from muniment.audit.checkpoints import Checkpoint, VerifierKey, origin_of
from muniment.audit.exported import ExportedEvent
from muniment.audit.leaves import commitment_to
from muniment.audit.merkle import Frontier, leaf_hash, node_hash
from muniment.audit.signing_keys import SigningKeys, load_signing_keys
from muniment.cli.main import app
from muniment.erasure_certificates import (
    ACTION,
    ErasureCertificate,
    ErasureStatement,
    LivesOn,
    Method,
    Survivor,
    content_tag,
    opening_digest,
    parsed_certificate,
    stated,
    states_content,
    verified,
)
from muniment.errors import CertificateInvalid, CheckpointInvalid

SALT = b"0123456789abcdef"
BEFORE = leaf_hash(b"what was done before")
TENANT = uuid4()


COPY = b"The charter of the ropewalk."
COPY_HASH = sha256(COPY).digest()
OPENING = b"o" * 32


def statement_of(file_id: UUID) -> ErasureStatement:
    return ErasureStatement(
        erasure_id=uuid4(),
        file_id=file_id,
        job_id=uuid4(),
        requested_by=uuid4(),
        requested_at=now(),
        finished_at=now(),
        methods=tuple(Method),
        stores=("pages",),
        reason="Request 2026-114",
        contents=(content_tag(OPENING, COPY_HASH).hex(),),
        keys_destroyed=7,
        lives_on=(LivesOn(what=Survivor.BACKUPS, why="they are changed by nobody", until=now()),),
    )


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    return load_signing_keys(tmp_path / "audit-signing.pem", "muniment.test")


def certified(
    keys: SigningKeys, *, tenant_id: UUID = TENANT, action: str = ACTION
) -> ErasureCertificate:
    """The second event of a trail of two."""
    file_id = uuid4()
    payload = statement_of(file_id).model_dump(mode="json")
    event = ExportedEvent(
        seq=1,
        id=uuid4(),
        leaf_hash=b"",
        commitment=commitment_to(SALT, None, payload),
        tenant_id=TENANT,
        at=now(),
        actor_kind="system",
        action=action,
        object_type="file",
        object_id=file_id,
        payload=payload,
        salt=SALT,
    )
    leaf = event.leaf()
    assert leaf is not None
    hashed = leaf_hash(leaf.canonical())
    trail = Frontier()
    trail.append(BEFORE)
    trail.append(hashed)
    assert trail.root() == node_hash(BEFORE, hashed)
    checkpoint = Checkpoint(origin_of("muniment.test", tenant_id), 2, trail.root())
    return ErasureCertificate(
        event=event.model_copy(update={"leaf_hash": hashed}),
        hashes=[BEFORE],
        checkpoint=keys.signer.sign(checkpoint),
        verifier_key=keys.verifier_keys[0].written(),
    )


def known(keys: SigningKeys) -> list[VerifierKey]:
    return keys.verifier_keys


def test_what_was_sealed_holds_after_it_was_written_and_read(keys: SigningKeys) -> None:
    certificate = certified(keys)
    read = parsed_certificate(certificate.model_dump_json().encode())
    statement = verified(read, known(keys))
    assert (statement.file_id, statement.keys_destroyed) == (certificate.event.object_id, 7)


def _stating(certificate: ErasureCertificate, **changed: object) -> ErasureCertificate:
    return certificate.model_copy(update={"event": certificate.event.model_copy(update=changed)})


CHANGES: dict[str, Callable[[ErasureCertificate], ErasureCertificate]] = {
    "statement": lambda each: _stating(
        each, payload={**(each.event.payload or {}), "keys_destroyed": 8}
    ),
    "statement and commitment": lambda each: _stating(
        each, payload={}, commitment=commitment_to(SALT, None, {})
    ),
    "salt": lambda each: _stating(each, salt=None),
    "object": lambda each: _stating(each, object_id=uuid4()),
    "place": lambda each: _stating(each, seq=0),
    "leaf": lambda each: _stating(each, leaf_hash=BEFORE),
    "hashes": lambda each: each.model_copy(update={"hashes": [BEFORE, BEFORE]}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_does_not_hold(keys: SigningKeys, change: str) -> None:
    with pytest.raises(CertificateInvalid):
        verified(CHANGES[change](certified(keys)), known(keys))


def test_another_key_another_tenants_trail_and_another_act_do_not_hold(
    keys: SigningKeys, tmp_path: Path
) -> None:
    others = load_signing_keys(tmp_path / "other.pem", "muniment.test")
    with pytest.raises(CheckpointInvalid):
        verified(certified(keys), known(others))
    with pytest.raises(CertificateInvalid):
        verified(certified(keys, tenant_id=uuid4()), known(keys))
    with pytest.raises(CertificateInvalid):
        verified(certified(keys, action="file.trashed"), known(keys))


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"event": 1}'])
def test_what_is_no_certificate_is_told_so(content: bytes) -> None:
    with pytest.raises(CertificateInvalid):
        parsed_certificate(content)


def test_a_copy_is_what_was_erased_by_its_own_opening_alone() -> None:
    statement = statement_of(uuid4())
    assert states_content(statement, OPENING, COPY_HASH)
    assert not states_content(statement, b"p" * 32, COPY_HASH)
    assert not states_content(statement, OPENING, sha256(b"another").digest())
    one, other = uuid4(), uuid4()
    assert opening_digest(one, COPY_HASH) != opening_digest(other, COPY_HASH), (
        "of two files with the same content nobody sees that it is the same"
    )


def test_a_statement_of_a_former_release_is_still_one(keys: SigningKeys) -> None:
    certificate = certified(keys)
    payload = dict(certificate.event.payload or {})
    for later in ("reason", "replay_of", "contents"):
        del payload[later]
    former = certificate.event.model_copy(update={"payload": {**payload, "format": 1}})
    statement = stated(former)
    assert statement is not None
    assert (statement.format, statement.contents, statement.reason) == (1, (), None)


def test_the_command_says_whose_it_is_and_whether_a_copy_was_erased(
    keys: SigningKeys, tmp_path: Path
) -> None:
    written, copy = tmp_path / "certificate.json", tmp_path / "copy.txt"
    written.write_text(certified(keys).model_dump_json())
    copy.write_bytes(COPY)
    verify = ["erasures", "verify", str(written), "--key", known(keys)[0].written()]
    shown = CliRunner().invoke(app, verify)
    assert shown.exit_code == 0, shown.output
    assert str(TENANT) in shown.stdout
    assert "Request 2026-114" in shown.stdout
    proving = [*verify, "--json", "--copy", str(copy), "--opening"]
    proved = CliRunner().invoke(app, [*proving, OPENING.hex()])
    assert proved.exit_code == 0, proved.output
    assert json.loads(proved.stdout)["tenant_id"] == str(TENANT)
    for wrong in ("00" * 32, "no hexadecimal"):
        assert CliRunner().invoke(app, [*proving, wrong]).exit_code != 0
    copy.write_bytes(b"another")
    assert CliRunner().invoke(app, [*proving, OPENING.hex()]).exit_code != 0
