"""Files of OpenAI's clients: the same as everybody's, under other names."""

from collections.abc import Mapping
from typing import get_args
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files import service as files_service
from api.files.reception import upload_fields
from api.files.schemas import File, UploadFields
from api.files.service import require_file
from api.openai_compatible.errors import UnsupportedParameter
from api.openai_compatible.files.schemas import FileObject, FileStatus, Purpose
from api.openai_compatible.ids import IdPrefix, absent, shown_id
from api.openai_compatible.lists import ListPage, Order, list_page
from api.services import Services
from db.queries import files
from db.queries.files import FileDetail, FileFilter, FileOrder
from muniment.contracts.jobs import FileState
from muniment.errors import NotFound, Unprocessable, WrongField

PURPOSE_FIELD = "openai_purpose"
"""The metadata field that keeps a purpose other than the usual one."""
USUAL_PURPOSE: Purpose = "assistants"
_EXPIRY = "expires_after"
IN_PROGRESS = (FileState.RECEIVED, FileState.PROCESSING)
COMPLETED = (FileState.READY,)
CANCELLED = (FileState.CANCELLED,)
FAILED = (FileState.FAILED, FileState.QUARANTINED, FileState.REJECTED, FileState.RESTRICTED)
"""Quarantined files too: whoever waits for one would wait for a person."""


def uploaded_fields(raw: dict[str, str]) -> UploadFields:
    """The fields of `POST /v1/files`, and OpenAI's `purpose`. Raises Unprocessable, and
    UnsupportedParameter for what would have the file deleted."""
    purpose = raw.pop("purpose", "")
    if purpose not in get_args(Purpose):
        detail = f"must be one of {', '.join(get_args(Purpose))}"
        raise Unprocessable(
            "the purpose is missing, or one that is not served here",
            errors=[WrongField(field="purpose", detail=detail)],
        )
    if any(name.startswith(_EXPIRY) for name in raw):
        raise UnsupportedParameter(_EXPIRY, "files are kept until they are deleted")
    fields = upload_fields(raw)
    if purpose == USUAL_PURPOSE:
        return fields
    metadata = {**fields.metadata, PURPOSE_FIELD: purpose}
    return fields.model_copy(update={"metadata": metadata})


def uploaded_view(file: File) -> FileObject:
    """Of what an upload answered."""
    return FileObject(
        id=shown_id(IdPrefix.FILE, file.id),
        bytes=file.size,
        created_at=int(file.created_at.timestamp()),
        filename=file.name,
        purpose=_purpose(file.metadata),
        status=_status(file.state),
        status_details=file.job.error.detail if file.job and file.job.error else None,
    )


def file_object(detail: FileDetail) -> FileObject:
    file = detail.file
    return FileObject(
        id=shown_id(IdPrefix.FILE, file.id),
        bytes=detail.version.size if detail.version else 0,
        created_at=int(file.created_at.timestamp()),
        filename=file.name,
        purpose=_purpose(file.attributes),
        status=_status(FileState(file.state)),
        status_details=error_detail(detail),
    )


def _purpose(metadata: Mapping[str, JsonValue]) -> Purpose:
    return "user_data" if metadata.get(PURPOSE_FIELD) == "user_data" else USUAL_PURPOSE


def _status(state: FileState) -> FileStatus:
    if state in COMPLETED:
        return "processed"
    return "uploaded" if state in IN_PROGRESS else "error"


def error_detail(detail: FileDetail) -> str | None:
    """Why the file cannot be searched; None where it can, or that is not decided."""
    state = FileState(detail.file.state)
    if state not in (*FAILED, *CANCELLED):
        return None
    problem = detail.job.error if detail.job else None
    told = problem.get("detail") if problem else None
    return told if isinstance(told, str) else f"the file is {state}"


async def require_shown(
    session: AsyncSession, file_id: UUID, level: str = "read", *, for_update: bool = False
) -> FileDetail:
    """The file, if the caller has the level on it. Raises NotFound also for one in the trash: to these
    clients it is deleted; and Forbidden where the caller may read it and no more."""
    try:
        detail = await require_file(session, file_id, level, for_update=for_update)
    except NotFound:
        raise absent(IdPrefix.FILE) from None
    if detail.file.state in files.OUT_OF_SIGHT:
        raise absent(IdPrefix.FILE)
    return detail


async def list_objects(
    services: Services,
    caller: Caller,
    *,
    purpose: Purpose | None,
    limit: int,
    after: UUID | None,
    order: Order,
) -> ListPage[FileObject]:
    """What the caller may read, a page of it."""
    wanted = FileFilter()
    if purpose == USUAL_PURPOSE:
        wanted = FileFilter(absent_attributes=(PURPOSE_FIELD,))
    elif purpose is not None:
        wanted = FileFilter(attributes={PURPOSE_FIELD: purpose})
    async with services.database.transaction(caller.access) as session:
        place = None
        if after is not None:
            # One that was deleted meanwhile is a place too: whoever deletes all files walks the list.
            last = (await require_file(session, after)).file
            place = (last.created_at, last.id)
        sorting = FileOrder("created_at", descending=order == "desc")
        rows = await files.list_files(session, wanted, sorting, limit=limit + 1, after=place)
    shown = [file_object(each) for each in rows[:limit]]
    return list_page(shown, [each.id for each in shown], has_more=len(rows) > limit)


async def delete(session: AsyncSession, caller: Caller, file_id: UUID) -> None:
    """Into the trash, with all that came out of it."""
    await require_shown(session, file_id, "write")
    await files_service.trash(session, caller, file_id)
