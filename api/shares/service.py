"""Share links: making, changing, revoking."""

import secrets
from datetime import datetime
from uuid import UUID

from fastapi import Request
from pydantic import JsonValue, SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.preconditions import require_match
from api.shares.policy import SharingPolicy
from api.shares.schemas import NewShare, Share, ShareChange
from api.shares.shareable import is_cleared, require_shareable
from db.audit import record
from db.models import FileVersion, ShareLink, now
from db.queries import shares
from muniment.contracts.render_view import (
    MARKABLE_MEDIA_TYPE,
    MAXIMUM_MARKABLE_BYTES,
    is_markable,
)
from muniment.errors import Conflict, Forbidden, NotFound, Unprocessable
from muniment.share_tokens import new_share_token

PATH = "/s"
READING = "files:read"
_KEY_BYTES = 32


def share_view(found: ShareLink) -> Share:
    return Share(
        id=found.id,
        file_id=found.file_id,
        version=found.version_number,
        created_by=found.created_by,
        has_password=found.password_hash is not None,
        networks=found.networks,
        max_downloads=found.max_downloads,
        watermark=found.watermark,
        downloads=found.downloads,
        created_at=found.created_at,
        expires_at=found.expires_at,
        last_used_at=found.last_used_at,
        revoked_at=found.revoked_at,
    )


def entity_tag(found: ShareLink) -> str:
    """Of what can be changed: a download is no change."""
    return f'"{found.revision}"'


def link(request: Request, policy: SharingPolicy, token: str) -> str:
    """Where the link is found: under the address that the operator named, else under the one by which
    its maker came."""
    root = policy.public_url or str(request.base_url).rstrip("/")
    return f"{root}{PATH}/{token}"


def whose(caller: Caller) -> UUID | None:
    """Whose links the caller manages: its own, or (None) everyone's of the tenant."""
    return None if caller.is_admin else caller.principal_id


def require_sharing(policy: SharingPolicy) -> None:
    if not policy.enabled:
        raise Forbidden(
            "sharing by links is switched off",
            remedy="Ask the operator: MUNIMENT_SHARING__ENABLED.",
        )


def require_reading(caller: Caller) -> None:
    """Whoever makes a link has the content by it."""
    if READING not in caller.scopes:
        raise Forbidden(f"the key lacks the scope {READING}")


async def hashed(policy: SharingPolicy, password: SecretStr | None) -> str | None:
    """To be computed outside of transactions: it waits for its turn, and takes its time."""
    return None if password is None else await policy.passwords.hash(password.get_secret_value())


async def require_may_be_shared(
    session: AsyncSession, policy: SharingPolicy, body: NewShare, *, for_update: bool = False
) -> datetime:
    """Until when. Raises what `require_shareable` raises, Conflict for a version that was found not to
    be clean, Unprocessable for an end that is not allowed and for a mark that cannot be made."""
    ends = _allowed_end(policy, body.expires_at or now() + policy.default_life)
    _, version = await require_shareable(session, body.file_id, body.version, for_update=for_update)
    is_scanned = version.scan_state is not None
    if is_scanned and not is_cleared(version, policy):
        raise Conflict(
            f"this version is {version.scan_state}, and only clean ones are shared",
            remedy="The operator decides it: MUNIMENT_SHARING__REQUIRE_CLEAN.",
        )
    if body.watermark and not _may_be_markable(version):
        detail = f"only PDFs of {MAXIMUM_MARKABLE_BYTES >> 20} MiB at most can be marked"
        raise Unprocessable(detail, errors=[{"field": "watermark", "detail": detail}])
    return ends


def _may_be_markable(version: FileVersion) -> bool:
    """Of what nobody has looked into yet only the size is known."""
    return is_markable(version.media_type or MARKABLE_MEDIA_TYPE, version.size)


async def create(
    session: AsyncSession,
    caller: Caller,
    policy: SharingPolicy,
    body: NewShare,
    password_hash: str | None,
) -> tuple[ShareLink, str]:
    """The link and its token. Raises what `require_may_be_shared` raises."""
    # Locked, so that an erasure which begins meanwhile finds this link.
    ends = await require_may_be_shared(session, policy, body, for_update=True)
    made = new_share_token()
    share = ShareLink(
        tenant_id=caller.tenant_id,
        file_id=body.file_id,
        version_number=body.version,
        created_by=caller.principal_id,
        token_hash=made.hash,
        session_key=secrets.token_bytes(_KEY_BYTES),
        password_hash=password_hash,
        networks=list(dict.fromkeys(body.networks)),
        max_downloads=body.max_downloads,
        watermark=body.watermark,
        expires_at=ends,
    )
    session.add(share)
    await session.flush()
    record(session, caller.act("share.created", "share", share.id, _described(share)))
    return share, made.token


def _described(share: ShareLink) -> dict[str, JsonValue]:
    return {
        "file_id": str(share.file_id),
        "version": share.version_number,
        "has_password": share.password_hash is not None,
        "networks": len(share.networks),
        "max_downloads": share.max_downloads,
        "watermark": share.watermark,
    }


def _allowed_end(policy: SharingPolicy, ends: datetime) -> datetime:
    moment = now()
    detail = None
    if ends <= moment:
        detail = "must lie in the future"
    elif ends > moment + policy.longest_life:
        detail = f"must lie within {policy.longest_life.total_seconds() / 86_400:g} days"
    if detail is not None:
        raise Unprocessable(
            f"expires_at {detail}", errors=[{"field": "expires_at", "detail": detail}]
        )
    return ends


async def require_share(
    session: AsyncSession, caller: Caller, share_id: UUID, *, for_update: bool = False
) -> ShareLink:
    found = await shares.get_share(
        session, share_id, created_by=whose(caller), for_update=for_update
    )
    if found is None:
        raise NotFound("there is no such share")
    return found


async def change(
    session: AsyncSession,
    caller: Caller,
    policy: SharingPolicy,
    if_match: str | None,
    share_id: UUID,
    body: ShareChange,
    password_hash: str | None,
) -> ShareLink:
    share = await require_share(session, caller, share_id, for_update=True)
    require_match(if_match, entity_tag(share))
    if share.revoked_at is not None:
        raise Conflict("the share is revoked", remedy="Make a new one.")
    given = body.model_fields_set
    if not given:
        return share
    if body.expires_at is not None:
        share.expires_at = _allowed_end(policy, body.expires_at)
    if body.networks is not None:
        share.networks = list(dict.fromkeys(body.networks))
    if "max_downloads" in given:
        share.max_downloads = body.max_downloads
    if "password" in given:
        share.password_hash = password_hash
        share.session_key = secrets.token_bytes(_KEY_BYTES)
    share.revision += 1
    await session.flush()
    payload: dict[str, JsonValue] = {"fields": [*sorted(given)]}
    record(session, caller.act("share.changed", "share", share_id, payload))
    return share


async def revoke(session: AsyncSession, caller: Caller, share_id: UUID) -> ShareLink:
    """The link, revoked now or before."""
    share = await require_share(session, caller, share_id, for_update=True)
    if share.revoked_at is None:
        share.revoked_at = now()
        share.revision += 1
        payload: dict[str, JsonValue] = {"file_id": str(share.file_id)}
        record(session, caller.act("share.revoked", "share", share_id, payload))
        await session.flush()
    return share
