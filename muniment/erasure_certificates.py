"""The certificate of an erasure: what was erased, how, and what lives on, as a leaf of the audit trail.

The statement is the payload of the event `file.erase`, which the tenant's Merkle tree commits to
(muniment/audit/leaves.py). So the signature of a checkpoint over it signs the statement too: a certificate
is the event, the hashes from its leaf up to the checkpoint's root, and the checkpoint. Whoever has the
verifier key from elsewhere needs nothing else.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from muniment.audit.checkpoints import VerifierKey, is_of, opened
from muniment.audit.exported import Base64, ExportedEvent
from muniment.audit.leaves import commitment_to
from muniment.audit.merkle import includes, leaf_hash
from muniment.errors import CertificateInvalid

ACTION = "file.erase"


class Method(StrEnum):
    """How content was destroyed."""

    DATA_KEY_DESTROYED = "data_key_destroyed"
    CIPHERTEXT_DELETED = "ciphertext_deleted"
    ROWS_DELETED = "rows_deleted"


class Survivor(StrEnum):
    """What an erasure leaves."""

    SHARED_CONTENTS = "shared_contents"
    CIPHERTEXTS = "ciphertexts"
    DATABASE_FREE_SPACE = "database_free_space"
    BACKUPS = "backups"
    TOMBSTONE = "tombstone"
    AUDIT_EVENTS = "audit_events"
    RECORDS = "records"


class LivesOn(BaseModel):
    """`count`: of contents or ciphertexts; `until`: when the last of what was there at the end expires, where
    that is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: Survivor
    why: str
    count: int | None = None
    until: AwareDatetime | None = None


class ErasureStatement(BaseModel):
    """What the certificate states. It holds ids, counts and times, never anything of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    erasure_id: UUID
    file_id: UUID
    job_id: UUID
    requested_by: Annotated[
        UUID | None, Field(description="Who asked; null: Muniment itself, as was set.")
    ]
    requested_at: AwareDatetime
    finished_at: AwareDatetime
    methods: tuple[Method, ...]
    stores: Annotated[
        tuple[str, ...],
        Field(description="What was made to forget the file with all its versions."),
    ]
    keys_destroyed: int
    lives_on: tuple[LivesOn, ...]


class ErasureCertificate(BaseModel):
    """`event` is the leaf, its payload the statement; `hashes` lead from it to the root of `checkpoint`, a
    signed note (C2SP tlog-checkpoint). `verifier_key` is told, and proves nothing: have it from elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: ExportedEvent
    hashes: list[Base64]
    checkpoint: str
    verifier_key: str


def parsed_certificate(content: bytes) -> ErasureCertificate:
    """Raises CertificateInvalid for what is no certificate."""
    try:
        return ErasureCertificate.model_validate_json(content)
    except ValidationError:
        raise CertificateInvalid("this is no certificate, or a damaged one") from None


def verified(certificate: ErasureCertificate, keys: Iterable[VerifierKey]) -> ErasureStatement:
    """What it states. Raises CheckpointInvalid where none of the keys signed its checkpoint,
    CertificateInvalid where that does not cover it, or where it states anything else than was sealed."""
    event = certificate.event
    checkpoint = opened(certificate.checkpoint, keys)
    leaf = event.leaf()
    if leaf is None or event.salt is None or event.payload is None:
        raise CertificateInvalid("its statement is missing")
    if commitment_to(event.salt, event.origin, event.payload) != event.commitment:
        raise CertificateInvalid("its statement is not what was sealed")
    hashed = leaf_hash(leaf.canonical())
    is_covered = includes(
        checkpoint.root, checkpoint.size, event.seq, hashed, certificate.hashes
    ) and is_of(checkpoint.origin, event.tenant_id)
    if hashed != event.leaf_hash or not is_covered:
        raise CertificateInvalid("its checkpoint does not cover it")
    statement = stated(event)
    if statement is None or event.object_id != statement.file_id:
        raise CertificateInvalid("what was sealed is no erasure")
    return statement


def stated(event: ExportedEvent) -> ErasureStatement | None:
    """None where the event states none, as those of former releases."""
    if event.action != ACTION:
        return None
    try:
        return ErasureStatement.model_validate(event.payload)
    except ValidationError:
        return None
