"""Connections and transactions: one transaction per request or activity, always for one tenant."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from muniment.errors import DatabaseUnavailable


@dataclass(frozen=True)
class Access:
    """For whom a transaction runs. Without a principal it is the system's own: activities, which see
    every file of the tenant they work for and of no other."""

    tenant_id: UUID
    principal_id: UUID | None = None


def sqlalchemy_url(dsn: str) -> str:
    """A PostgreSQL DSN with the driver that SQLAlchemy needs named in it."""
    return "postgresql+psycopg://" + dsn.split("://", 1)[1]


class Database:
    """A pool of connections as the application role.

    Raises DatabaseUnavailable when PostgreSQL does not answer; connections lost to a restart of the
    server are replaced.
    """

    def __init__(
        self, url: str, *, pool_size: int = 10, statement_timeout_seconds: float = 30.0
    ) -> None:
        milliseconds = int(statement_timeout_seconds * 1000)
        self._engine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": 5,
                # A server that vanished without a word is noticed by the statements that wait.
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 30_000,
                "options": f"-c statement_timeout={milliseconds}"
                " -c idle_in_transaction_session_timeout=60000",
            },
        )

    @asynccontextmanager
    async def transaction(self, access: Access) -> AsyncIterator[AsyncSession]:
        """One transaction under row-level security; commits at the end, rolls back on an error."""
        async with self._session() as session:
            await session.execute(
                text(
                    "SELECT set_config('app.tenant', :tenant, true),"
                    " set_config('app.principal', :principal, true)"
                ),
                {
                    "tenant": str(access.tenant_id),
                    "principal": str(access.principal_id or ""),
                },
            )
            yield session

    @asynccontextmanager
    async def across_tenants(self) -> AsyncIterator[AsyncSession]:
        """One transaction without a tenant: only the functions made for that return anything."""
        async with self._session() as session:
            yield session

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[AsyncSession]:
        try:
            async with (
                AsyncSession(self._engine, expire_on_commit=False) as session,
                session.begin(),
            ):
                yield session
        except (OperationalError, InterfaceError, PoolTimeoutError) as error:
            raise DatabaseUnavailable(
                f"PostgreSQL did not carry out a statement ({type(error).__name__})"
            ) from error
