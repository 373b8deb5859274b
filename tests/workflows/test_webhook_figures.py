"""What Prometheus is told of webhooks: attempts, ends, and what is left to deliver."""

import math
from datetime import timedelta

import pytest

from db.models import now
from db.session import Database
from muniment.errors import DatabaseUnavailable
from muniment.telemetry.metrics import REGISTRY, metrics_text
from tests.conftest import free_port
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
    assert await backlog(workshop.database) == (pending, dead + 1)
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


async def test_a_database_that_is_away_leaves_no_old_figures() -> None:
    away = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    with pytest.raises(DatabaseUnavailable):
        await WebhookFigures(away).look()
    assert math.isnan(counted("pending"))
    assert math.isnan(counted("dead_letters"))
    await away.close()
