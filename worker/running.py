"""A worker process from its start to its orderly end."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Literal

from temporalio.client import Client, Interceptor
from temporalio.worker import Worker

from db.queries.analytics import QueryPolicy
from db.session import Database
from db.transport import client_certificate, database_exposures
from muniment.connections import shown_certificates, shown_to
from muniment.contracts.worker_identity import write_identity
from muniment.exposure import exposures, refuse_exposed, told
from muniment.pulse import give_pulse
from muniment.settings import ColdStoreSettings, ConversationSettings, Settings
from muniment.stores import Stores, open_data_converter, open_stores
from muniment.task_group import task_group
from muniment.temporal_service import renewal_of
from muniment.transport.shown import ShownCertificate
from worker.audit_sealing import AuditSealingRounds
from worker.connecting import await_database, connect_temporal
from worker.erasing import vacuuming
from worker.lost_batches import LostBatches
from worker.lost_deliveries import MIN_AGE as LOST_DELIVERY_AGE
from worker.lost_deliveries import LostDeliveries
from worker.lost_jobs import LostJobs
from worker.memory import FreedMemory
from worker.parts import Parts, starts_ray
from worker.provider_change import ProviderChange
from worker.queues import build_worker, services
from worker.reconciler import Reconciler
from worker.spent_conversations import SpentConversations
from worker.spent_indexes import SpentIndexes
from worker.spent_invitations import SpentInvitations
from worker.spent_passwords import SpentPasswords
from worker.spent_queries import SpentQueries
from worker.spent_question_lists import SpentQuestionLists
from worker.spent_subject_requests import SpentSubjectRequests
from worker.spent_uploads import SpentUploads
from worker.spent_visits import SpentVisits
from worker.spent_webhooks import OldEvents, SpentSecrets
from worker.sweep import Sweep
from worker.tenant_schedules import (
    EVALUATIONS,
    MERGES,
    MOVES,
    REMINDERS,
    RETENTION,
    VERIFICATION,
    TenantSchedules,
)
from worker.upload_timers import UploadTimers
from worker.webhook_dispatch import DispatchPolicy, WebhookDispatch
from worker.webhook_figures import WebhookFigures

logger = logging.getLogger(__name__)


async def run_worker(
    settings: Settings, queue_names: Sequence[str], interceptors: list[Interceptor]
) -> None:
    """Serves the queues until SIGTERM or SIGINT; running activities then get their grace."""
    exposed = exposures(
        settings,
        database_exposures(settings.database.url.get_secret_value()),
        os.environ,
        starts_ray=starts_ray(settings, queue_names),
    )
    refuse_exposed(settings, exposed)
    if exposed:
        logger.warning(
            "without verified TLS to or from other machines", extra={"connections": told(exposed)}
        )
    shown = shown_to(
        shown_certificates(settings, client_certificate(settings.database.url.get_secret_value())),
        "temporal",
    )
    stopping = _stop_on_signals()
    async with AsyncExitStack() as resources:
        database = Database(
            settings.database.url.get_secret_value(),
            pool_size=settings.database.pool_size,
            statement_timeout_seconds=settings.database.statement_timeout_seconds,
            generic_plans=True,
        )
        resources.push_async_callback(database.close)
        stores = open_stores(settings)
        resources.push_async_callback(stores.keys.close)
        parts = Parts(settings, database, stores, resources)
        served = services(queue_names, parts, settings.worker, os.cpu_count() or 1)
        starting = asyncio.ensure_future(_start(settings, database, parts, interceptors, shown))
        client = await _unless_stopped(starting, stopping)
        if client is None:
            return
        tier = await parts.sandbox_tier()
        logger.info("parsers are confined", extra={"sandbox": list(tier)})
        identity = write_identity(os.getpid(), socket.gethostname(), tier)
        workers = [build_worker(client, service, settings.worker, identity) for service in served]
        runs_workflows = any(service.workflows for service in served)
        keeping: list[Coroutine[None, None, None]] = [FreedMemory().run()]
        renewal = renewal_of(client)
        if renewal is not None and settings.temporal.uses_tls:
            keeping.append(renewal.watch(lambda: give_connection(client, workers)))
        if runs_workflows:
            keeping += _housekeeping(settings, database, stores, client)
        if parts.remote_ocr is not None:
            keeping.append(parts.remote_ocr.watch())
        # Until all is handed back: a worker that takes its time to end does not hang.
        resources.callback(asyncio.create_task(give_pulse(os.environ)).cancel)
        await _serve(workers, keeping, stopping)


def give_connection(client: Client, workers: Sequence[Worker]) -> None:
    """Has the workers poll over the connection that their client has now."""
    for worker in workers:
        worker.client = client


async def _start(
    settings: Settings,
    database: Database,
    parts: Parts,
    interceptors: list[Interceptor],
    shown: ShownCertificate | None,
) -> Client:
    converter = open_data_converter(settings)
    async with task_group() as starts:
        starts.create_task(await_database(database))
        client = starts.create_task(
            connect_temporal(settings.temporal, converter, interceptors, shown)
        )
        starts.create_task(parts.start())
    # What was loaded by now stays: the garbage collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    return client.result()


async def _unless_stopped(
    starting: "asyncio.Future[Client]", stopping: asyncio.Event
) -> Client | None:
    """The client, or None when the process is told to stop before it has one."""
    stop = asyncio.create_task(stopping.wait())
    waited: list[asyncio.Future[Client] | asyncio.Task[Literal[True]]] = [starting, stop]
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if starting.done():
        return starting.result()
    starting.cancel()
    with suppress(asyncio.CancelledError):
        await starting
    return None


def _housekeeping(
    settings: Settings, database: Database, stores: Stores, client: Client
) -> tuple[Coroutine[None, None, None], ...]:
    """What goes on beside the polling, for as long as it does."""
    sweep = Sweep(
        database,
        stores.blobs,
        interval=timedelta(hours=settings.worker.sweep_hours),
        min_age=timedelta(hours=settings.worker.sweep_min_age_hours),
    )
    changing = stores.changing
    return (
        *([ProviderChange(database, client, changing).run()] if changing else []),
        Reconciler(database, client, settings.worker.reconcile_seconds).run(),
        LostJobs(database, client).run(),
        LostBatches(database, client).run(),
        LostDeliveries(database, client, min_age=LOST_DELIVERY_AGE).run(),
        sweep.run(),
        *vacuuming(settings, database),
        SpentPasswords(database, stores.blobs).run(),
        UploadTimers(database, client).run(),
        SpentUploads(database, stores.blobs).run(),
        SpentSecrets(database, stores.blobs).run(),
        OldEvents(database, stores.blobs, timedelta(days=settings.webhooks.keep_days)).run(),
        WebhookDispatch(
            database,
            client,
            DispatchPolicy(settings.webhooks.retry_delays_seconds, settings.webhooks.max_pending),
            settings.database.url.get_secret_value(),
        ).run(),
        WebhookFigures(database).run(),
        AuditSealingRounds(
            database,
            client,
            settings.audit.seal_seconds,
            makes_copies=settings.audit_copies.backend is not None,
        ).run(),
        SpentVisits(database, stores.blobs).run(),
        SpentInvitations(database, stores.blobs).run(),
        SpentIndexes(database, stores.blobs).run(),
        SpentConversations(database, _kept(settings.conversations)).run(),
        SpentQuestionLists(database, stores.blobs).run(),
        SpentSubjectRequests(database, stores.blobs).run(),
        SpentQueries(
            database,
            QueryPolicy.of(settings.analytics.keeps, settings.analytics.keep_days),
            timedelta(days=settings.evaluation.keep_days),
        ).run(),
        TenantSchedules(
            database, client, VERIFICATION, timedelta(hours=settings.integrity.interval_hours)
        ).run(),
        TenantSchedules(database, client, MOVES, _moves_interval(settings.cold_store)).run(),
        TenantSchedules(
            database, client, MERGES, timedelta(minutes=settings.lexical.merge_minutes)
        ).run(),
        TenantSchedules(
            database, client, RETENTION, timedelta(hours=settings.retention.sweep_hours)
        ).run(),
        TenantSchedules(
            database, client, REMINDERS, timedelta(minutes=settings.tasks.look_minutes)
        ).run(),
        TenantSchedules(
            database, client, EVALUATIONS, timedelta(hours=settings.evaluation.interval_hours)
        ).run(),
    )


def _kept(settings: ConversationSettings) -> timedelta | None:
    return timedelta(days=settings.keep_days) if settings.keep_days else None


def _moves_interval(settings: ColdStoreSettings) -> timedelta:
    """Of nothing where there is no cold store: then there are no schedules."""
    return timedelta(hours=settings.interval_hours if settings.backend else 0)


async def _serve(
    workers: Sequence[Worker],
    housekeeping: Sequence[Coroutine[None, None, None]],
    stopping: asyncio.Event,
) -> None:
    """Polls until told to stop, or until a worker fails for good: then all end."""
    polling = [asyncio.create_task(worker.run()) for worker in workers]
    keeping = [asyncio.create_task(work) for work in housekeeping]
    stop = asyncio.create_task(stopping.wait())
    logger.info("polling", extra={"queues": [worker.task_queue for worker in workers]})
    watched = {stop, *polling, *keeping}
    await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
    logger.info("stopping")
    stop.cancel()
    for work in keeping:
        work.cancel()
    ending = [asyncio.create_task(worker.shutdown()) for worker in workers]
    # One that failed for good is told of only when the others have handed back what they ran.
    await asyncio.wait([*ending, *polling, *keeping])
    for task in (*polling, *ending, *keeping):
        if not task.cancelled():
            task.result()


def _stop_on_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping
