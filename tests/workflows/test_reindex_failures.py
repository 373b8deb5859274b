"""What is made of an index version stays where something around it fails; and nothing makes searches slow."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from temporalio.client import WorkflowFailureError
from temporalio.testing import ActivityEnvironment

from activities.embed.vectors import ChunkVectors
from activities.reindex import activity as reindexing
from activities.reindex.activity import Reindexing
from db.queries import vectors as vector_queries
from db.queries.index_versions import IndexModel, entered_by
from db.queries.vectors import make_graph
from db.session import Access
from muniment.contracts.reindex import Activation, FillState, Outcome, ReindexInput, workflow_id
from muniment.errors import ConfigurationError, Conflict
from tests.patience import on_a_busy_machine
from tests.workflows.test_reindex import (
    BEES,
    DEFAULT,
    ONLY,
    SUBJECTS,
    Watched,
    activate,
    active,
    ingest,
    opened,
    reindex,
    rows,
    store,
    vectors,
)
from tests.workflows.workshop import TenantIds, Workshop
from worker.reconciler import Reconciler

pytestmark = pytest.mark.asyncio(loop_scope="session")


def make_older(dsn: str, index: UUID) -> None:
    """As if its workflow had been started long ago."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "UPDATE index_version SET started_at = now() - interval '11 minutes' WHERE id = %s",
            (index,),
        )


async def reconciled(workshop: Workshop, index: UUID) -> None:
    reconciler = Reconciler(workshop.database, workshop.client, 1, min_age=timedelta())
    await reconciler.start_reindexes()
    async with asyncio.timeout(on_a_busy_machine(60)):
        await workshop.client.get_workflow_handle(workflow_id(index)).result()


async def test_a_large_one_without_a_graph_waits_for_it(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where publications held up its making until it was too large."""
    monkeypatch.setattr(vector_queries, "GRAPH_FROM", 16)
    said = [f"{each} Item {n}." for n in range(5) for each in SUBJECTS]
    first = await store(workshop, owner, said)
    access = Access(owner.tenant_id)
    async with workshop.database.transaction(access) as session:
        assert await make_graph(session, first)
    async with workshop.working(names=ONLY):
        index = await opened(workshop, owner)
        await (await reindex(workshop, owner, index)).result()
        found = (await rows(workshop, owner))[index]
        assert found.evaluation is not None
        assert (found.state, found.evaluation["recall"]) == ("ready", None)
        with pytest.raises(Conflict, match="no graph"):
            await activate(workshop, owner, index)
        async with workshop.database.transaction(access) as session:
            assert await make_graph(session, index)
        make_older(postgres_dsn, index)
        await reconciled(workshop, index)
    found = (await rows(workshop, owner))[index]
    assert found.evaluation is not None
    assert found.state == "active"
    assert found.evaluation["recall"] >= reindexing.LEAST_RECALL


async def test_one_that_could_not_be_measured_keeps_its_vectors(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> None:
        raise ConfigurationError("no plan", remedy="None.")

    first = await store(workshop, owner)
    async with workshop.working(names=ONLY):
        with monkeypatch.context() as patched:
            patched.setattr(reindexing, "evaluate", refused)
            index = await opened(workshop, owner)
            with pytest.raises(WorkflowFailureError):
                await (await reindex(workshop, owner, index)).result()
        found = (await rows(workshop, owner))[index]
        assert (found.state, found.activation) == ("ready", Activation.MANUAL)
        assert found.evaluation == {"questions": 0, "overlap": None, "recall": None}
        assert await vectors(workshop, owner, index) == len(SUBJECTS)
        await activate(workshop, owner, index)
        # Whoever takes the place of one that is still kept ends it, and that is recorded.
        other = await opened(workshop, owner, DEFAULT)
        await (await reindex(workshop, owner, other)).result()
    found = (await rows(workshop, owner))[first]
    assert (found.state, found.outcome) == ("retired", Outcome.REPLACED)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        acts = await session.scalars(
            text("SELECT object_id FROM audit_event WHERE action = 'index.retired'")
        )
        assert acts.all() == [first]


async def test_one_whose_workflow_was_lost_is_gone_on_with(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str
) -> None:
    await store(workshop, owner)
    index = await opened(workshop, owner)
    make_older(postgres_dsn, index)
    async with workshop.working(names=ONLY):
        await reconciled(workshop, index)
    assert active(await rows(workshop, owner)).id == index


async def test_a_passage_that_is_held_is_not_embedded_again_and_again(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch, postgres_dsn: str
) -> None:
    monkeypatch.setattr(reindexing, "FILL_SECONDS", 1.0)
    monkeypatch.setattr(reindexing, "PASS_PAUSE_SECONDS", 2.0)
    await store(workshop, owner)
    index = await opened(workshop, owner)
    watched = Watched(workshop.parts.embedder)
    parts = Reindexing(workshop.database, watched, workshop.parts.texts, timedelta(hours=1))
    request = ReindexInput(tenant_id=owner.tenant_id, index_version_id=index)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("SELECT FROM chunk WHERE tenant_id = %s FOR UPDATE", (owner.tenant_id,))
        filled = await ActivityEnvironment().run(parts.fill_index, request)
        assert (filled.state, len(watched.calls)) == (FillState.MORE, 1)
    assert (await ActivityEnvironment().run(parts.fill_index, request)).state is FillState.FILLED


async def test_what_stage_embed_made_is_published(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = ChunkVectors.make, list[int]()

    async def make(vectors: ChunkVectors, *arguments: Any) -> Any:
        calls.append(len(arguments[1]))
        return await real(vectors, *arguments)

    monkeypatch.setattr(ChunkVectors, "make", make)
    async with workshop.working():
        await ingest(workshop, owner, BEES)
    assert calls == [1]


async def test_what_a_publication_begins_is_recorded(workshop: Workshop, owner: TenantIds) -> None:
    await store(workshop, owner)
    newer = IndexModel(DEFAULT.model_id, "newer", DEFAULT.dimensions)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        (index,) = await entered_by(session, owner.tenant_id, [newer], [newer])
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        acts = await session.scalars(
            text("SELECT object_id FROM audit_event WHERE action = 'index.requested'")
        )
        assert acts.all() == [index]
