"""Passwords that come with encrypted documents: sealed before the commit, destroyed by the worker
once their job has ended."""

from uuid import UUID

from pydantic import SecretStr

from api.files.discarding import discard_blob
from api.services import Services
from db.session import Access
from muniment.objects import SealedBlob

PASSWORD_HEADER = "x-document-password"  # noqa: S105 - the header's name
"""Carries the password of a raw body: a query parameter would stand in every proxy's log."""


async def seal_password(
    services: Services, tenant_id: UUID, password: SecretStr | None
) -> SealedBlob | None:
    """The password in the sealed store; the caller commits its row, or discards it."""
    if password is None:
        return None
    return await services.blobs.put_bytes(tenant_id, password.get_secret_value().encode())


def tag_of(sealed: SealedBlob | None) -> bytes:
    """What tells passwords apart, and tells none: an HMAC under the tenant's key."""
    return sealed.dedup_tag if sealed is not None else b""


async def discard_password(services: Services, access: Access, sealed: SealedBlob | None) -> None:
    """Destroys a password that no committed job needs."""
    await discard_blob(services, access, sealed, "an unused password was left behind, sealed")
