"""Connections and transactions: one transaction per request or activity, always for one tenant."""

import asyncio
import logging
import select
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import DiskFull, QueryCanceled, ReadOnlySqlTransaction
from sqlalchemy import event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    InvalidRequestError,
    OperationalError,
    PendingRollbackError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from db.connection import opening
from db.json_columns import read_json
from db.transport import refused_by_tls
from muniment.errors import (
    DatabaseFull,
    DatabaseTooSlow,
    DatabaseUnavailable,
    InvalidRequest,
    MunimentError,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Access:
    """For whom a transaction runs. Without a principal it is the system's own: activities, which see
    every file of the tenant they work for and of no other."""

    tenant_id: UUID
    principal_id: UUID | None = None


_NOBODY = Access(UUID(int=0))
"""A tenant that there is not."""


def sqlalchemy_url(dsn: str) -> str:
    """A PostgreSQL DSN with the driver that SQLAlchemy needs named in it."""
    return "postgresql+psycopg://" + dsn.split("://", 1)[1]


VANISHED_SERVER: Mapping[str, int] = MappingProxyType(
    {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }
)
"""Has a server that vanished without a word noticed, by libpq's parameters (seconds; the last one
milliseconds)."""

SILENCE_BEYOND_STATEMENT_SECONDS = 5.0
"""How much longer than a statement may take its answer is waited for: by then PostgreSQL would have
cancelled it, and said so."""

LONGEST_WARM_UP_SECONDS = 15.0
"""For all connections together: nobody is served meanwhile. One that is silent from the beginning is given
up by its `connect_timeout`, and after it no other is tried."""

_BEGIN = "BEGIN"
_BEGIN_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

_PLAN_ONCE = ", set_config('plan_cache_mode', 'force_generic_plan', true)"

_PREPARED_FROM = 1
"""Uses of a statement on a connection before it is prepared: the second one is, as nearly all that are sent
twice are sent often."""

_AT_LAST = "at_last"

LOST_IN_TRANSACTION = "8s2b"
"""SQLAlchemy's code of "Can't reconnect until invalid transaction is rolled back"."""


async def act_for(session: AsyncSession, access: Access) -> None:
    """From here on the session's transaction runs for these."""
    await session.execute(
        text(
            "SELECT set_config('app.tenant', :tenant, true),"
            " set_config('app.principal', :principal, true)"
        ),
        {"tenant": str(access.tenant_id), "principal": str(access.principal_id or "")},
    )


def _acting_for(access: Access) -> str:
    """As `act_for`, for where there are no parameters. Raises ValueError for what is no id."""
    # Whatever was given: digits, letters and hyphens end no string of SQL.
    tenant = UUID(str(access.tenant_id))
    principal = UUID(str(access.principal_id)) if access.principal_id else ""
    return (
        f"SELECT set_config('app.tenant', '{tenant}', true),"
        f" set_config('app.principal', '{principal}', true)"
    )


def at_last(session: AsyncSession, act: Callable[[], Awaitable[None]]) -> None:
    """Has this done before the session's transaction commits, behind all else: for what others wait for
    from then on."""
    session.info.setdefault(_AT_LAST, []).append(act)


class Database:
    """A pool of connections as the application role.

    `generic_plans` has PostgreSQL plan each prepared statement once instead of for each use: for
    processes whose statements all find their rows by keys, where planning costs more than the rest.

    Raises DatabaseUnavailable when PostgreSQL does not answer, or not in time; connections lost to a
    restart of the server are replaced. Raises DatabaseFull when its disk is full, and InvalidRequest
    for a value that PostgreSQL cannot hold, such as a number that is too large for its column.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        statement_timeout_seconds: float = 30.0,
        pool_timeout_seconds: float = 10.0,
        generic_plans: bool = False,
    ) -> None:
        milliseconds = int(statement_timeout_seconds * 1000)
        self._pool_size = pool_size
        # PostgreSQL takes 0 for no limit.
        silence = statement_timeout_seconds + SILENCE_BEYOND_STATEMENT_SECONDS
        self._engine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=0,
            # The connection used last is the one whose statements are prepared.
            pool_use_lifo=True,
            pool_timeout=pool_timeout_seconds,
            json_deserializer=read_json,
            # The driver begins no transaction by itself, which takes a round trip: `_begin` does.
            isolation_level="AUTOCOMMIT",
            # It ends what `_begin` began: without it the next to have the connection would go on in it.
            skip_autocommit_rollback=False,
            connect_args={
                **VANISHED_SERVER,
                "async_creator_fn": opening(silence if milliseconds else None),
                "prepare_threshold": _PREPARED_FROM,
                "options": f"-c statement_timeout={milliseconds}"
                " -c idle_in_transaction_session_timeout=60000"
                f" -c plan_cache_mode={'force_generic_plan' if generic_plans else 'auto'}",
            },
        )
        event.listen(self._engine.sync_engine, "checkout", _refuse_closed)

    @asynccontextmanager
    async def transaction(
        self, access: Access, *, is_snapshot: bool = False, plans_once: bool = False
    ) -> AsyncIterator[AsyncSession]:
        """One transaction under row-level security; commits at the end, rolls back on an error.
        With `is_snapshot` it only reads, and all its statements see the same. `plans_once` is
        `generic_plans` for this transaction."""
        beginning = _BEGIN_SNAPSHOT if is_snapshot else _BEGIN
        planning = _PLAN_ONCE if plans_once else ""
        async with self._session(f"{beginning}; {_acting_for(access)}{planning}") as session:
            yield session
            acts = session.info.pop(_AT_LAST, ())
            if acts:
                # What is still to be written belongs to "all else": COMMIT would write it behind them.
                await session.flush()
            for act in acts:
                await act()

    @asynccontextmanager
    async def across_tenants(self) -> AsyncIterator[AsyncSession]:
        """One transaction without a tenant: only the functions made for that return anything."""
        async with self._session(_BEGIN) as session:
            yield session

    @asynccontextmanager
    async def one_statement(self) -> AsyncIterator[AsyncSession]:
        """As `across_tenants`, for a single statement, which is a transaction by itself: two of three
        round trips are spared."""
        async with self._session() as session:
            yield session

    async def warm_up(self, ask: Callable[[AsyncSession], Awaitable[object]]) -> None:
        """Opens all connections that the pool may have, and asks on each for nobody, so that none of the
        first requests waits until PostgreSQL has a process that knows the tables. Never raises: what
        cannot be opened yet is opened when it is needed. Over after `LONGEST_WARM_UP_SECONDS`, and some
        seconds more where an answer is cancelled that a server owes which fell silent."""
        try:
            async with asyncio.timeout(LONGEST_WARM_UP_SECONDS):
                await self._open_all(ask)
        except (MunimentError, SQLAlchemyError, TimeoutError) as error:
            logger.warning(
                "connections to PostgreSQL are opened later",
                extra={"reason": type(error).__name__},
            )

    async def _open_all(self, ask: Callable[[AsyncSession], Awaitable[object]]) -> None:
        sessions = list[AsyncSession]()
        async with AsyncExitStack() as held:
            try:
                for _ in range(self._pool_size):
                    sessions.append(await held.enter_async_context(self.transaction(_NOBODY)))
                    await ask(sessions[-1])
            except BaseException:
                # Hung up: on each that a silent server has, a rollback would wait for it once more.
                for session in sessions:
                    await session.invalidate()
                raise

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def _session(self, beginning: str | None = None) -> AsyncIterator[AsyncSession]:
        """With these statements the transaction begins; without them each statement is one."""
        try:
            async with (
                AsyncSession(self._engine, expire_on_commit=False) as session,
                session.begin(),
            ):
                await _check_out(session)
                if beginning is not None:
                    await _begin(session, beginning)
                yield session
        except DataError as error:
            # Without its cause, which quotes the values: names and texts of documents. A statement has
            # placeholders; where the value was ours, the line is all that tells of the defect.
            logger.error(
                "PostgreSQL refused a value",
                extra={
                    "sqlstate": getattr(error.orig, "sqlstate", None),
                    "statement": error.statement,
                },
            )
            raise InvalidRequest(
                f"PostgreSQL cannot hold a value that was given ({type(error.orig).__name__})"
            ) from None
        except SQLAlchemyError as error:
            if not _is_lost(error):
                raise
            refused = refused_by_tls(error)
            if refused is not None:
                raise refused from error
            raise _kind(error)(
                f"PostgreSQL did not carry out a statement ({type(error).__name__})"
            ) from error


async def _begin(session: AsyncSession, statements: str) -> None:
    """All of them in one round trip, which the driver allows what is not prepared."""
    connection = await session.connection()
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, AsyncConnection)  # noqa: S101 - of the dialect in sqlalchemy_url()
    try:
        await driver.execute(statements.encode(), prepare=False)
    except psycopg.Error as error:
        raise DBAPIError.instance(statements, None, error, psycopg.Error) from error
    except BaseException:
        # Cancelled, in a state that nobody knows: as SQLAlchemy does for its own statements. A rollback on
        # what the driver has closed meanwhile would fail, and take the place of the cancellation.
        await connection.invalidate()
        raise


async def _check_out(session: AsyncSession) -> None:
    """Takes a connection from the pool, which gives up with an error of misuse when PostgreSQL
    says goodbye to fresh connections too, as one does that is shutting down."""
    try:
        await session.connection()
    except PoolTimeoutError as error:
        raise DatabaseUnavailable(
            "no connection of this process to PostgreSQL became free in time: all are at work"
        ) from error
    except InvalidRequestError as error:
        raise DatabaseUnavailable("PostgreSQL closes every connection that is opened") from error


def _kind(error: SQLAlchemyError) -> type[DatabaseUnavailable]:
    cause = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(cause, QueryCanceled):
        return DatabaseTooSlow
    return DatabaseFull if isinstance(cause, DiskFull) else DatabaseUnavailable


def _is_lost(error: SQLAlchemyError) -> bool:
    """Whether PostgreSQL or the way to it is at fault, and not what was asked of it."""
    if isinstance(error, OperationalError | InterfaceError):
        return True
    if isinstance(error, PendingRollbackError):
        # Used on after its connection was lost; the same error after a refused flush is a defect.
        return error.code == LOST_IN_TRANSACTION
    if not isinstance(error, DBAPIError):
        return False
    # A standby, reached after a failover, reads only: no transaction here is made so.
    return error.connection_invalidated or isinstance(error.orig, ReadOnlySqlTransaction)


def _refuse_closed(
    connection: DBAPIConnection, _: ConnectionPoolEntry, __: PoolProxiedConnection
) -> None:
    """Has the pool replace a connection that the server has closed.

    An idle connection has nothing to read unless its server said goodbye: that is known without
    the round trip of SQLAlchemy's `pool_pre_ping`, which every transaction would pay.
    """
    driver = connection.driver_connection
    assert isinstance(driver, AsyncConnection)  # noqa: S101 - of the dialect in sqlalchemy_url()
    if driver.closed:
        raise DisconnectionError
    readable = select.poll()
    readable.register(driver.fileno(), select.POLLIN)
    if readable.poll(0):
        raise DisconnectionError
