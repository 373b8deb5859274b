"""What Prometheus is told of webhooks: attempts, ends, and what is left to deliver."""

import asyncio
import subprocess
import sys
from datetime import timedelta

import pytest
from sqlalchemy import text

from db.models import now
from db.session import Access, Database
from muniment.errors import DatabaseUnavailable
from muniment.telemetry import metrics
from muniment.telemetry.metrics import REGISTRY, metrics_text
from tests.conftest import free_port
from tests.patience import on_a_busy_machine
from tests.receiver import Receiver, Reply
from tests.workflows.endpoints import (
    ONLY,
    become_ready,
    dispatch,
    ended,
    endpoint,
    handle,
    rows,
    sending,
)
from tests.workflows.workshop import TenantIds, Workshop
from worker.webhook_figures import WebhookFigures

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = timedelta(days=3650)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"muniment_webhook_{name}", labels) or 0.0


async def backlog(database: Database) -> tuple[float, float]:
    """Pending and dead letters; other tests' are among them."""
    await WebhookFigures(database).look()
    return counted("pending"), counted("dead_letters")


async def test_what_becomes_of_deliveries_is_counted(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    receiver.reply = lambda _: Reply(500)
    refused, given_up = (
        counted("attempts_total", outcome="refused"),
        counted("deliveries_total", state="failed", outcome="refused"),
    )
    pending, dead = await backlog(workshop.database)
    await become_ready(workshop, owner)
    await WebhookFigures(workshop.database).look()
    assert counted("oldest_seconds") > 0, "an event that nobody handed out yet counts"
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await dispatch(workshop).round()
        await ended(workshop, made)
    assert counted("attempts_total", outcome="refused") == refused + 3
    assert counted("deliveries_total", state="failed", outcome="refused") == given_up + 1
    pending_now, dead_now = await backlog(workshop.database)
    # The round sees to what other tests left, too.
    assert pending_now <= pending
    assert dead_now >= dead + 1
    written = metrics_text().decode()
    for private in (str(owner.tenant_id), str(made.row.id), receiver.url):
        assert private not in written


async def test_the_oldest_is_what_waits_longest(workshop: Workshop, owner: TenantIds) -> None:
    made = await endpoint(workshop, owner, "https://example.com/")
    await become_ready(workshop, owner)
    await dispatch(workshop).round()
    await backlog(workshop.database)
    [delivery] = await rows(workshop, made, "webhook_delivery")
    assert counted("oldest_seconds") >= (now() - delivery.created_at).total_seconds() - 1
    assert counted("oldest_seconds") < LONG.total_seconds()
    await handle(workshop, delivery).terminate()


async def test_what_is_replayed_counts_anew(workshop: Workshop, owner: TenantIds) -> None:
    """Else a dead letter of last week would look like a week of standstill."""
    made = await endpoint(workshop, owner, "https://example.com/")
    await become_ready(workshop, owner)
    await dispatch(workshop).round()
    [delivery] = await rows(workshop, made, "webhook_delivery")
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(
            text("UPDATE webhook_delivery SET created_at = :long_ago WHERE id = :id"),
            {"long_ago": now() - 2 * LONG, "id": delivery.id},
        )
    await WebhookFigures(workshop.database).look()
    assert counted("oldest_seconds") < LONG.total_seconds()
    await handle(workshop, delivery).terminate()


async def test_a_database_that_is_away_leaves_no_figures(workshop: Workshop) -> None:
    await WebhookFigures(workshop.database).look()
    assert "muniment_webhook_pending" in metrics_text().decode()
    away = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    with pytest.raises(DatabaseUnavailable):
        await WebhookFigures(away).look()
    await away.close()
    for name in ("pending", "oldest_seconds", "dead_letters"):
        assert f"muniment_webhook_{name}" not in metrics_text().decode()


def written_elsewhere() -> str:
    """By a process that never looks."""
    return subprocess.run(
        [sys.executable, "-c", "from muniment.telemetry.metrics import *; print(metrics_text())"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout


async def test_only_who_looks_has_figures() -> None:
    """A 0 of the API's would hide a standstill from whoever asks for the largest."""
    written = await asyncio.to_thread(written_elsewhere)
    assert "muniment_jobs_total" in written
    assert "muniment_webhook_pending" not in written


async def test_a_worker_looks_at_once(workshop: Workshop) -> None:
    metrics.webhook_backlog.seen = None
    figures = asyncio.create_task(WebhookFigures(workshop.database, interval_seconds=3600).run())
    async with asyncio.timeout(on_a_busy_machine(30)):
        while "muniment_webhook_pending" not in metrics_text().decode():  # noqa: ASYNC110 - figures tell nobody
            await asyncio.sleep(0.05)
    figures.cancel()
    await asyncio.wait([figures])
