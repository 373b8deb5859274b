"""Uploads as clients see them; what tus clients go by are the headers."""

from uuid import UUID

from pydantic import BaseModel, Field

from api.times import UtcTime
from db.models import Upload as UploadRecord


class Upload(BaseModel):
    """An upload in progress. `length` is null while it was not said."""

    id: UUID
    length: int | None
    offset: int
    expires_at: UtcTime
    file_id: UUID | None = Field(default=None, description="The file that it became.")


def upload_view(upload: UploadRecord) -> Upload:
    return Upload(
        id=upload.id,
        length=upload.size,
        offset=upload.received,
        expires_at=upload.expires_at,
        file_id=upload.file_id,
    )
