"""`/v1/erasures`: what is to be erased by law, as soon as nothing keeps it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from muniment.client.building import Id, create, get, segment
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
    keys_destroyed: int = 0
    blobs_kept: int = 0
    ciphertexts_left: int = 0
    created_at: datetime | None = None
    finished_at: datetime | None = None


class ErasureCertificate(Record):
    """As muniment.erasure_certificates reads and verifies it: the sealed event that states what was erased,
    the hashes up to a checkpoint's root (base64), and that checkpoint."""

    event: Mapping[str, JsonValue]
    hashes: Sequence[str] = ()
    checkpoint: str
    verifier_key: str = ""


def request_erasure(file_id: Id) -> Call[Erasure]:
    """Out of sight and search at once; held where something keeps the file."""
    return create(_PATH, Erasure, {"file_id": str(file_id)})


def list_erasures(*, limit: int = 50, cursor: str | None = None) -> Call[Listing[Erasure]]:
    """Newest first."""
    return get(_PATH, Listing[Erasure], {"limit": limit, "cursor": cursor})


def get_erasure(erasure_id: Id) -> Call[Erasure]:
    return get(f"{_PATH}/{segment(erasure_id)}", Erasure)


def get_erasure_certificate(erasure_id: Id) -> Call[ErasureCertificate]:
    return get(f"{_PATH}/{segment(erasure_id)}/certificate", ErasureCertificate)


class ErasureOperations:
    """`/v1/erasures`."""

    request = Operation(request_erasure)
    list = Operation(list_erasures)
    get = Operation(get_erasure)
    certificate = Operation(get_erasure_certificate)


class Erasures(ErasureOperations, Resource):
    """`/v1/erasures`."""


class AsyncErasures(ErasureOperations, AsyncResource):
    """`/v1/erasures`."""
