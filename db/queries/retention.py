"""How long files must be kept, and what becomes of them then: the one judgement of policies and locks.

A file is kept until the last of what reaches it ends: policies that it fits, its lock, and those of the files
that it came out of. What becomes of it then is for its own policies to say; those that name a label which
it has go before the others, and it is deleted only where all of them agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import RetentionLock, RetentionPolicy
from db.queries.preservation_kinds import Preservation, PreservationKind
from muniment.contracts.retention import Disposition

MAX_POLICIES = 200
"""Of a tenant, that have not ended: each file is compared with each."""
LOCKS = frozenset({PreservationKind.COMPLIANCE_LOCK, PreservationKind.GOVERNANCE_LOCK})


@dataclass(frozen=True)
class Judgement:
    """Of a file at a time. `claims` are the policies and locks that reach it, in their order, also those that
    have ended by then; their last end is `retain_until` (None where `is_indefinite`: nobody can say).
    `deciding` are the policies that say its `disposition`, and `disposition_at` is when all of them have
    ended; `delete_at` is the same where the file is then deleted, by a review or without. `is_due`: nothing
    of this keeps it any more, and something is to become of it. Holds are not looked at."""

    claims: Sequence[Preservation]
    retain_until: datetime | None
    is_indefinite: bool
    disposition: Disposition
    disposition_at: datetime | None
    relabel_to: str | None
    deciding: Sequence[UUID]
    is_due: bool

    @property
    def delete_at(self) -> datetime | None:
        is_deletion = self.disposition in (Disposition.REVIEW, Disposition.DELETE)
        return self.disposition_at if is_deletion else None

    def standing(self, as_of: datetime) -> list[Preservation]:
        """The claims that keep the file at that time."""
        return [each for each in self.claims if each.until is None or each.until > as_of]


UNTOUCHED = Judgement((), None, False, Disposition.NONE, None, None, (), False)
"""Of a file that nothing reaches."""

JUDGED = """
    -- What came out of an archive is kept with it.
    WITH RECURSIVE lineage AS (
        SELECT id AS file_id, id AS ancestor_id, parent_id FROM file WHERE id = ANY(:file_ids)
        UNION ALL
        SELECT lineage.file_id, file.id, file.parent_id
        FROM lineage JOIN file ON file.id = lineage.parent_id
    ),
    claim AS (
        SELECT lineage.file_id, policy.id AS reference,
            CASE policy.lock_mode WHEN 'compliance' THEN 'compliance_lock'
                WHEN 'governance' THEN 'governance_lock' ELSE 'retention' END AS kind,
            -- Bounded by what the years of a calendar can say.
            CASE WHEN started.at IS NULL THEN 'infinity'
                ELSE greatest('0001-01-02 UTC', least('9999-12-30 UTC',
                    started.at + make_interval(hours => 24 * policy.days)))
            END AS until,
            -- A label that was given is not given again.
            file.id = lineage.file_id AND (policy.relabel_to = ANY(file.labels)) IS NOT TRUE
                AS is_own,
            policy.label IS NOT NULL AS is_by_label,
            CASE policy.disposition WHEN 'none' THEN 1 WHEN 'relabel' THEN 2
                WHEN 'review' THEN 3 ELSE 4 END AS boldness,
            policy.relabel_to
        FROM lineage
        JOIN file ON file.id = lineage.ancestor_id
        JOIN retention_policy policy ON policy.tenant_id = file.tenant_id
            AND (policy.ended_at IS NULL OR policy.ended_at > :as_of)
            AND (policy.collection_id IS NULL OR policy.collection_id = file.collection_id)
            AND (policy.media_type IS NULL OR policy.media_type = file.media_type
                OR policy.media_type = split_part(file.media_type, '/', 1) || '/*')
            AND (policy.label IS NULL OR policy.label = ANY(file.labels))
            AND (policy.metadata IS NULL OR file.metadata @> policy.metadata)
        CROSS JOIN LATERAL (
            SELECT CASE policy.trigger
                WHEN 'creation' THEN file.created_at
                WHEN 'version' THEN (
                    SELECT max(version.created_at) FROM file_version version
                    WHERE version.file_id = file.id
                )
                WHEN 'last_access' THEN greatest(file.created_at, (
                    SELECT access.accessed_at FROM file_access access
                    WHERE access.file_id = file.id
                ))
                ELSE retention_event(file.metadata ->> policy.event_field) END AS at
        ) started
        UNION ALL
        SELECT lineage.file_id, retention_lock.file_id, retention_lock.mode || '_lock',
            retention_lock.retain_until, false, false, NULL, NULL
        FROM lineage JOIN retention_lock ON retention_lock.file_id = lineage.ancestor_id
    ),
    weighed AS (
        SELECT claim.*,
            is_own AND is_by_label
                = bool_or(is_by_label) FILTER (WHERE is_own) OVER (PARTITION BY file_id)
                AS is_deciding
        FROM claim
    ),
    judged AS (
        SELECT file_id,
            array_agg(kind ORDER BY kind, reference, until) AS kinds,
            array_agg(reference ORDER BY kind, reference, until) AS reference_ids,
            array_agg(nullif(until, 'infinity') ORDER BY kind, reference, until) AS untils,
            max(until) AS retain_until,
            coalesce(min(boldness) FILTER (WHERE is_deciding), 1) AS boldness,
            max(until) FILTER (WHERE is_deciding) AS disposition_at,
            coalesce(array_agg(reference ORDER BY reference) FILTER (WHERE is_deciding), '{}')
                AS deciding,
            -- Of several labels the one that comes last.
            (array_agg(relabel_to ORDER BY until DESC, reference)
                FILTER (WHERE is_deciding AND relabel_to IS NOT NULL))[1] AS relabel_to
        FROM weighed GROUP BY file_id
    )
    SELECT file_id, kinds, reference_ids, untils,
        nullif(retain_until, 'infinity') AS retain_until,
        retain_until = 'infinity' AS is_indefinite,
        boldness,
        CASE WHEN boldness > 1 THEN nullif(disposition_at, 'infinity') END AS disposition_at,
        CASE WHEN boldness = 2 THEN relabel_to END AS relabel_to,
        CASE WHEN boldness > 1 THEN deciding ELSE '{}' END AS deciding,
        boldness > 1 AND retain_until <= :as_of AS is_due
    FROM judged
"""
"""A row of each of `:file_ids` that any policy or lock reaches, as of `:as_of`."""
_ORDER = tuple(PreservationKind)


async def judge(
    session: AsyncSession, file_ids: Sequence[UUID], as_of: datetime
) -> Mapping[UUID, Judgement]:
    """Of those files that any policy or lock reaches, in one statement. `as_of` is the time that is asked
    for; files, policies and locks are as they are now."""
    if not file_ids:
        return {}
    rows = await session.execute(text(JUDGED), {"file_ids": list(file_ids), "as_of": as_of})
    return {row.file_id: judgement_of(row) for row in rows}


def judgement_of(row: Row[Any]) -> Judgement:
    """Of a row of JUDGED."""
    return Judgement(
        claims=_claims(row.kinds, row.untils, row.reference_ids),
        retain_until=row.retain_until,
        is_indefinite=row.is_indefinite,
        disposition=tuple(Disposition)[row.boldness - 1],
        disposition_at=row.disposition_at,
        relabel_to=row.relabel_to,
        deciding=tuple(row.deciding),
        is_due=row.is_due,
    )


def _claims(
    kinds: Sequence[str], untils: Sequence[datetime | None], references: Sequence[UUID]
) -> tuple[Preservation, ...]:
    """In the order of precedence."""
    found = [
        Preservation(PreservationKind(kind), until, reference)
        for kind, until, reference in zip(kinds, untils, references, strict=True)
    ]
    return tuple(sorted(found, key=lambda each: _ORDER.index(each.kind)))


async def get_policy(
    session: AsyncSession, policy_id: UUID, *, for_update: bool = False
) -> RetentionPolicy | None:
    statement = select(RetentionPolicy).where(col(RetentionPolicy.id) == policy_id)
    if for_update:
        statement = statement.with_for_update()
    return (await session.scalars(statement)).one_or_none()


async def list_policies(
    session: AsyncSession, *, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[RetentionPolicy]:
    """Newest first, behind `after` (time, id); those that have ended among them."""
    order = tuple_(col(RetentionPolicy.created_at), col(RetentionPolicy.id))
    statement = select(RetentionPolicy).order_by(
        col(RetentionPolicy.created_at).desc(), col(RetentionPolicy.id).desc()
    )
    if after is not None:
        statement = statement.where(order < after)
    return (await session.scalars(statement.limit(limit))).all()


async def count_policies(session: AsyncSession) -> int:
    """Those that have not ended."""
    statement = select(func.count()).where(col(RetentionPolicy.ended_at).is_(None))
    return await session.scalar(statement) or 0


async def is_collection_named(session: AsyncSession, collection_id: UUID) -> bool:
    """Whether a policy that has not ended is for that collection."""
    statement = (
        select(col(RetentionPolicy.id))
        .where(
            col(RetentionPolicy.collection_id) == collection_id,
            col(RetentionPolicy.ended_at).is_(None),
        )
        .limit(1)
    )
    return await session.scalar(statement) is not None


async def get_lock(session: AsyncSession, file_id: UUID) -> RetentionLock | None:
    """The file's own, also one that has ended."""
    return await session.get(RetentionLock, file_id)
