"""A tenant's index versions: which are kept whole, and how one takes the place of another.

A publication enters every one that is kept whole, and holds them while it does (`hold`). Who changes which
they are, or which of them is searched, has them alone (`alone_with`): so nothing is published into those of
before while the next one is believed to have everything.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.audit import Act, record
from db.giving_way import giving_way
from db.models import IndexVersion, new_id, now
from db.queries import vectors
from muniment.contracts.reindex import Activation, IndexState, Outcome
from muniment.errors import Conflict

ResultT = TypeVar("ResultT")

KEPT_WHOLE = (
    IndexState.ACTIVE,
    IndexState.BUILDING,
    IndexState.READY,
    IndexState.SUPERSEDED,
)
_NEXT = (IndexState.BUILDING, IndexState.READY)
_MOST_FOUND = 100


@dataclass(frozen=True)
class IndexModel:
    """An embedding model, in one version of it: vectors of two are not to be compared."""

    model_id: str
    model_version: str
    dimensions: int


class VectorsLacking(Exception):
    """A publication has no vectors of a model whose index version it has to enter: that one came, or became
    the one that is searched, since they were made. They can be made here; never leaves the publication."""


def model_of(row: IndexVersion) -> IndexModel:
    return IndexModel(row.model_id, row.model_version, row.dimensions)


async def kept_whole(session: AsyncSession) -> Sequence[IndexVersion]:
    """The tenant's, the oldest first."""
    rows = await session.scalars(
        select(IndexVersion)
        .where(col(IndexVersion.state).in_([state.value for state in KEPT_WHOLE]))
        .order_by(col(IndexVersion.created_at), col(IndexVersion.id))
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def hold(session: AsyncSession, tenant_id: UUID) -> None:
    """Until the transaction ends none is added, built to its end or activated."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:key, 0))"),
        {"key": _key(tenant_id)},
    )


async def alone_with(
    session: AsyncSession, tenant_id: UUID, act: Callable[[], Awaitable[ResultT]]
) -> ResultT:
    """What the act returns, while nobody publishes for the tenant; the first to lock anything in the
    session's transaction. Raises DatabaseUnavailable where publications are at work all along."""

    async def locked() -> ResultT:
        await session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"),
            {"key": _key(tenant_id)},
        )
        return await act()

    return await giving_way(session, locked)


async def entered_by(
    session: AsyncSession,
    tenant_id: UUID,
    made: Collection[IndexModel],
    known: Sequence[IndexModel],
) -> dict[UUID, IndexModel]:
    """The index versions that a publication with vectors of the models in `made` enters; they are held.
    `known`: the models that are here, of which the first is the default.

    The first publication makes the active one. Where the active one is of a model that is no longer here,
    one of the default model is begun, which takes its place when it is whole. Raises VectorsLacking."""
    await hold(session, tenant_id)
    kept = await kept_whole(session)
    if _is_without_home(kept, known):
        # Two publications at once must not make two.
        await session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"),
            {"key": f"active index of {tenant_id}"},
        )
        kept = await kept_whole(session)
        if _is_without_home(kept, known):
            await _make_one_of(session, tenant_id, known[0], kept)
            kept = await kept_whole(session)
    entered = {}
    for each in kept:
        model = model_of(each)
        if model in made:
            entered[each.id] = model
        elif model in known and each.state != IndexState.BUILDING:
            raise VectorsLacking
    return entered


def _is_without_home(kept: Sequence[IndexVersion], known: Sequence[IndexModel]) -> bool:
    """Whether vectors of the models that are here enter neither the active one nor the next one, and there
    may be another."""
    active = [model_of(each) for each in kept if each.state == IndexState.ACTIVE]
    has_next = any(each.state in _NEXT for each in kept)
    return not active or (active[0] not in known and not has_next)


async def _make_one_of(
    session: AsyncSession, tenant_id: UUID, model: IndexModel, kept: Sequence[IndexVersion]
) -> None:
    """An active one where there is none, else the next one."""
    row = _new(tenant_id, model, IndexState.ACTIVE)
    if any(each.state == IndexState.ACTIVE for each in kept):
        row = _new(tenant_id, model, IndexState.BUILDING, Activation.AUTOMATIC)
        row.passages_total = await count_passages(session)
        record(session, _act("index.requested", row))
    else:
        row.activated_at = now()
    session.add(row)
    await session.flush()


async def open_next(
    session: AsyncSession, tenant_id: UUID, model: IndexModel, activation: Activation
) -> IndexVersion:
    """A new one that is to be built, or the one of that model and activation that is. Nobody publishes
    meanwhile. Raises Conflict where another is, or waits to be activated, and where nothing was published."""
    kept = await kept_whole(session)
    following = next((each for each in kept if each.state in _NEXT), None)
    if following is not None:
        is_same = model_of(following) == model and following.activation == activation
        if is_same and following.state == IndexState.BUILDING:
            return following
        raise Conflict(
            f"An index version of the model {following.model_id} is {following.state} already"
            f" ({following.activation}).",
            remedy="Activate it or cancel it first.",
        )
    if not any(each.state == IndexState.ACTIVE for each in kept):
        raise Conflict(
            "Nothing was published yet: there is no index to build another beside.",
            remedy="Upload something first; the first publication makes the index.",
        )
    row = _new(tenant_id, model, IndexState.BUILDING, activation)
    row.passages_total = await count_passages(session)
    session.add(row)
    await session.flush()
    return row


def _new(
    tenant_id: UUID,
    model: IndexModel,
    state: IndexState,
    activation: Activation = Activation.MANUAL,
) -> IndexVersion:
    return IndexVersion(
        id=new_id(),
        tenant_id=tenant_id,
        model_id=model.model_id,
        model_version=model.model_version,
        dimensions=model.dimensions,
        state=state.value,
        activation=activation.value,
    )


async def activate(session: AsyncSession, row: IndexVersion, kept_for: timedelta) -> None:
    """The index version is searched from now on, and the one that was is kept for so long. Nobody publishes
    meanwhile. Raises Conflict where it is not whole, lacks its graph, or is neither ready nor superseded."""
    if row.state not in (IndexState.READY, IndexState.SUPERSEDED):
        raise Conflict(
            f"An index version that is {row.state} cannot be activated.",
            remedy="Wait until it is ready.",
        )
    if await lacks_vectors(session, row.id):
        raise Conflict(
            "Passages that were published meanwhile are not in this index version: a release published"
            " them that does not have its model.",
            remedy="Cancel it, or let its time pass, and build another.",
        )
    kept = await kept_whole(session)
    if row.state == IndexState.READY and await _is_made_slow(session, row, kept):
        raise Conflict(
            "This index version is large and has no graph: searches by meaning would be late.",
            remedy="An operator makes it with `python -m db.vector_graphs`; activate it then.",
        )
    for former in kept:
        if former.id == row.id:
            continue
        if former.state == IndexState.SUPERSEDED:
            retire(former, Outcome.REPLACED)
            record(session, _act("index.retired", former))
        elif former.state == IndexState.ACTIVE:
            former.state = IndexState.SUPERSEDED.value
            former.retire_at = now() + kept_for
    # The unique index on the active one looks at each statement.
    await session.flush()
    row.state = IndexState.ACTIVE.value
    row.activated_at = now()
    row.retire_at = None
    await session.flush()


async def _is_made_slow(
    session: AsyncSession, row: IndexVersion, kept: Sequence[IndexVersion]
) -> bool:
    """Whether searches would measure all of a large one, which they need not now."""
    active = next((each for each in kept if each.state == IndexState.ACTIVE), None)
    is_slow_already = active is not None and await vectors.lacks_graph(session, active.id)
    return not is_slow_already and await vectors.lacks_graph(session, row.id)


def _act(action: str, row: IndexVersion) -> Act:
    """Nobody's: it follows from another."""
    payload: dict[str, JsonValue] = {"model": row.model_id, "model_version": row.model_version}
    return Act(action, "index_version", row.id, row.tenant_id, payload=payload)


def retire(row: IndexVersion, outcome: Outcome) -> None:
    """Nothing enters it any more; its vectors and its graph are cleared away by a worker."""
    row.state = IndexState.RETIRED.value
    row.outcome = outcome.value
    row.filled_until = b""
    row.is_paused = False
    row.retire_at = None


async def former_index(session: AsyncSession) -> IndexVersion | None:
    """The one that was searched before and is still kept."""
    found = await session.scalars(
        select(IndexVersion).where(col(IndexVersion.state) == IndexState.SUPERSEDED.value)
    )
    return found.one_or_none()


async def get_index(session: AsyncSession, index_version_id: UUID) -> IndexVersion | None:
    return await session.get(IndexVersion, index_version_id, populate_existing=True)


async def lock_index(session: AsyncSession, index_version_id: UUID) -> IndexVersion | None:
    """Its row, locked against changes; vectors may enter it."""
    return await session.get(
        IndexVersion, index_version_id, with_for_update={"key_share": True}, populate_existing=True
    )


async def list_indexes(
    session: AsyncSession, *, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[IndexVersion]:
    """Newest first."""
    query = select(IndexVersion)
    if after is not None:
        place = tuple_(col(IndexVersion.created_at), col(IndexVersion.id))
        query = query.where(place < tuple_(*after))
    rows = await session.scalars(
        query.order_by(col(IndexVersion.created_at).desc(), col(IndexVersion.id).desc()).limit(
            limit
        )
    )
    return rows.all()


async def count_passages(session: AsyncSession) -> int:
    """The tenant's, files in the trash included."""
    found = await session.execute(
        text("SELECT count(*) FROM chunk WHERE tenant_id = (SELECT current_tenant())")
    )
    return int(found.scalar_one())


async def lacks_vectors(session: AsyncSession, index_version_id: UUID) -> bool:
    """Whether any passage of the tenant has no vector in it."""
    found = await session.execute(
        text(
            "SELECT EXISTS (SELECT FROM chunk WHERE tenant_id = (SELECT current_tenant())"
            " AND NOT EXISTS (SELECT FROM embedding WHERE embedding.chunk_id = chunk.id"
            " AND embedding.index_version_id = :id))"
        ),
        {"id": index_version_id},
    )
    return bool(found.scalar_one())


@dataclass(frozen=True)
class FoundIndex:
    """One of some tenant's."""

    tenant_id: UUID
    index_version_id: UUID


async def unstarted(session: AsyncSession, min_age: timedelta) -> list[FoundIndex]:
    """Those to be built that Temporal has not taken, and of those to be built, measured or activated each
    again after some minutes, since it may have lost them; of all tenants, the oldest first."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, index_version_id FROM unstarted_index_versions(:min_age, :max_rows)"
        ),
        {"min_age": min_age, "max_rows": _MOST_FOUND},
    )
    return [FoundIndex(*row) for row in rows]


async def mark_started(session: AsyncSession, index_version_id: UUID) -> None:
    await session.execute(
        text("UPDATE index_version SET started_at = now() WHERE id = :id"),
        {"id": index_version_id},
    )


async def spent(session: AsyncSession, after: UUID | None) -> list[FoundIndex]:
    """Retired ones that still have vectors, and superseded ones whose time is over, of all tenants; in the
    order of their ids, some at a time."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, index_version_id"
            " FROM spent_index_versions(CAST(:after AS uuid), :max_rows)"
        ),
        {"after": after, "max_rows": _MOST_FOUND},
    )
    return [FoundIndex(*row) for row in rows]


def _key(tenant_id: UUID) -> str:
    return f"index versions of {tenant_id}"
