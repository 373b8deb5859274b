"""What is kept of searches and questions."""

from time import perf_counter
from typing import Literal

from pydantic import JsonValue

from api.authentication import Caller
from api.services import Services
from db.audit import record
from db.queries.analytics import QueryKind


def note(
    services: Services,
    caller: Caller,
    kind: QueryKind,
    words: str,
    found: int,
    began: float,
    cached: bool = False,
) -> None:
    """For the tenant's analytics, as far as it has that kept. `began` is a time of `perf_counter`."""
    milliseconds = (perf_counter() - began) * 1000
    services.queries.note(caller.tenant_id, kind, words, found, milliseconds, is_cached=cached)


async def audit(
    services: Services,
    caller: Caller,
    action: str,
    found: int | None,
    cached: bool | Literal["semantic"] = False,
) -> None:
    """What was asked is not kept: questions are personal data. `cached` as in an answer's `meta`."""
    async with services.database.transaction(caller.access) as session:
        payload: dict[str, JsonValue] = {"found": found, "cached": cached}
        record(session, caller.act(action, "search", None, payload))
