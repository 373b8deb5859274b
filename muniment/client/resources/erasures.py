"""`/v1/erasures`: what is to be erased by law, as soon as nothing keeps it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from muniment.client.building import Id, create, get, given, post, segment
from muniment.client.models import Listing, Record
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.protocol import Call

_PATH = "/v1/erasures"


class Erasure(Record):
    """`state` is held, executing, destroying or completed."""

    id: UUID
    file_id: UUID
    job_id: UUID | None = None
    state: str
    requested_by: UUID | None = None
    reason: str | None = None
    keys_destroyed: int = 0
    blobs_kept: int = 0
    ciphertexts_left: int = 0
    created_at: datetime | None = None
    first_erased_at: datetime | None = None
    finished_at: datetime | None = None
    vacuumed_at: datetime | None = None


class ContentProof(Record):
    """`content` is what the certificate has; HMAC-SHA-256 of the copy's SHA-256 under `opening` is it."""

    content: str
    opening: str


class ErasureCertificate(Record):
    """As muniment.erasure_certificates reads and verifies it: the sealed event that states what was erased,
    the hashes up to a checkpoint's root (base64), and that checkpoint."""

    event: Mapping[str, JsonValue]
    hashes: Sequence[str] = ()
    checkpoint: str
    verifier_key: str = ""


def request_erasure(file_id: Id, *, reason: str | None = None) -> Call[Erasure]:
    """Out of sight and search at once; held where something keeps the file."""
    return create(_PATH, Erasure, given(file_id=str(file_id), reason=reason))


def list_erasures(*, limit: int = 50, cursor: str | None = None) -> Call[Listing[Erasure]]:
    """Newest first."""
    return get(_PATH, Listing[Erasure], {"limit": limit, "cursor": cursor})


def get_erasure(erasure_id: Id) -> Call[Erasure]:
    return get(f"{_PATH}/{segment(erasure_id)}", Erasure)


def get_erasure_certificate(erasure_id: Id) -> Call[ErasureCertificate]:
    return get(f"{_PATH}/{segment(erasure_id)}/certificate", ErasureCertificate)


def prove_erased_content(erasure_id: Id, sha256: str) -> Call[ContentProof]:
    """Of a copy with that SHA-256, hexadecimal; absent where no version of the file had it."""
    path = f"{_PATH}/{segment(erasure_id)}/proofs"
    return post(path, ContentProof, {"sha256": sha256})


class ErasureOperations:
    """`/v1/erasures`."""

    request = Operation(request_erasure)
    list = Operation(list_erasures)
    get = Operation(get_erasure)
    certificate = Operation(get_erasure_certificate)
    prove = Operation(prove_erased_content)


class Erasures(ErasureOperations, Resource):
    """`/v1/erasures`."""


class AsyncErasures(ErasureOperations, AsyncResource):
    """`/v1/erasures`."""
