"""The page of a link, and the password that some ask for."""

from datetime import timedelta
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from api.services import Services
from api.shared_files import pages, refusals, sessions
from api.shared_files.visiting import Visit, begin_visit
from db.audit import record
from db.queries import shares


async def show(request: Request, services: Services, token: str) -> Response:
    """Tells of the file, or asks for the password. Nothing is counted or written: programs that
    preview links come here too. Raises Refused."""
    visit = await begin_visit(request, services, token)
    if visit.is_locked:
        return pages.password_page()
    response = pages.download_page(visit)
    if visit.session is None:
        # Taken along to the content, it makes one download of a button that is pressed twice.
        _admit(response, visit, services.sharing.session_life)
    return response


async def ask(request: Request, services: Services, token: str) -> Response:
    """What `show` would say, without a session: nobody carries it on. Raises Refused."""
    visit = await begin_visit(request, services, token)
    return pages.password_page() if visit.is_locked else pages.download_page(visit)


async def unlock(request: Request, services: Services, token: str, password: str) -> Response:
    """Takes the password, and shows the page to whoever knew it. Raises Refused, and TooManyRequests
    when too many wait."""
    visit = await begin_visit(request, services, token)
    stored = visit.share.password_hash
    if stored is None or visit.session is not None:
        return _back_to_the_page(visit)
    async with services.sharing.passwords.turn():
        begun = await _begin_try(services, visit)
        is_right = await services.sharing.passwords.is_right(stored, password)
    async with services.database.transaction(visit.access) as session:
        if is_right:
            await shares.forgive_try(session, begun)
        action = "share.opened" if is_right else "share.password_refused"
        record(session, visit.act(action, "share", visit.share.id))
    if not is_right:
        return pages.password_page(is_wrong=True)
    response = _back_to_the_page(visit)
    _admit(response, visit, services.sharing.session_life)
    return response


async def _begin_try(services: Services, visit: Visit) -> UUID:
    """Counts it before the password is looked at. Raises Refused when it is one too many, and
    when the link is gone."""
    async with services.database.transaction(visit.access) as session:
        begun = await shares.begin_try(session, visit.share, visit.site, services.sharing.tries)
    if begun is None:
        raise refusals.absent()
    if isinstance(begun, timedelta):
        raise refusals.too_many_tries(begun)
    return begun


def _back_to_the_page(visit: Visit) -> Response:
    """Relative, so that it holds below a proxy's prefix."""
    return pages.redirection(visit.token)


def _admit(response: Response, visit: Visit, life: timedelta) -> None:
    session = sessions.begin(life)
    sessions.hand_out(response, session, visit.share, visit.token, visit.cookie_scope)
