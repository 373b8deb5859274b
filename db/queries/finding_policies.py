"""Policies for findings, and what they asked for."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Collection, File, FileVersion, FindingJudgement, FindingPolicy, now
from db.queries.collections import allowed
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import FindingKind
from muniment.contracts.findings import FindingAct, FindingRule, Judgement

MAX_POLICIES = 200
"""Of a tenant: each is compared with each finding of a document."""

DEEPEST_CONTAINER = 32
"""Containers in containers that are followed: more than are ever taken apart."""


async def list_policies(
    session: AsyncSession,
    *,
    limit: int,
    after: UUID | None = None,
    collection_id: UUID | None = None,
) -> Sequence[FindingPolicy]:
    """The tenant's, and those of collections that the caller may read; newest first."""
    statement = (
        select(FindingPolicy).where(_shown()).order_by(col(FindingPolicy.id).desc()).limit(limit)
    )
    if collection_id is not None:
        statement = statement.where(col(FindingPolicy.collection_id) == collection_id)
    if after is not None:
        statement = statement.where(col(FindingPolicy.id) < after)
    return (await session.scalars(statement)).all()


async def get_policy(
    session: AsyncSession, policy_id: UUID, *, for_update: bool = False
) -> FindingPolicy | None:
    statement = select(FindingPolicy).where(col(FindingPolicy.id) == policy_id, _shown())
    if for_update:
        statement = statement.with_for_update()
    return (await session.scalars(statement)).one_or_none()


async def count_policies(session: AsyncSession, tenant_id: UUID) -> int:
    """Counted one after the other, so that two at once do not both find room for the last one."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('finding_policy' || :tenant_id, 0))"),
        {"tenant_id": str(tenant_id)},
    )
    found = await session.scalar(select(func.count()).select_from(FindingPolicy))
    return found or 0


async def rules_of_file(session: AsyncSession, file_id: UUID) -> tuple[FindingRule, ...]:
    """What holds for the file: its tenant's policies and those of its collection."""
    of_collection = select(col(File.collection_id)).where(col(File.id) == file_id)
    statement = (
        select(FindingPolicy)
        .where(
            or_(
                col(FindingPolicy.collection_id).is_(None),
                col(FindingPolicy.collection_id) == of_collection.scalar_subquery(),
            )
        )
        .order_by(col(FindingPolicy.id))
    )
    return tuple(_rule(policy) for policy in (await session.scalars(statement)).all())


async def record_judgement(
    session: AsyncSession, version: VersionReference, judgement: Judgement
) -> None:
    """What the job's findings come to; a stage that is tried again judges anew."""
    judged = {
        "act": judgement.act,
        "causes": [cause.model_dump(mode="json") for cause in judgement.causes],
        "rules": [rule.model_dump(mode="json") for rule in judgement.rules],
        "created_at": now(),
    }
    statement = insert(FindingJudgement).values(
        job_id=version.job_id, tenant_id=version.tenant_id, version_id=version.version_id, **judged
    )
    await session.execute(statement.on_conflict_do_update(index_elements=["job_id"], set_=judged))


async def mark_masked(session: AsyncSession, version: VersionReference) -> None:
    """From now on tokens stand for some of what is in the version, and in whatever it came out of: a
    container hands out its members as they are."""
    await session.execute(
        text(
            """
            WITH RECURSIVE held (version_id, depth) AS (
                SELECT CAST(:version_id AS uuid), 0
                UNION
                SELECT file.parent_version_id, held.depth + 1
                FROM held
                JOIN file_version ON file_version.id = held.version_id
                JOIN file ON file.id = file_version.file_id
                WHERE file.parent_version_id IS NOT NULL AND held.depth < :deepest
            )
            UPDATE file_version SET is_masked = true
            FROM held WHERE file_version.id = held.version_id AND NOT file_version.is_masked
            """
        ),
        {"version_id": version.version_id, "deepest": DEEPEST_CONTAINER},
    )


async def awaits_masking(session: AsyncSession, version: FileVersion) -> bool:
    """Whether nobody knows yet what of the version is to be masked: it is not published, and there is a
    policy that would mask something in it."""
    if version.published_at is not None:
        return False
    rules = await rules_of_file(session, version.file_id)
    return any(rule.act is FindingAct.MASK for rule in rules)


async def judgement_of(session: AsyncSession, job_id: UUID) -> Judgement | None:
    """None where the job was not judged."""
    row = await session.get(FindingJudgement, job_id)
    if row is None:
        return None
    return Judgement.model_validate({"act": row.act, "causes": row.causes, "rules": row.rules})


def _rule(policy: FindingPolicy) -> FindingRule:
    return FindingRule(
        policy_id=policy.id,
        kind=None if policy.kind is None else FindingKind(policy.kind),
        entity=policy.entity,
        minimum_score=policy.minimum_score,
        act=FindingAct(policy.act),
    )


def _shown() -> ColumnElement[bool]:
    """Policies of the tenant, and of collections that the caller may read."""
    readable = select(col(Collection.id)).where(allowed("read"))
    return or_(
        col(FindingPolicy.collection_id).is_(None), col(FindingPolicy.collection_id).in_(readable)
    )
