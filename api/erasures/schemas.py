"""Erasures as clients see them."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.storable_text import StorableText
from api.times import UtcTime
from db.models import Erasure as ErasureRecord
from muniment.contracts.erase_file import ErasureState


class NewErasure(BaseModel):
    """Of a file with all its versions, and of all that came out of it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "file_id": "01890000-0000-7000-8000-000000000000",
                "reason": "Request 2026-114 under article 17",
            }
        },
    )

    file_id: UUID
    reason: Annotated[
        StorableText | None,
        Field(
            description="Why. The certificate states it for good: no names, and nothing of the content.",
            min_length=1,
            max_length=200,
        ),
    ] = None


class Erasure(BaseModel):
    """`held`: a legal hold or a lock keeps the file, which is restricted meanwhile. `blobs_kept`: contents
    that another file of the tenant has as well. `first_erased_at`: of one that repeats an erasure after a
    restore. `vacuumed_at`: when PostgreSQL had vacuumed every table that lost rows; null: not yet."""

    id: UUID
    file_id: UUID
    job_id: UUID | None
    state: ErasureState
    requested_by: UUID | None
    reason: str | None
    keys_destroyed: int
    blobs_kept: int
    ciphertexts_left: int
    created_at: UtcTime
    first_erased_at: UtcTime | None
    finished_at: UtcTime | None
    vacuumed_at: UtcTime | None

    @classmethod
    def of(cls, row: ErasureRecord) -> "Erasure":
        return cls(
            id=row.id,
            file_id=row.file_id,
            job_id=row.job_id,
            state=ErasureState(row.state),
            requested_by=row.requested_by,
            reason=row.reason,
            keys_destroyed=row.keys_destroyed,
            blobs_kept=row.blobs_kept,
            ciphertexts_left=row.ciphertexts_left,
            created_at=row.created_at,
            first_erased_at=row.first_erased_at,
            finished_at=row.finished_at,
            vacuumed_at=row.vacuumed_at,
        )


class ErasedContent(BaseModel):
    """What somebody has a copy of."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
            }
        },
    )

    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class ContentProof(BaseModel):
    """`content` is what the certificate has of it. Whoever has the copy and `opening` computes it:
    HMAC-SHA-256 of the copy's SHA-256 under the opening, all hexadecimal."""

    content: str
    opening: str
