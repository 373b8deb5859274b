"""A search for a person, in a process of its own that kills itself before it commits the second page."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from uuid import UUID

from sqlalchemy import event
from temporalio.testing import ActivityEnvironment

from activities.subjects import activity
from activities.subjects.activity import SubjectRequests
from db.session import Database
from muniment.contracts.subject_requests import SubjectRequestInput
from muniment.objects import SealedTexts
from muniment.stores import open_stores
from tests.workflows.workshop import make_settings

kept = 0


def die(*executed: object) -> None:
    global kept
    statement = executed[2]
    if isinstance(statement, str) and "INSERT INTO subject_request_item" in statement:
        kept += 1
        if kept == 2:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(tenant_id: UUID, request_id: UUID, folder: Path, url: str) -> None:
    activity.FILES_AT_ONCE = 1
    database = Database(url)
    event.listen(database._engine.sync_engine, "after_cursor_execute", die)
    stores = open_stores(make_settings(folder, url))
    subjects = SubjectRequests(database, stores.blobs, SealedTexts(stores.blobs), stores.keys)
    request = SubjectRequestInput(tenant_id=tenant_id, request_id=request_id)
    await ActivityEnvironment().run(subjects.find_subject, request)


if __name__ == "__main__":
    asyncio.run(main(UUID(sys.argv[1]), UUID(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]))
