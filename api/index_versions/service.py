"""Index versions: having one built, searching it instead, and going back."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import cache
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.index_versions.schemas import NewIndexVersion
from api.services import Services
from db.audit import record
from db.models import IndexVersion
from db.queries import index_versions
from db.queries.index_versions import IndexModel, model_of
from muniment.contracts.reindex import IndexState, Outcome, ReindexInput
from muniment.embedding import Embedder, default_model_directory
from muniment.errors import Conflict, Forbidden, MunimentError, NotFound, Unprocessable
from workflows.starting import start_reindex

logger = logging.getLogger(__name__)

_UNFINISHED = (IndexState.BUILDING, IndexState.READY)

Change = Callable[[AsyncSession, IndexVersion], Awaitable[None]]


@cache
def _models() -> Mapping[str, IndexModel]:
    """Those of this release, by their ids. Nothing is loaded for it."""
    known = Embedder(default_model_directory()).models()
    return {
        model.model_id: IndexModel(model.model_id, model.version, model.dimensions)
        for model in known
    }


def require_administrator(caller: Caller) -> None:
    if not caller.is_admin:
        raise Forbidden(
            "index versions are built and activated by an administrator",
            remedy="Ask an administrator of the tenant.",
        )


async def create(session: AsyncSession, caller: Caller, body: NewIndexVersion) -> IndexVersion:
    """One of that model and activation that is being built answers with itself. Raises Unprocessable for
    a model that is not here, and Conflict."""
    model = _models().get(body.model)
    if model is None:
        raise Unprocessable(
            "this release does not have that embedding model",
            remedy=f"Name one of {', '.join(_models())}.",
        )

    async def open_next() -> IndexVersion:
        kept = {each.id for each in await index_versions.kept_whole(session)}
        row = await index_versions.open_next(session, caller.tenant_id, model, body.activation)
        if row.id not in kept:
            figures = {"model": row.model_id, "activation": row.activation}
            record(session, caller.act("index.requested", "index_version", row.id, {**figures}))
        return row

    return await index_versions.alone_with(session, caller.tenant_id, open_next)


async def show(session: AsyncSession, index_version_id: UUID) -> IndexVersion:
    row = await index_versions.get_index(session, index_version_id)
    if row is None:
        raise NotFound("there is no such index version")
    return row


async def activate(
    kept_for: timedelta, session: AsyncSession, caller: Caller, index_version_id: UUID
) -> IndexVersion:
    """Searches that begin from the commit on use it; the former one is kept for so long. Raises Conflict."""

    async def change(session: AsyncSession, row: IndexVersion) -> None:
        if row.state == IndexState.READY and row.evaluation is None:
            raise Conflict("it is still being measured", remedy="Ask again in a minute.")
        await _activate(kept_for, session, row)

    return await _changed_alone(session, caller, index_version_id, "index.activated", change)


async def roll_back(
    kept_for: timedelta, session: AsyncSession, caller: Caller, index_version_id: UUID
) -> IndexVersion:
    """From the active one to the one before it, which is returned. Raises Conflict where that is no longer
    kept, or is of a model that is no longer here."""

    async def change() -> IndexVersion:
        left = await show(session, index_version_id)
        if left.state != IndexState.ACTIVE:
            raise Conflict("only the active index version is gone back from")
        former = await index_versions.former_index(session)
        if former is None:
            raise Conflict(
                "the index version before this one is no longer kept",
                remedy="Build one of its model, and activate that.",
            )
        await _activate(kept_for, session, former)
        payload = {"from": str(left.id)}
        record(session, caller.act("index.rolled_back", "index_version", former.id, {**payload}))
        return former

    return await index_versions.alone_with(session, caller.tenant_id, change)


async def cancel(session: AsyncSession, caller: Caller, index_version_id: UUID) -> IndexVersion:
    """Its building ends with the batch that is at work, and its vectors are deleted."""

    async def change(_: AsyncSession, row: IndexVersion) -> None:
        if row.state not in _UNFINISHED:
            raise Conflict(f"an index version that is {row.state} cannot be cancelled")
        index_versions.retire(row, Outcome.CANCELLED)

    return await _changed_alone(session, caller, index_version_id, "index.cancelled", change)


async def pause(session: AsyncSession, caller: Caller, index_version_id: UUID) -> IndexVersion:
    """The batch that is at work is its last until it is resumed."""
    return await _set_paused(session, caller, index_version_id, is_paused=True)


async def resume(session: AsyncSession, caller: Caller, index_version_id: UUID) -> IndexVersion:
    return await _set_paused(session, caller, index_version_id, is_paused=False)


async def _set_paused(
    session: AsyncSession, caller: Caller, index_version_id: UUID, *, is_paused: bool
) -> IndexVersion:
    row = await index_versions.lock_index(session, index_version_id)
    if row is None:
        raise NotFound("there is no such index version")
    if row.state != IndexState.BUILDING:
        raise Conflict(f"an index version that is {row.state} is not being built")
    if row.is_paused != is_paused:
        row.is_paused = is_paused
        action = "index.paused" if is_paused else "index.resumed"
        record(session, caller.act(action, "index_version", row.id))
    return row


async def wake(services: Services, caller: Caller, index_version_id: UUID) -> None:
    """Has its workflow look at the row, which was committed. Where that cannot be had now, a worker starts
    it, or it looks by itself within minutes."""
    request = ReindexInput(tenant_id=caller.tenant_id, index_version_id=index_version_id)
    try:
        async with asyncio.timeout(services.temporal.start_timeout_seconds):
            await start_reindex(services.temporal.client, request)
        async with services.database.transaction(caller.access) as session:
            await index_versions.mark_started(session, index_version_id)
    except (MunimentError, TimeoutError, RuntimeError) as error:
        # RuntimeError: what the SDK raises when its first connection fails.
        reason = {"reason": type(error).__name__, "index_version": str(index_version_id)}
        logger.warning("the building of an index version was not told", extra=reason)


async def _activate(kept_for: timedelta, session: AsyncSession, row: IndexVersion) -> None:
    if model_of(row) not in _models().values():
        raise Conflict(
            "the index version is of an embedding model that this release does not have",
            remedy="Build one of a model that it has.",
        )
    await index_versions.activate(session, row, kept_for)


async def _changed_alone(
    session: AsyncSession, caller: Caller, index_version_id: UUID, action: str, change: Change
) -> IndexVersion:
    """While nobody publishes for the tenant."""

    async def act() -> IndexVersion:
        row = await index_versions.lock_index(session, index_version_id)
        if row is None:
            raise NotFound("there is no such index version")
        await change(session, row)
        record(session, caller.act(action, "index_version", row.id, {"model": row.model_id}))
        return row

    return await index_versions.alone_with(session, caller.tenant_id, act)
