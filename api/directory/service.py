"""Looking somebody up."""

from sqlalchemy.ext.asyncio import AsyncSession

from api.directory.schemas import Entry, Found
from db.queries import directory


async def look_up(session: AsyncSession, query: str, limit: int) -> Found:
    rows = await directory.find_names(session, query, limit=limit + 1)
    shown = [Entry.model_validate(each, from_attributes=True) for each in rows[:limit]]
    return Found(data=shown, truncated=len(rows) > limit)
