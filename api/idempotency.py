"""`Idempotency-Key` on every POST that creates something: done once, answered alike every time.

    async with idempotent(request, caller, services) as attempt:
        if replay := attempt.replay(body_hash):
            return replay
        async with services.database.transaction(caller.access) as session:
            …
            await attempt.complete(session, answer)

A request without the header runs the same way, and nothing is kept of it.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Request
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse, Response

from api.authentication import Caller
from db.queries import idempotency
from db.queries.idempotency import Answered, InFlight, KeyOwner, Leased
from db.session import Access, Database
from muniment.errors import Conflict, DatabaseUnavailable, Gone, InvalidRequest, Unprocessable

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
MAX_KEY_CHARACTERS = 255
_WITHOUT_WORDS = ("POST /v1/erasures", "POST /v1/legal-holds", "POST /v1/retention")
"""Routes whose answers name files by their ids alone, also those that are to be erased."""


@dataclass(frozen=True)
class Answer:
    """What is answered, and kept for a repetition: never a secret."""

    status: int
    body: dict[str, JsonValue]
    location: str | None = None


class Attempt:
    """One request's turn at its key."""

    def __init__(
        self,
        owner: KeyOwner | None,
        state: Leased | Answered | None,
        *,
        tells_of_erased: bool = False,
    ) -> None:
        self._owner = owner
        self._state = state
        self._tells_of_erased = tells_of_erased
        self._request_hash = b""
        self.completed = False

    @property
    def is_repetition(self) -> bool:
        """Whether the first answer is known already: the body is then only compared."""
        return isinstance(self._state, Answered)

    def replay(self, request_hash: bytes) -> Response | None:
        """The first answer again, if there is one. Raises Unprocessable for another body, and Gone where
        the answer tells of a file that was erased since, or is to be."""
        self._request_hash = request_hash
        if not isinstance(self._state, Answered):
            return None
        if self._state.request_hash != request_hash:
            raise Unprocessable(
                "this Idempotency-Key was used for another request",
                remedy="Use a new key for a new request; repeat the first one unchanged.",
            )
        if self._tells_of_erased:
            raise Gone(
                "the first answer told of a file that was erased, or is to be",
                remedy="The request was carried out then; use a new key for a new one.",
            )
        answer = Answer(self._state.status, self._state.response, self._state.location)
        response = json_answer(answer)
        response.headers[REPLAYED_HEADER] = "true"
        return response

    async def complete(self, session: AsyncSession, answer: Answer) -> None:
        """Keeps the answer in the transaction of what it reports. Raises Conflict when the lease was
        lost, so that the transaction rolls back."""
        if self._owner is None or not isinstance(self._state, Leased):
            return
        kept = Answered(self._request_hash, answer.status, answer.body, answer.location)
        if not await idempotency.complete(session, self._owner, self._state.token, kept):
            raise Conflict("another request with this Idempotency-Key took over")
        self.completed = True


def json_answer(answer: Answer) -> Response:
    headers = {} if answer.location is None else {"Location": answer.location}
    return JSONResponse(answer.body, status_code=answer.status, headers=headers)


def hash_of(*parts: str | bytes) -> bytes:
    """SHA-256 over the parts, each with its length, so that no two lists of parts agree."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.digest()


@asynccontextmanager
async def idempotent(
    request: Request, caller: Caller, database: Database
) -> AsyncIterator[Attempt]:
    """The turn at the request's key, whose lease is kept alive meanwhile and freed after a failure.

    Raises Conflict while another request with the same key is in flight.
    """
    key = request.headers.get(HEADER)
    route = f"{request.method} {request.url.path}"
    async with turn(key, route, caller, database) as attempt:
        yield attempt


@asynccontextmanager
async def turn(
    key: str | None, route: str, caller: Caller, database: Database
) -> AsyncIterator[Attempt]:
    """As `idempotent`, for a key that came otherwise than in a header. `route`: what it was given to."""
    if key is None:
        yield Attempt(None, None)
        return
    owner = _owner(key, route, caller)
    async with database.transaction(caller.access) as session:
        state = await idempotency.claim(session, owner)
        tells_of_erased = (
            isinstance(state, Answered)
            and not owner.route.startswith(_WITHOUT_WORDS)
            and await idempotency.tells_of_erased(session, state)
        )
    if isinstance(state, InFlight):
        raise Conflict(
            "a request with this Idempotency-Key is in flight",
            remedy="Wait for its answer, or repeat this request a little later.",
        )
    attempt = Attempt(owner, state, tells_of_erased=tells_of_erased)
    if isinstance(state, Answered):
        yield attempt
        return
    renewal = asyncio.create_task(_keep(database, caller.access, owner, state))
    committed = False
    try:
        yield attempt
        # An answer that was kept in a transaction which then failed was not kept.
        committed = attempt.completed
    finally:
        renewal.cancel()
        if not committed:
            await asyncio.shield(_release(database, caller.access, owner, state))


def _owner(key: str, route: str, caller: Caller) -> KeyOwner:
    if not (1 <= len(key) <= MAX_KEY_CHARACTERS and key.isascii() and key.isprintable()):
        raise InvalidRequest(f"Idempotency-Key is 1 to {MAX_KEY_CHARACTERS} printable characters")
    return KeyOwner(caller.tenant_id, caller.principal_id, route, key)


async def _keep(database: Database, access: Access, owner: KeyOwner, lease: Leased) -> None:
    """Prolongs the lease until cancelled, so that a long upload does not lose it."""
    while True:
        await asyncio.sleep(idempotency.LEASE.total_seconds() / 3)
        try:
            async with database.transaction(access) as session:
                await idempotency.extend(session, owner, lease.token)
        except DatabaseUnavailable:
            # The next turn may succeed; a lost lease shows when the answer is kept.
            continue


async def _release(database: Database, access: Access, owner: KeyOwner, lease: Leased) -> None:
    try:
        async with database.transaction(access) as session:
            await idempotency.release(session, owner, lease.token)
    except DatabaseUnavailable:
        # The lease runs out by itself; the error that ended the request is the one to report.
        return
