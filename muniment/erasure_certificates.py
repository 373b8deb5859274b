"""The certificate of an erasure: what was erased, how, and what lives on, as a leaf of the audit trail.

The statement is the payload of the event `file.erase`, which the tenant's Merkle tree commits to
(muniment/audit/leaves.py). So the signature of a checkpoint over it signs the statement too: a certificate
is the event, the hashes from its leaf up to the checkpoint's root, and the checkpoint. Whoever has the
verifier key from elsewhere needs nothing else.

Of each content that was erased it has a keyed hash, from which nobody can tell or guess what it was. Its key
is derived from the content's SHA-256 under a key of the tenant, which the certificate is without: the API
hands it, the opening, to whoever has a copy (`POST /v1/erasures/{id}/proofs`), and with copy and opening
anybody sees offline that this is what was erased.

    opening = HMAC-SHA-256(tenant's deduplication key, SHA-256(LABEL || file id || SHA-256(content)))
    tag     = HMAC-SHA-256(opening, SHA-256(content))
"""

import hmac
from collections.abc import Iterable
from enum import StrEnum
from hashlib import sha256 as hash_sha256
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from muniment.audit.checkpoints import VerifierKey, is_of, opened
from muniment.audit.exported import Base64, ExportedEvent
from muniment.audit.leaves import commitment_to
from muniment.audit.merkle import includes, leaf_hash
from muniment.errors import CertificateInvalid

ACTION = "file.erase"
_LABEL = b"muniment erased content v1\0"


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

    format: Literal[1, 2] = 2
    erasure_id: UUID
    file_id: UUID
    job_id: UUID
    requested_by: Annotated[
        UUID | None, Field(description="Who asked; null: Muniment itself, as was set.")
    ]
    requested_at: AwareDatetime
    reason: Annotated[
        str | None, Field(description="Why, in the words of who asked.", max_length=200)
    ] = None
    replay_of: Annotated[
        AwareDatetime | None,
        Field(
            description="When the file was erased before: it had come back with a backup, and was erased"
            " again as the ledger of erasures has it."
        ),
    ] = None
    finished_at: AwareDatetime
    methods: tuple[Method, ...]
    stores: Annotated[
        tuple[str, ...],
        Field(description="What was made to forget the file with all its versions."),
    ]
    contents: Annotated[
        tuple[str, ...],
        Field(description="A keyed hash of the content of each version, hexadecimal, sorted."),
    ] = ()
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


def opening_digest(file_id: UUID, content_sha256: bytes) -> bytes:
    """What the tenant's deduplication key makes the opening of."""
    return hash_sha256(_LABEL + file_id.bytes + content_sha256).digest()


def content_tag(opening: bytes, content_sha256: bytes) -> bytes:
    return hmac.digest(opening, content_sha256, hash_sha256)


def states_content(statement: ErasureStatement, opening: bytes, content_sha256: bytes) -> bool:
    """Whether the content is one of those that were erased."""
    return content_tag(opening, content_sha256).hex() in statement.contents


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
