"""What a list of files is measured by: FastAPI and psycopg with nothing between them.

`python bench/bare_list.py PORT`, with the database's address in BARE_DATABASE: GET / answers with a page
of the stack's files, as one statement finds them. Nobody is asked who calls, nothing is hidden, joined,
counted or logged.
"""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import uvicorn
from fastapi import FastAPI
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel

_LOOPBACK = "127.0.0.1"
_CONNECTIONS = 2
_PAGE = (
    "SELECT id, name, media_type, state, created_at FROM file ORDER BY created_at DESC, id DESC"
    " LIMIT 20"
)


class BareFile(BaseModel):
    id: UUID
    name: str
    media_type: str
    state: str
    created_at: datetime


def create_application(dsn: str) -> FastAPI:
    pool = AsyncConnectionPool(dsn, min_size=_CONNECTIONS, max_size=_CONNECTIONS, open=False)

    @asynccontextmanager
    async def opened(_: FastAPI) -> AsyncGenerator[None, None]:
        async with pool:
            yield

    application = FastAPI(lifespan=opened)

    @application.get("/")
    async def list_files() -> list[BareFile]:
        async with (
            pool.connection() as connection,
            connection.cursor(row_factory=class_row(BareFile)) as cursor,
        ):
            await cursor.execute(_PAGE)
            return await cursor.fetchall()

    return application


def main() -> None:
    uvicorn.run(
        create_application(os.environ["BARE_DATABASE"]),
        host=_LOOPBACK,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
