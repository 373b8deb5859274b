"""`python -m db.replayed_erasures`: after a restore, has erased again what was erased since the backup.

A backup from before an erasure brings the file back, and the ledger beside the keys, which is in no backup of
the database, says that it was erased. What the database lacks is ordered again, as a request orders it:
from then on nothing tells of those files, and the workers erase them. The API serves nobody while one of them
is shown (`restoring`). `muniment up` does it by itself, before it starts API and workers.

How far the ledger was compared is kept in the database, and goes back with it: only what stands behind that
is read.
"""

import argparse
import asyncio
import logging
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from uuid import UUID

from db.queries import erasure_replay
from db.session import Access, Database
from muniment.erasure_ledger import LedgerMark, LedgerPart, parts_behind
from muniment.errors import KeyManagementUnavailable, MunimentError
from muniment.settings import Settings, load_settings
from muniment.telemetry.logs import configure_logging

logger = logging.getLogger(__name__)

LEDGER = "erasures.jsonl"
"""Beside the keys (muniment/stores.py)."""


class ErasureReplay:
    """The ledger held against the database. Any number of processes may do it at once."""

    def __init__(self, database: Database, ledger: Path) -> None:
        self._database = database
        self._ledger = ledger

    async def is_behind(self) -> bool:
        """Whether the database shows a file that the ledger says was erased. Raises
        KeyManagementUnavailable where the ledger cannot be read."""
        reached: LedgerMark | None = None
        are_erased = True
        async for part in self._parts():
            for tenant_id, erased_at in _by_tenant(part).items():
                async with self._database.transaction(Access(tenant_id)) as session:
                    if await erasure_replay.any_shown(session, list(erased_at)):
                        return True
                    # The mark stays before what is still being erased: that may be lost, too.
                    are_erased &= await erasure_replay.all_erased(session, list(erased_at))
            reached = part.end if are_erased else reached
        if reached is not None:
            await self._keep(reached)
        return False

    async def replay(self) -> int:
        """Has all of them erased again; how many. What is interrupted is finished by the next one. Raises
        KeyManagementUnavailable where the ledger cannot be read."""
        ordered = 0
        async for part in self._parts():
            for tenant_id, erased_at in _by_tenant(part).items():
                async with self._database.transaction(Access(tenant_id)) as session:
                    ordered += await erasure_replay.order_again(session, tenant_id, erased_at)
        if ordered:
            logger.warning("erasures are repeated after a restore", extra={"files": ordered})
        return ordered

    async def _parts(self) -> AsyncIterator[LedgerPart]:
        async with self._database.across_tenants() as session:
            mark = await erasure_replay.mark(session)
        parts = parts_behind(self._ledger, mark)
        try:
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                yield part
        except OSError as error:
            raise KeyManagementUnavailable(
                f"the erasure ledger cannot be read ({type(error).__name__})",
                remedy=f"See to it that {LEDGER} in the folder of keys can be read.",
            ) from error

    async def _keep(self, reached: LedgerMark) -> None:
        async with self._database.across_tenants() as session:
            await erasure_replay.set_mark(session, reached)


def _by_tenant(part: LedgerPart) -> Mapping[UUID, Mapping[UUID, datetime]]:
    """Of each tenant's files the last time at which they were erased."""
    tenants: defaultdict[UUID, dict[UUID, datetime]] = defaultdict(dict)
    for entry in part.entries:
        tenants[entry.tenant_id][entry.file_id] = entry.at
    return tenants


async def replay_of(settings: Settings) -> int:
    """As `ErasureReplay.replay`, over what the settings name."""
    database = Database(settings.database.url.get_secret_value(), pool_size=1)
    try:
        return await ErasureReplay(database, settings.keys.root / LEDGER).replay()
    finally:
        await database.close()


def main(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="db.replayed_erasures", description=__doc__).parse_args(arguments)
    try:
        settings = load_settings()
        configure_logging("replayed_erasures", settings.telemetry.level)
        ordered = asyncio.run(replay_of(settings))
    except MunimentError as error:
        sys.stderr.write(f"{error.detail}\n{error.remedy}\n")
        return 2
    sys.stdout.write(f"{ordered} files are erased again\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
