"""Which rule sends content to the cold tier by itself: a collection's own, else its tenant's, else the
installation's.

Content that files of several collections have is sent there when every one of their rules says so: the
hottest wins, since whoever asked for a collection to stay at hand has it at hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import File, TierPolicy


class RuleSource(StrEnum):
    """Whose rule it is; `another_collection`: one that has the same content."""

    COLLECTION = "collection"
    ANOTHER_COLLECTION = "another_collection"
    TENANT = "tenant"
    INSTALLATION = "installation"


@dataclass(frozen=True)
class ColdPolicy:
    """The installation's: what goes to the cold tier by itself, where nobody set anything else: content
    that nobody asked for in `min_age`, of so many bytes at least, and of these collections (none: of
    any)."""

    min_age: timedelta
    min_bytes: int
    collections: Sequence[str]

    @classmethod
    def after(
        cls, days: float | None, min_bytes: int, collections: Sequence[str]
    ) -> "ColdPolicy | None":
        return None if days is None else cls(timedelta(days=days), min_bytes, collections)


@dataclass(frozen=True)
class TierRule:
    """Without `after_days` it keeps content in the hot tier."""

    source: RuleSource
    after_days: float | None
    min_bytes: int


RULES = """
    SELECT collection.id AS collection_id,
        CASE WHEN own.id IS NOT NULL THEN 'collection' WHEN of_tenant.id IS NOT NULL THEN 'tenant'
            ELSE 'installation' END AS source,
        CASE WHEN own.id IS NOT NULL THEN own.after_days * interval '1 day'
            WHEN of_tenant.id IS NOT NULL THEN of_tenant.after_days * interval '1 day'
            WHEN cardinality(CAST(:collections AS text[])) = 0
                OR collection.name = ANY(CAST(:collections AS text[]))
            THEN CAST(:min_age AS interval) END AS min_age,
        coalesce(own.min_bytes, of_tenant.min_bytes, CAST(:min_bytes AS bigint)) AS min_bytes
    FROM collection
    LEFT JOIN tier_policy own ON own.collection_id = collection.id
    LEFT JOIN tier_policy of_tenant
        ON of_tenant.tenant_id = collection.tenant_id AND of_tenant.collection_id IS NULL
"""
"""The rule of each of the tenant's collections; without `min_age` its content stays in the hot tier."""


def rule_parameters(installation: ColdPolicy | None) -> dict[str, Any]:
    """What RULES asks for."""
    if installation is None:
        return {"min_age": None, "min_bytes": 0, "collections": []}
    return {
        "min_age": installation.min_age,
        "min_bytes": installation.min_bytes,
        "collections": list(installation.collections),
    }


async def rule_of_collection(
    session: AsyncSession, collection_id: UUID, installation: ColdPolicy | None
) -> TierRule:
    found = await session.execute(
        text(
            "SELECT source, extract(epoch FROM min_age) / 86400 AS after_days, min_bytes"  # noqa: S608 - a constant
            f" FROM ({RULES}) rule WHERE collection_id = :collection_id"
        ),
        {"collection_id": collection_id, **rule_parameters(installation)},
    )
    return _rule(**found.mappings().one())


async def rule_of_file(
    session: AsyncSession, file: File, installation: ColdPolicy | None
) -> TierRule | None:
    """The hottest of those that the file's content is under (one that keeps so small content at all goes
    before one that sends it away late), as far as the caller sees the files that have
    it: that somebody else has the same is nobody's to know. Of a file without content its collection's;
    None where it has no collection either: there is nothing that a rule could move."""
    found = await session.execute(
        text(
            "SELECT CASE WHEN rule.source = 'collection' AND rule.collection_id <> own.collection_id"  # noqa: S608 - a constant
            " THEN 'another_collection' ELSE rule.source END AS source,"
            " extract(epoch FROM rule.min_age) / 86400 AS after_days, rule.min_bytes"
            " FROM file own JOIN file_version version ON version.file_id = own.id"
            " JOIN blob ON blob.id = version.blob_id"
            " JOIN file_version having_it ON having_it.blob_id = version.blob_id"
            " JOIN file ON file.id = having_it.file_id"
            f" JOIN ({RULES}) rule ON rule.collection_id = file.collection_id"
            " WHERE own.id = :file_id"
            " AND (file.id = own.id OR file.id IN (SELECT visible_files('read')))"
            " ORDER BY rule.min_age IS NULL OR blob.size < rule.min_bytes DESC,"
            " rule.min_age DESC NULLS FIRST, rule.min_bytes DESC,"
            " rule.collection_id = own.collection_id DESC LIMIT 1"
        ),
        {"file_id": file.id, **rule_parameters(installation)},
    )
    hottest = found.mappings().first()
    if hottest is not None:
        return _rule(**hottest)
    if file.collection_id is None:
        return None
    return await rule_of_collection(session, file.collection_id, installation)


def _rule(source: str, after_days: float | None, min_bytes: int) -> TierRule:
    days = None if after_days is None else float(after_days)
    return TierRule(RuleSource(source), days, min_bytes)


async def get_policy(
    session: AsyncSession, collection_id: UUID | None, *, for_update: bool = False
) -> TierPolicy | None:
    """The collection's own; without one the tenant's."""
    statement = select(TierPolicy).where(
        col(TierPolicy.collection_id).is_not_distinct_from(collection_id)
    )
    if for_update:
        statement = statement.with_for_update()
    return (await session.scalars(statement)).one_or_none()


async def drop_policy(session: AsyncSession, collection_id: UUID | None) -> bool:
    """Whether there was one."""
    dropped = await session.execute(
        delete(TierPolicy)
        .where(col(TierPolicy.collection_id).is_not_distinct_from(collection_id))
        .returning(col(TierPolicy.id))
    )
    return dropped.first() is not None
