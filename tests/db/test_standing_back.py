"""Backends of PostgreSQL that stand back with the process that they work for."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import on_a_busy_machine

LAUNCHER = Path(__file__).parents[2] / "deploy" / "embedded" / "launch.py"
NOT_SHARED = "cores are not shared among sessions"

PROGRAM = f"""
import asyncio, sys
from pathlib import Path
from sqlalchemy import text
from db.session import Database

async def main() -> None:
    database = Database(sys.argv[1])
    async with database.across_tenants() as session:
        backend = (await session.scalars(text("SELECT pg_backend_pid()"))).one()
        share = Path(f"/proc/{{backend}}/autogroup")
        print(share.read_text().split()[-1] if share.exists() else "{NOT_SHARED}")
    await database.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("niceness", [0, 4])
def test_a_backend_stands_back_as_far_as_its_process(application_dsn: str, niceness: int) -> None:
    launched = (
        *(sys.executable, "-I", "-S", str(LAUNCHER)),
        *(str(os.getpid()), str(int(signal.SIGTERM)), "-1", "-1", str(niceness)),
        *(sys.executable, "-c", PROGRAM, application_dsn),
    )
    told = subprocess.run(
        launched,
        start_new_session=True,
        check=True,
        capture_output=True,
        text=True,
        timeout=on_a_busy_machine(30),
    )
    is_shared = Path("/proc/self/autogroup").exists()
    assert told.stdout.strip() == (str(niceness) if is_shared else NOT_SHARED)
