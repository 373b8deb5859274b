"""Connects to what a worker needs, patiently: a service that starts later is waited for."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from sqlalchemy.exc import ProgrammingError
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client, Interceptor
from temporalio.common import SearchAttributeIndexedValueType
from temporalio.converter import DataConverter
from temporalio.service import RPCError

from db.queries.jobs import unstarted_jobs
from db.session import Database
from muniment.contracts import search_attributes
from muniment.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    MunimentError,
    OrchestratorUnavailable,
)
from muniment.settings import TemporalSettings
from muniment.temporal_service import RenewingService
from muniment.transport.shown import ShownCertificate

logger = logging.getLogger(__name__)
ResultT = TypeVar("ResultT")

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 10.0
PROBE_TIMEOUT = timedelta(seconds=10)
VISIBLE_ATTEMPTS = 50
"""A registered attribute is visible to a cluster's frontends after seconds."""
_NOT_MIGRATED = frozenset({"3F000", "42703", "42883", "42P01"})
"""What PostgreSQL says of a schema that lacks a part until it is migrated: no schema, column,
function or table (PostgreSQL, Error Codes)."""

_TYPES = {
    SearchAttributeIndexedValueType.KEYWORD: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    SearchAttributeIndexedValueType.INT: IndexedValueType.INDEXED_VALUE_TYPE_INT,
}


async def patiently(what: str, attempt: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """The attempt's result, tried again with growing pauses while the service does not answer."""
    wait = FIRST_WAIT_SECONDS
    while True:
        try:
            return await attempt()
        except (MunimentError, RPCError, RuntimeError) as error:
            # RuntimeError is what the SDK raises when it cannot connect.
            if isinstance(error, MunimentError) and not error.retryable:
                raise
            remedy = error.remedy if isinstance(error, MunimentError) else None
            reason = {"reason": type(error).__name__, **({"remedy": remedy} if remedy else {})}
            logger.warning("waiting for %s", what, extra=reason)
        await asyncio.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT_SECONDS)


async def connect_temporal(
    settings: TemporalSettings,
    converter: DataConverter,
    interceptors: list[Interceptor],
    shown: ShownCertificate | None = None,
) -> Client:
    """A client that answers, with our search attributes registered. `shown` is told when the certificate
    is renewed."""

    async def attempt() -> Client:
        client = Client(
            await RenewingService.open(settings, shown),
            namespace=settings.namespace,
            data_converter=converter,
            interceptors=interceptors,
        )
        await register_search_attributes(client)
        return client

    return await patiently("Temporal", attempt)


async def register_search_attributes(client: Client) -> None:
    """Registers what is missing, and returns once it is visible: a workflow that uses an attribute
    before would retry its task for ever."""
    missing = await _missing_attributes(client)
    if not missing:
        return
    try:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(search_attributes=missing, namespace=client.namespace),
            timeout=PROBE_TIMEOUT,
        )
    except RPCError as error:
        if await _missing_attributes(client):
            raise ConfigurationError(
                f"Temporal refuses to register search attributes ({error.status.name})",
                remedy=f"Register them in the namespace: {', '.join(sorted(missing))}.",
            ) from error
    for _ in range(VISIBLE_ATTEMPTS):
        if not await _missing_attributes(client):
            return
        await asyncio.sleep(FIRST_WAIT_SECONDS)
    raise OrchestratorUnavailable("Registered search attributes have not become visible.")


async def _missing_attributes(client: Client) -> dict[str, IndexedValueType.ValueType]:
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace), timeout=PROBE_TIMEOUT
    )
    return {
        key.name: _TYPES[key.indexed_value_type]
        for key in search_attributes.ALL
        if key.name not in listed.custom_attributes
    }


async def await_database(database: Database) -> None:
    """Returns once the database answers and its schema is there."""

    async def attempt() -> None:
        try:
            async with database.across_tenants() as session:
                await unstarted_jobs(session, timedelta(0), max_rows=1)
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) not in _NOT_MIGRATED:
                raise
            raise DatabaseUnavailable(
                "The schema is not there yet.", remedy="Run `muniment schema upgrade`."
            ) from error

    await patiently("the database", attempt)
