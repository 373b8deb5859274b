"""Erasures as clients see them."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict

from api.times import UtcTime
from db.models import Erasure as ErasureRecord
from muniment.contracts.erase_file import ErasureState


class NewErasure(BaseModel):
    """Of a file with all its versions, and of all that came out of it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"file_id": "01890000-0000-7000-8000-000000000000"}},
    )

    file_id: UUID


class Erasure(BaseModel):
    """`held`: a legal hold or a lock keeps the file, which is restricted meanwhile. `blobs_kept`: contents
    that another file of the tenant has as well."""

    id: UUID
    file_id: UUID
    job_id: UUID | None
    state: ErasureState
    requested_by: UUID | None
    keys_destroyed: int
    blobs_kept: int
    ciphertexts_left: int
    created_at: UtcTime
    finished_at: UtcTime | None

    @classmethod
    def of(cls, row: ErasureRecord) -> "Erasure":
        return cls(
            id=row.id,
            file_id=row.file_id,
            job_id=row.job_id,
            state=ErasureState(row.state),
            requested_by=row.requested_by,
            keys_destroyed=row.keys_destroyed,
            blobs_kept=row.blobs_kept,
            ciphertexts_left=row.ciphertexts_left,
            created_at=row.created_at,
            finished_at=row.finished_at,
        )
