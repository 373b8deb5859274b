"""Waiting for the moment in which somebody waits for a lock, instead of for a time after which he may."""

import asyncio

import psycopg

from tests.patience import on_a_busy_machine


async def until_blocked_by(holding: "psycopg.Connection | psycopg.AsyncConnection") -> None:
    """Returns once somebody in PostgreSQL waits for what this connection holds."""
    # Within one transaction PostgreSQL tells of the same backends again and again.
    async with await psycopg.AsyncConnection.connect(holding.info.dsn, autocommit=True) as watching:
        async with asyncio.timeout(on_a_busy_machine(30)):
            while not await _is_blocked(watching, holding.info.backend_pid):  # noqa: ASYNC110 - others
                await asyncio.sleep(0.02)


async def _is_blocked(watching: psycopg.AsyncConnection, pid: int) -> bool:
    found = await watching.execute(
        "SELECT FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))", (pid,)
    )
    return found.rowcount > 0
