"""Policies for findings, and what they asked for."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Collection, File, FindingJudgement, FindingPolicy, now
from db.queries.collections import allowed
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import FindingKind
from muniment.contracts.findings import FindingAct, FindingRule, Judgement

MAX_POLICIES = 200
"""Of a tenant: each is compared with each finding of a document."""


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
