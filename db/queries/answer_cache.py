"""Responses that are told again, as long as nothing has changed: found, kept, forgotten.

The epoch of a tenant rises with every commit that may change what a search finds (migration 0034), in the
snapshot in which that commit is seen. So what was found after an epoch was read is what is found in any
later snapshot with the same epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import new_id
from db.queries import alike_questions


class ResponseKind(StrEnum):
    SEARCH = "search"
    ANSWER = "answer"


@dataclass(frozen=True)
class Standing:
    """Of one snapshot: the tenant's epoch, the models that are paused for it, and what was kept under the
    key, at the epoch `kept_at`. `least_likeness`: AlikeQuestionPolicy's."""

    epoch: int
    paused: frozenset[str]
    kept_at: int | None
    sealed: bytes | None = field(repr=False)
    least_likeness: float | None = None


@dataclass(frozen=True)
class NewResponse:
    """`file_ids`: all files of which something is in it. `alike_key`, `sealed_vector`: CachedResponse's."""

    kind: ResponseKind
    key: bytes = field(repr=False)
    epoch: int
    file_ids: Sequence[UUID]
    sealed: bytes = field(repr=False)
    alike_key: bytes | None = field(default=None, repr=False)
    sealed_vector: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class CacheLimits:
    """Of a tenant; beyond them the oldest go."""

    kept: timedelta
    max_rows: int
    max_bytes: int


_EPOCH = """
    (SELECT CAST(coalesce(sum(changes), 0) AS bigint)
     FROM corpus_epoch WHERE tenant_id = (SELECT current_tenant()))
"""
_LOCK = "hashtextextended('cached_response:' || CAST(current_tenant() AS text), 0)"

_SHARE_LOCK = text(
    f"SELECT pg_try_advisory_xact_lock_shared({_LOCK}), set_config('lock_timeout', '1s', true)"
)
"""Who keeps waits for nobody long: it holds a connection that a request may wait for."""

_FIND = text(
    f"""
    SELECT standing.epoch, standing.paused, standing.least_likeness, cached.epoch AS kept_at,
           cached.sealed
    FROM (SELECT {_EPOCH} AS epoch, ARRAY(SELECT model FROM paused_models()) AS paused,
                 (SELECT least_likeness FROM alike_question_policy) AS least_likeness) AS standing
    LEFT JOIN cached_response AS cached
        ON cached.tenant_id = (SELECT current_tenant())
        AND cached.key = :key AND cached.expires_at > now()
    """  # noqa: S608 - made of the constants above; every value is bound
)

_KEEP = text(
    f"""
    INSERT INTO cached_response AS cached
        (id, tenant_id, kind, key, epoch, file_ids, sealed, alike_key, sealed_vector, size,
         created_at, expires_at)
    SELECT :id, current_tenant(), :kind, :key, :epoch, CAST(:file_ids AS uuid[]), :sealed,
           CAST(:alike_key AS bytea), CAST(:sealed_vector AS bytea),
           length(:sealed) + coalesce(length(CAST(:sealed_vector AS bytea)), 0),
           now(), now() + CAST(:kept AS interval)
    WHERE {_EPOCH} = :epoch
    ON CONFLICT (tenant_id, key) DO UPDATE SET
        id = excluded.id, epoch = excluded.epoch, file_ids = excluded.file_ids,
        sealed = excluded.sealed, alike_key = excluded.alike_key,
        sealed_vector = excluded.sealed_vector, size = excluded.size,
        created_at = excluded.created_at, expires_at = excluded.expires_at
        WHERE cached.epoch <= excluded.epoch
    RETURNING id
    """
)

_STALE = f"expires_at <= now() OR epoch < {_EPOCH}"

# Those that others are at are left to them: nobody waits for anybody.
_FORGET = """
    WITH spent AS (SELECT id FROM cached_response WHERE {which} FOR UPDATE SKIP LOCKED),
         gone AS (DELETE FROM cached_response WHERE id IN (SELECT id FROM spent) RETURNING 1)
    SELECT count(*) FROM gone
"""
_FORGET_STALE = text(_FORGET.format(which=_STALE))
_FORGET_SPENT = text(
    _FORGET.format(
        which=f"""
            {_STALE} OR id IN (
                SELECT id FROM (
                    SELECT id, row_number() OVER newest_first AS place,
                           sum(size) OVER newest_first AS bytes
                    FROM cached_response
                    WINDOW newest_first AS (ORDER BY created_at DESC, id DESC)
                ) AS aged
                WHERE place > :max_rows OR bytes > :max_bytes)
        """  # noqa: S608 - made of the constants above; every value is bound
    )
)


async def find(session: AsyncSession, key: bytes) -> Standing:
    """What may be told only where `kept_at` is the epoch."""
    row = (await session.execute(_FIND, {"key": key})).one()
    paused = frozenset(row.paused)
    return Standing(row.epoch, paused, row.kept_at, row.sealed, row.least_likeness)


async def keep(session: AsyncSession, response: NewResponse, limits: CacheLimits) -> bool:
    """Instead of what was kept under the key, unless the epoch is another by now, or a file is just being
    erased; whether it was. What is over the limits goes, and what is stale. Raises DatabaseUnavailable when
    the key's row is not free soon."""
    # Held by whoever keeps, alone by who forgets a file: what is kept beside that is seen by it, and what
    # is kept after it finds the epoch of before the erasure gone.
    locked = await session.execute(_SHARE_LOCK)
    if not locked.scalar_one():
        return False
    # An answer takes long; the tenant may have turned off meanwhile what the vector is for.
    is_compared = response.alike_key is not None and await alike_questions.hold_wanted(session)
    kept = await session.execute(
        _KEEP,
        {
            "id": new_id(),
            "kind": response.kind.value,
            "key": response.key,
            "epoch": response.epoch,
            "file_ids": list(response.file_ids),
            "sealed": response.sealed,
            "alike_key": response.alike_key if is_compared else None,
            "sealed_vector": response.sealed_vector if is_compared else None,
            "kept": limits.kept,
        },
    )
    if kept.one_or_none() is None:
        return False
    # Behind the row of the key, the one thing here that is waited for.
    await session.execute(
        _FORGET_SPENT, {"max_rows": limits.max_rows, "max_bytes": limits.max_bytes}
    )
    return True


async def forget_stale(session: AsyncSession) -> int:
    """What can no longer be told; how many."""
    return int((await session.execute(_FORGET_STALE)).scalar_one())


async def forget_file(session: AsyncSession, file_id: UUID) -> None:
    """All that has anything of the file, which is no longer found by then."""
    await session.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    await session.execute(
        text("DELETE FROM cached_response WHERE :file_id = ANY(file_ids)"), {"file_id": file_id}
    )
