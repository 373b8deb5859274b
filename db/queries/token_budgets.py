"""What a tenant may spend on language models in a month: reserved before a model is asked, settled after.

Reserving takes the row of the month's usage: who asks at the same time waits for as long as it takes to
add a row. A reservation that is never settled, since its process died, comes back when it expires.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import TokenReservation, now
from muniment.errors import TokenBudgetExhausted


@dataclass(frozen=True)
class TokenStanding:
    """Of this month. `limit` None: any number. `reserved` is for answers that are in the making, the first
    of which comes back at `next_expiry` at the latest."""

    month: date
    used: int
    reserved: int
    limit: int | None
    next_expiry: datetime | None

    @property
    def resets_at(self) -> datetime:
        """The first moment of the next month, UTC."""
        following = (self.month.replace(day=28) + timedelta(days=4)).replace(day=1)
        return datetime(following.year, following.month, 1, tzinfo=UTC)

    def require_room(self, tokens: int) -> None:
        """Raises TokenBudgetExhausted, which says when there may be room again."""
        if self.limit is None or self.used + self.reserved + tokens <= self.limit:
            return
        freed_at = self.resets_at
        if self.next_expiry is not None and self.used + tokens <= self.limit:
            freed_at = min(self.next_expiry, freed_at)
        raise TokenBudgetExhausted(
            f"of {self.limit} tokens a month {self.used} are used and {self.reserved} set aside for"
            f" answers in the making; this one could take {tokens}",
            wait_seconds=max(1.0, (freed_at - now()).total_seconds()),
        )


async def standing_of(session: AsyncSession, default: int | None) -> TokenStanding:
    """The tenant's; `default` is the budget of tenants that have none of their own."""
    month = _month()
    row = (await session.execute(_LOOK, {"month": month, "now": now()})).one()
    limit = row.monthly_tokens if row.has_own else default
    return TokenStanding(month, row.used, row.reserved, limit, row.next_expiry)


async def reserve(
    session: AsyncSession,
    tenant_id: UUID,
    tokens: int,
    expires_at: datetime,
    default: int | None,
) -> UUID:
    """The reservation's id. Raises TokenBudgetExhausted."""
    month = _month()
    await session.execute(_WAIT_BRIEFLY)
    await session.execute(_TAKE_TURN, {"tenant_id": tenant_id, "month": month})
    await session.execute(_FORGET_EXPIRED, {"now": now()})
    (await standing_of(session, default)).require_room(tokens)
    made = TokenReservation(tenant_id=tenant_id, month=month, tokens=tokens, expires_at=expires_at)
    session.add(made)
    await session.flush()
    return made.id


async def raise_to(
    session: AsyncSession,
    tenant_id: UUID,
    reservation_id: UUID,
    tokens: int,
    default: int | None,
) -> bool:
    """The reservation is for so many tokens at least; False where it has expired. Raises
    TokenBudgetExhausted."""
    await session.execute(_WAIT_BRIEFLY)
    found = await _take_turn_of(session, tenant_id, reservation_id)
    if found is None:
        return False
    if tokens > found:
        (await standing_of(session, default)).require_room(tokens - found)
        await session.execute(_RAISE, {"id": reservation_id, "tokens": tokens})
    return True


async def settle(
    session: AsyncSession,
    tenant_id: UUID,
    reservation_id: UUID,
    tokens: int,
    *,
    is_repeated: bool = False,
) -> None:
    """What was spent instead counts from here on, in the month of the reservation; in this one where
    the reservation has expired meanwhile. With `is_repeated` a reservation that is gone was settled by
    the attempt before, whose end was not heard of."""
    month = (await session.execute(_MONTH_OF, {"id": reservation_id})).scalar_one_or_none()
    if month is None and is_repeated:
        return
    # The turn first, as in `reserve`: in the other order the two would wait for each other.
    spent = {"tenant_id": tenant_id, "month": month or _month(), "tokens": tokens}
    await session.execute(_ADD, spent)
    await session.execute(_RELEASE, {"id": reservation_id})


async def _take_turn_of(session: AsyncSession, tenant_id: UUID, reservation_id: UUID) -> int | None:
    """The reservation's tokens; None where it is gone, by then or before."""
    month = (await session.execute(_MONTH_OF, {"id": reservation_id})).scalar_one_or_none()
    if month is None:
        return None
    await session.execute(_TAKE_TURN, {"tenant_id": tenant_id, "month": month})
    found = await session.execute(_HELD, {"id": reservation_id, "now": now()})
    return found.scalar_one_or_none()


def _month() -> date:
    return now().date().replace(day=1)


_WAIT_BRIEFLY = text("SET LOCAL lock_timeout = '3s'")

_LOOK = text(
    """
    SELECT
        coalesce((SELECT tokens FROM token_usage WHERE month = :month), 0) AS used,
        coalesce(sum(tokens), 0)::bigint AS reserved,
        min(expires_at) AS next_expiry,
        EXISTS (SELECT FROM token_budget) AS has_own,
        (SELECT monthly_tokens FROM token_budget) AS monthly_tokens
    FROM token_reservation WHERE month = :month AND expires_at > :now
    """
)

# Locks the row that is there, or makes it.
_TAKE_TURN = text(
    """
    INSERT INTO token_usage (tenant_id, month, tokens) VALUES (:tenant_id, :month, 0)
    ON CONFLICT (tenant_id, month) DO UPDATE SET tokens = token_usage.tokens
    """
)

_FORGET_EXPIRED = text("DELETE FROM token_reservation WHERE expires_at <= :now")

_MONTH_OF = text("SELECT month FROM token_reservation WHERE id = :id")

_HELD = text("SELECT tokens FROM token_reservation WHERE id = :id AND expires_at > :now")

_RAISE = text("UPDATE token_reservation SET tokens = :tokens WHERE id = :id")

_RELEASE = text("DELETE FROM token_reservation WHERE id = :id")

_ADD = text(
    """
    INSERT INTO token_usage (tenant_id, month, tokens) VALUES (:tenant_id, :month, :tokens)
    ON CONFLICT (tenant_id, month) DO UPDATE SET tokens = token_usage.tokens + excluded.tokens
    """
)
