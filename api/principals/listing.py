"""Pages of principals."""

from api.authentication import Caller
from api.pagination import Page, TimeCursor, cut, decode_cursor, encode_cursor
from api.principals.schemas import Principal
from api.principals.service import principal_view
from api.services import Services
from db.queries import principals
from db.queries.principals import PrincipalFilter


async def principals_page(
    services: Services, caller: Caller, wanted: PrincipalFilter, limit: int, cursor: str | None
) -> Page[Principal]:
    """Newest first."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await principals.list_principals(
            session, wanted, limit=limit + 1, after=place.key() if place else None
        )
    shown, last = cut(rows, limit)
    following = None
    if last is not None:
        following = encode_cursor(TimeCursor(at=last.created_at, id=last.id))
    return Page(data=[principal_view(each) for each in shown], next_cursor=following)
