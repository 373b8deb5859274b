"""Which uploads a caller finds, and in which state."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from db.models import Upload
from db.queries import resumable_uploads
from db.queries.resumable_uploads import UploadState
from muniment.errors import Conflict, Gone, NotFound

_GONE = (UploadState.TERMINATED, UploadState.EXPIRED)


async def require_upload(
    session: AsyncSession, caller: Caller, upload_id: UUID, *, for_update: bool = False
) -> Upload:
    """The caller's upload, open or finished. Raises NotFound for other principals', and Gone for one
    that was terminated or whose time ran out."""
    upload = await resumable_uploads.get_upload(
        session, upload_id, caller.principal_id, for_update=for_update
    )
    if upload is None:
        raise NotFound("there is no such upload")
    if resumable_uploads.has_expired(upload) or upload.state in _GONE:
        raise Gone(
            "the upload expired or was terminated", remedy="Create a new one, and begin again."
        )
    return upload


async def require_open(
    session: AsyncSession, caller: Caller, upload_id: UUID, *, for_update: bool = False
) -> Upload:
    """As above; raises Conflict for one that is finished."""
    upload = await require_upload(session, caller, upload_id, for_update=for_update)
    if upload.closed_at is not None:
        raise Conflict("the upload is finished")
    return upload
