"""Files of a vector store: those of the collection itself, and those of others that are attached to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files import service as files_service
from api.files.schemas import FileChange
from api.openai_compatible.attributes import MAX_PAIRS, attributes_of, has_more, replacing
from api.openai_compatible.files.service import (
    CANCELLED,
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    error_detail,
    require_shown,
)
from api.openai_compatible.ids import IdPrefix, absent, shown_id, uuid_of
from api.openai_compatible.lists import ListPage, Order, list_page
from api.openai_compatible.vector_stores.schemas import FileState, LastError, VectorStoreFile
from db.audit import record
from db.models import Collection
from db.queries import files, vector_stores
from db.queries.files import FileDetail
from db.queries.vector_stores import HeldFile
from muniment.contracts import jobs
from muniment.errors import Conflict

STATES: dict[FileState, tuple[jobs.FileState, ...]] = {
    "in_progress": IN_PROGRESS,
    "completed": COMPLETED,
    "cancelled": CANCELLED,
    "failed": FAILED,
}
_UNSUPPORTED = ("unknown-format", "wrong-type")
"""Types of problems."""


@dataclass(frozen=True)
class Wanted:
    """A file that a store is to hold, by the id that was sent, and the attributes that it is to get."""

    file_id: str
    attributes: Mapping[str, JsonValue] | None = None


async def hold(
    session: AsyncSession, caller: Caller, store: Collection, wanted: Sequence[Wanted]
) -> list[UUID]:
    """Has the store hold the files, in whatever collection they lie; their ids. The caller was found to have
    the level `write` on the store. Raises NotFound where one of them is not the caller's to see, and
    Forbidden where the caller may not change the attributes of one that it sends some for."""
    file_ids = [uuid_of(IdPrefix.FILE, each.file_id) for each in wanted]
    found = await files.get_files(session, set(file_ids))
    for file_id in file_ids:
        if file_id not in found or found[file_id].file.state in files.OUT_OF_SIGHT:
            raise absent(IdPrefix.FILE)
    # All of them in one order before any is changed or attached, which locks it too: so two requests do not
    # wait for each other.
    if any(each.attributes is not None for each in wanted):
        await files.lock_files(session, file_ids)
    for file_id, each in sorted(zip(file_ids, wanted, strict=True), key=lambda pair: pair[0]):
        if each.attributes is not None:
            await set_attributes(session, caller, file_id, each.attributes)
    others = sorted(each for each in set(file_ids) if found[each].file.collection_id != store.id)
    if others:
        await vector_stores.attach(session, caller.tenant_id, store.id, others)
    attached: list[JsonValue] = [str(each) for each in others]
    record(
        session,
        caller.act("collection.files_attached", "collection", store.id, {"files": attached}),
    )
    await session.flush()
    return file_ids


async def set_attributes(
    session: AsyncSession, caller: Caller, file_id: UUID, attributes: Mapping[str, JsonValue]
) -> None:
    """Instead of those that the file had. Needs the level `write` on the file. Raises Conflict where it has
    more than are shown."""
    detail = await require_shown(session, file_id, "write", for_update=True)
    if has_more(detail.file.attributes):
        raise Conflict(
            f"the file's metadata has more than {MAX_PAIRS} plain values",
            remedy="Change its metadata with PATCH /v1/files/{id}.",
        )
    patch = replacing(detail.file.attributes, attributes)
    await files_service.change(session, caller, None, file_id, FileChange(metadata=patch))


async def let_go(session: AsyncSession, caller: Caller, store: Collection, file_id: UUID) -> None:
    """Raises NotFound where the store does not hold the file, and Conflict where the file lies in it."""
    held = await vector_stores.find_held(session, store.id, file_id)
    detail = await files.get_file(session, file_id) if held else None
    if detail is None:
        raise absent(IdPrefix.FILE)
    if detail.file.collection_id == store.id:
        raise Conflict(
            "the file lies in this collection, and is not only attached to it",
            remedy="Delete the file itself, or move it with PATCH /v1/files/{id}.",
        )
    await vector_stores.detach(session, store.id, file_id)
    payload: dict[str, JsonValue] = {"files": [str(file_id)]}
    record(session, caller.act("collection.file_detached", "collection", store.id, payload))


async def require_held(session: AsyncSession, store: Collection, file_id: UUID) -> VectorStoreFile:
    """Raises NotFound where the store does not hold it."""
    held = await vector_stores.find_held(session, store.id, file_id)
    shown = await held_views(session, store, [held] if held else [])
    if not shown:
        raise absent(IdPrefix.FILE)
    return shown[0]


async def list_files(
    session: AsyncSession,
    store: Collection,
    *,
    state: FileState | None,
    limit: int,
    after: UUID | None,
    order: Order,
    file_ids: Sequence[UUID] | None = None,
) -> ListPage[VectorStoreFile]:
    """A page of what the store holds, or of these files as far as it holds them."""
    rows = await vector_stores.list_held(
        session,
        store.id,
        limit=limit + 1,
        states=None if state is None else STATES[state],
        file_ids=file_ids,
        after=after,
        descending=order == "desc",
    )
    shown = await held_views(session, store, rows[:limit])
    return list_page(shown, [each.id for each in shown], has_more=len(rows) > limit)


async def held_views(
    session: AsyncSession, store: Collection, held: Sequence[HeldFile]
) -> list[VectorStoreFile]:
    found = await files.get_files(session, [each.file_id for each in held])
    return [_view(store, each, found[each.file_id]) for each in held if each.file_id in found]


def _view(store: Collection, held: HeldFile, detail: FileDetail) -> VectorStoreFile:
    return VectorStoreFile(
        id=shown_id(IdPrefix.FILE, held.file_id),
        created_at=int(held.held_at.timestamp()),
        vector_store_id=shown_id(IdPrefix.VECTOR_STORE, store.id),
        usage_bytes=detail.version.size if detail.version else 0,
        status=_state(jobs.FileState(detail.file.state)),
        last_error=_last_error(detail),
        attributes=attributes_of(detail.file.attributes),
    )


def _state(state: jobs.FileState) -> FileState:
    return next((shown for shown, states in STATES.items() if state in states), "failed")


def _last_error(detail: FileDetail) -> LastError | None:
    told = error_detail(detail)
    if told is None:
        return None
    problem = (detail.job.error if detail.job else None) or {}
    if str(problem.get("type")).rpartition(":")[2] in _UNSUPPORTED:
        return LastError(code="unsupported_file", message=told)
    is_ours = problem.get("retryable") is True
    return LastError(code="server_error" if is_ours else "invalid_file", message=told)
