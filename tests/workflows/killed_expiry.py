"""One look for uploads that ran out of time, in a process of its own that kills itself when it has destroyed
the first part."""

import asyncio
import os
import signal
import sys
from uuid import UUID

from temporalio.testing import ActivityEnvironment

from activities.uploads import clearing
from activities.uploads.activity import UploadExpiry
from db.session import Database
from muniment.contracts.expire_uploads import ExpireUploadsInput
from muniment.objects import BlobStore
from muniment.settings import load_settings
from muniment.stores import open_stores


class Doomed(BlobStore):
    async def destroy(self, tenant_id: UUID, blob_id: UUID) -> None:
        await super().destroy(tenant_id, blob_id)
        os.kill(os.getpid(), signal.SIGKILL)


async def main(tenant_id: UUID) -> None:
    clearing.AT_ONCE = 1
    settings = load_settings()
    real = open_stores(settings).blobs
    database = Database(settings.database.url.get_secret_value())
    expiry = UploadExpiry(database, Doomed(real._objects, real._keys, real._wrapped_keys))
    request = ExpireUploadsInput(tenant_id=tenant_id)
    await ActivityEnvironment().run(expiry.expire_uploads, request)


if __name__ == "__main__":
    asyncio.run(main(UUID(sys.argv[1])))
