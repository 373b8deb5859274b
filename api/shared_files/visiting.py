"""A visit to a link: found by its token, from where it may be used, to a file that may be handed out."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from uuid import UUID

from fastapi import Request
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.client_address import Address, lies_within, site_of
from api.files.content import Sealed
from api.services import Services
from api.shared_files import refusals, sessions
from api.shared_files.sessions import COOKIE, CookieScope, VisitorSession
from api.shares.policy import SharingPolicy
from api.shares.service import PATH
from api.shares.shareable import is_cleared, require_shareable
from db.audit import Act
from db.models import ShareLink, now
from db.queries import shares
from db.session import Access
from muniment.errors import RequestError
from muniment.share_tokens import hash_share_token, is_well_formed
from muniment.telemetry import context


@dataclass(frozen=True)
class Visit:
    """`session` is None for whoever comes for the first time, or has yet to give the password."""

    token: str
    share: ShareLink
    access: Access
    address: Address
    sealed: Sealed
    version: int
    shared_by: str
    session: VisitorSession | None
    cookie_scope: CookieScope

    @property
    def is_locked(self) -> bool:
        return self.share.password_hash is not None and self.session is None

    @property
    def site(self) -> bytes:
        """Where the visitor comes from, unreadable for who has the database alone: addresses are few
        enough to be tried one by one, and the token is not in it."""
        key = hmac.digest(self.share.session_key, b"site\0" + self.token.encode(), "sha256")
        return hmac.digest(key, site_of(self.address), "sha256")

    def act(
        self,
        action: str,
        object_type: str,
        object_id: UUID,
        payload: Mapping[str, JsonValue] | None = None,
    ) -> Act:
        """An audit event of this visitor, of whom nothing is known."""
        return Act(
            action=action,
            object_type=object_type,
            object_id=object_id,
            tenant_id=self.share.tenant_id,
            is_visitor=True,
            request_id=context.request_id(),
            payload=dict(payload or {}),
        )


async def begin_visit(request: Request, services: Services, token: str) -> Visit:
    """Raises Refused, in an order that tells a stranger nothing: first of all whether there is such a
    link, then whether it may be used from here, then whether it has ended."""
    policy = services.sharing
    if not policy.enabled or not is_well_formed(token):
        raise refusals.absent()
    address = policy.proxies.client_address(request.scope)
    async with services.database.across_tenants() as session:
        found = await shares.find_link(session, hash_share_token(token))
    if found is None:
        raise refusals.absent()
    context.bind({"tenant_id": str(found.tenant_id), "share_id": str(found.share_id)})
    # The file is looked for as whoever made the link: it leads no further than they may read now.
    access = Access(found.tenant_id, found.created_by)
    async with services.database.transaction(access) as session:
        share = await shares.get_share(session, found.share_id)
        if share is None or share.revoked_at is not None:
            raise refusals.absent()
        if not _is_allowed_from(share, address):
            raise refusals.elsewhere()
        visitor = sessions.read(request.cookies.get(COOKIE), share, token)
        await _require_not_ended(session, share, visitor)
        sealed, version = await _shared_content(session, share, policy)
        shared_by = await shares.creator_name(session, share)
    encrypted = policy.proxies.is_encrypted(request.scope)
    scope = sessions.cookie_scope(policy.public_url, f"{PATH}/{token}", is_encrypted=encrypted)
    return Visit(token, share, access, address, sealed, version, shared_by, visitor, scope)


def _is_allowed_from(share: ShareLink, address: Address) -> bool:
    allowed = [ip_network(each) for each in share.networks]
    return not allowed or lies_within(address, allowed)


async def _require_not_ended(
    session: AsyncSession, share: ShareLink, visitor: VisitorSession | None
) -> None:
    """Whoever took the last download may go on with it."""
    if share.expires_at <= now():
        raise refusals.ended()
    if share.max_downloads is None or share.downloads < share.max_downloads:
        return
    if visitor is None or not await shares.was_counted(session, share.id, visitor.id):
        raise refusals.ended()


async def _shared_content(
    session: AsyncSession, share: ShareLink, policy: SharingPolicy
) -> tuple[Sealed, int]:
    """Where the bytes lie, and the number of their version."""
    number = share.version_number
    try:
        detail, version = await require_shareable(session, share.file_id, number)
    except RequestError:
        # In the trash, withheld, erased, or no longer its maker's to read: the visitor need not know.
        raise refusals.absent() from None
    if not is_cleared(version, policy):
        raise refusals.absent()
    name = detail.file.name if number is None else version.name
    media_type = version.media_type or version.declared_media_type
    sealed = Sealed(
        share.tenant_id, version.blob_id, version.size, version.sha256, name, media_type
    )
    return sealed, version.number


async def is_still_served(session: AsyncSession, policy: SharingPolicy, visit: Visit) -> bool:
    """Whether what was begun by that visit may go on: neither its link nor its file was taken back,
    nor the right to it. Raises what `require_shareable` raises."""
    share = await shares.get_share(session, visit.share.id)
    if share is None or share.revoked_at is not None or share.expires_at <= now():
        return False
    if not hmac.compare_digest(share.session_key, visit.share.session_key):
        return False
    if not _is_allowed_from(share, visit.address):
        return False
    # By its number: that the file has a newer one meanwhile is no reason to break off.
    _, version = await require_shareable(session, share.file_id, visit.version)
    return is_cleared(version, policy)
