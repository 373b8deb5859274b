"""One round of maintenance of the index of words, in a process of its own that kills itself when it has
deleted the rows that it merges."""

import asyncio
import os
import signal
import sys
from uuid import UUID

from sqlalchemy import event
from temporalio.testing import ActivityEnvironment

from activities.lexical_index.activity import LexicalIndex
from db.session import Database
from muniment.contracts.merge_postings import MergePostingsInput


def die(*executed: object) -> None:
    statement = executed[2]
    if isinstance(statement, str) and "INSERT INTO posting" in statement:
        os.kill(os.getpid(), signal.SIGKILL)


async def main(tenant_id: UUID, url: str) -> None:
    database = Database(url)
    event.listen(database._engine.sync_engine, "after_cursor_execute", die)
    request = MergePostingsInput(tenant_id=tenant_id)
    await ActivityEnvironment().run(LexicalIndex(database).merge_postings, request)


if __name__ == "__main__":
    asyncio.run(main(UUID(sys.argv[1]), sys.argv[2]))
