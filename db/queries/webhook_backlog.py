"""How much webhooks have yet to deliver, and what they gave up: figures of all tenants together."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True)
class Backlog:
    """`oldest_at`: of what is neither delivered nor given up, the oldest; None without any."""

    pending: int
    oldest_at: datetime | None
    dead_letters: int


async def webhook_backlog(session: AsyncSession) -> Backlog:
    """Needs no tenant."""
    rows = await session.execute(
        text("SELECT pending, oldest_at, dead_letters FROM webhook_backlog()")
    )
    return Backlog(**rows.mappings().one())
