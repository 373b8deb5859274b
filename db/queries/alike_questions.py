"""Answers that may be told again to another question: what a tenant says of it, and which there are."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import AlikeQuestionPolicy

MOST_COMPARED = 200
"""Of the answers to questions that are equal in all that has to be; the newest."""

_LOCK = "hashtextextended('alike_question_policy:' || current_tenant()::text, 0)"


@dataclass(frozen=True)
class AlikeAnswer:
    """Kept under `key` at `epoch`; `sealed_vector` is its question's."""

    key: bytes = field(repr=False)
    epoch: int
    sealed_vector: bytes = field(repr=False)


_ALIKE = text(
    """
    SELECT key, epoch, sealed_vector FROM cached_response
    WHERE tenant_id = (SELECT current_tenant()) AND alike_key = :alike_key
        AND epoch = :epoch AND expires_at > now()
    ORDER BY created_at DESC LIMIT :most
    """
)


async def alike(session: AsyncSession, alike_key: bytes, epoch: int) -> Sequence[AlikeAnswer]:
    """Of this epoch, newest first, at most MOST_COMPARED."""
    given = {"alike_key": alike_key, "epoch": epoch, "most": MOST_COMPARED}
    rows = await session.execute(_ALIKE, given)
    return [AlikeAnswer(row.key, row.epoch, row.sealed_vector) for row in rows]


async def lock_policy(session: AsyncSession) -> AlikeQuestionPolicy | None:
    """The tenant's. Until the transaction ends nobody else changes it."""
    await session.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    found: AlikeQuestionPolicy | None = await session.scalar(select(AlikeQuestionPolicy))
    return found


async def hold_wanted(session: AsyncSession) -> bool:
    """Whether the tenant wants questions compared; it does not turn that off until the transaction ends.
    False too while somebody changes it: nobody waits here."""
    locked = await session.scalar(text(f"SELECT pg_try_advisory_xact_lock_shared({_LOCK})"))
    if not locked:
        return False
    # A statement of its own, whose snapshot is later than the lock.
    policy: AlikeQuestionPolicy | None = await session.scalar(select(AlikeQuestionPolicy))
    return policy is not None and policy.least_likeness is not None


async def forget_vectors(session: AsyncSession) -> None:
    """What only serves questions that are alike; the answers stay for the same question."""
    await session.execute(
        text(
            "UPDATE cached_response SET alike_key = NULL, sealed_vector = NULL, size = length(sealed)"
            " WHERE alike_key IS NOT NULL"
        )
    )
