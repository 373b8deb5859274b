"""Secrets of webhooks: sealed before the row that names them is committed, as document passwords are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.authentication import Caller
from api.files.discarding import discard_blob
from api.services import Services
from muniment.objects import SealedBlob
from muniment.webhook_signing import SignatureScheme, SigningKey, new_signing_key

LEFT_BEHIND = "an unused secret of a webhook was left behind, sealed"


@asynccontextmanager
async def sealed_key(
    services: Services, caller: Caller, scheme: SignatureScheme
) -> AsyncIterator[tuple[SigningKey, SealedBlob]]:
    """A new key and where it lies; destroyed again where the block within raises and no row was
    committed that names it."""
    key = new_signing_key(scheme)
    sealed = await services.blobs.put_bytes(caller.tenant_id, key.secret)
    try:
        yield key, sealed
    except BaseException:
        discarding = discard_blob(services, caller.access, sealed, LEFT_BEHIND)
        await asyncio.shield(discarding)
        raise
