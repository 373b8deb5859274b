"""Another index version is built beside the one that is searched: nothing is missing from it, whatever is
published, erased, paused or killed meanwhile, and searches never mix two models."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from temporalio.client import WorkflowFailureError, WorkflowHandle

from activities.publish import graphs
from activities.reindex import activity as reindexing
from activities.reindex.activity import Reindexing
from db.models import Collection, IndexVersion, Job
from db.queries import index_versions
from db.queries.index_versions import IndexModel
from db.queries.vectors import has_graph
from db.session import Access
from muniment.contracts import queues
from muniment.contracts.reindex import (
    Activation,
    IndexState,
    Outcome,
    ReindexInput,
    workflow_id,
)
from muniment.embedding import MODEL_ID, MODEL_VERSION, SHORT_MODEL_ID, Embedder
from muniment.errors import Conflict
from muniment.objects import SealedTexts
from retrieval.request import SearchMode, SearchRequest
from retrieval.response import SearchResponse
from retrieval.search import Searcher
from tests.conftest import REPOSITORY
from tests.patience import on_a_busy_machine
from tests.retrieval.published import publish_file
from tests.workflows.killed_reindex import LETHAL_BATCH
from tests.workflows.test_erase_file import order_erasure
from tests.workflows.workshop import TenantIds, Workshop
from worker.reconciler import Reconciler
from worker.spent_indexes import SpentIndexes
from workflows.starting import start_reindex

pytestmark = pytest.mark.asyncio(loop_scope="session")

ONLY = (queues.WORKFLOWS, queues.EMBED, queues.VERIFY)
DEFAULT = IndexModel(MODEL_ID, MODEL_VERSION, 384)
SHORT = IndexModel(SHORT_MODEL_ID, MODEL_VERSION, 192)
BEES = "Bees were kept behind the mill."
SUBJECTS = (
    "The archive keeps every letter of the harbour master in oak boxes.",
    "Lighthouses were built along the northern coast after the storm.",
    "A loan of forty thousand guilders paid for two cranes.",
    "Sheep were counted each spring; tally sticks lie in the cellar.",
)


async def store(workshop: Workshop, owner: TenantIds, texts: Sequence[str] = SUBJECTS) -> UUID:
    """A file with these passages, as its publication leaves it; the active index version."""
    await publish_file(
        workshop.database,
        Access(owner.tenant_id),
        owner.collection_id,
        texts,
        embedder=workshop.parts.embedder,
        owner_id=owner.principal_id,
    )
    return active(await rows(workshop, owner)).id


async def ingest(workshop: Workshop, owner: TenantIds, said: str) -> Job:
    """A file with that text; workers of all queues are at work."""
    job = await workshop.upload(owner, said.encode(), "ingested.txt")
    await (await workshop.start(job)).result()
    return job


async def opened(
    workshop: Workshop,
    owner: TenantIds,
    model: IndexModel = SHORT,
    activation: Activation = Activation.AUTOMATIC,
) -> UUID:
    """An index version that is to be built, as the API commits it."""
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:

        async def act() -> IndexVersion:
            return await index_versions.open_next(session, owner.tenant_id, model, activation)

        return (await index_versions.alone_with(session, owner.tenant_id, act)).id


async def reindex(workshop: Workshop, owner: TenantIds, index: UUID) -> WorkflowHandle[Any, Any]:
    """Its building, started."""
    request = ReindexInput(tenant_id=owner.tenant_id, index_version_id=index)
    await start_reindex(workshop.client, request)
    return workshop.client.get_workflow_handle(workflow_id(index))


async def reindexed(workshop: Workshop, owner: TenantIds) -> WorkflowHandle[Any, Any]:
    """One that was built and activated."""
    await store(workshop, owner)
    async with workshop.working(names=ONLY):
        handle = await reindex(workshop, owner, await opened(workshop, owner))
        await handle.result()
    return handle


async def rows(workshop: Workshop, owner: TenantIds) -> dict[UUID, IndexVersion]:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        found = await index_versions.list_indexes(session, limit=100, after=None)
    return {row.id: row for row in found}


async def vectors(workshop: Workshop, owner: TenantIds, index: UUID) -> int:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        found = await session.scalar(
            text("SELECT count(*) FROM embedding WHERE index_version_id = :id"), {"id": index}
        )
    assert found is not None
    return int(found)


async def passages(workshop: Workshop, owner: TenantIds) -> int:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        return await index_versions.count_passages(session)


async def search(workshop: Workshop, owner: TenantIds, query: str) -> SearchResponse:
    searcher = Searcher(
        workshop.database, workshop.parts.embedder, SealedTexts(workshop.stores.blobs)
    )
    request = SearchRequest(query=query, mode=SearchMode.VECTOR)
    return await searcher.search(Access(owner.tenant_id, owner.principal_id), request)


def active(found: dict[UUID, IndexVersion]) -> IndexVersion:
    (row,) = (each for each in found.values() if each.state == IndexState.ACTIVE)
    return row


async def test_another_model_is_built_measured_and_searched_and_gone_back_from(
    workshop: Workshop, owner: TenantIds
) -> None:
    first = await store(workshop, owner, [*SUBJECTS, *SUBJECTS[:1]])
    async with workshop.working():
        before = await search(workshop, owner, "where is the money from?")
        index = await opened(workshop, owner)
        await (await reindex(workshop, owner, index)).result()
        found = await rows(workshop, owner)
        assert (found[index].state, found[first].state) == ("active", "superseded")
        assert (found[index].model_id, found[index].dimensions) == (SHORT_MODEL_ID, 192)
        evaluation = found[index].evaluation
        assert evaluation is not None
        assert evaluation["questions"] == len(SUBJECTS)
        assert evaluation["recall"] == 1.0
        assert evaluation["overlap"] == 1.0
        count = await passages(workshop, owner)
        assert await vectors(workshop, owner, index) == count == found[index].passages_done
        after = await search(workshop, owner, "where is the money from?")
        assert not after.degraded
        assert after.data[0].chunk_id == before.data[0].chunk_id
        assert after.data[0].score != pytest.approx(before.data[0].score, abs=1e-4)
        # What is published now enters the former one too, so that it can be gone back to.
        late = await ingest(workshop, owner, BEES)
        for each in (first, index):
            assert await vectors(workshop, owner, each) == count + 1
        await activate(workshop, owner, first)
        again = await search(workshop, owner, "bees")
        assert again.data[0].file_id == late.file_id
        assert active(await rows(workshop, owner)).id == first
        erasure = await order_erasure(workshop, late)
        await workshop.client.get_workflow_handle(erasure.workflow_id).result()
    for each in (first, index):
        assert await vectors(workshop, owner, each) == count
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        found_acts = await session.scalars(
            text("SELECT action FROM audit_event WHERE object_type = 'index_version' ORDER BY id")
        )
        assert found_acts.all() == ["index.ready", "index.activated"]


async def activate(workshop: Workshop, owner: TenantIds, index: UUID) -> None:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:

        async def act() -> None:
            row = await index_versions.lock_index(session, index)
            assert row is not None
            await index_versions.activate(session, row, timedelta(hours=1))

        await index_versions.alone_with(session, owner.tenant_id, act)


async def test_what_a_publication_did_not_know_of_is_embedded_by_it(
    workshop: Workshop, owner: TenantIds
) -> None:
    """Its vectors were made while there was one index version, and by its publication another is active."""
    await store(workshop, owner)
    late = await workshop.upload(owner, BEES.encode(), "late.txt")
    publishing = asyncio.Event()
    go_on = asyncio.Event()

    async with workshop.working(replacing=[held(workshop, publishing, go_on)]):
        handle = await workshop.start(late)
        async with asyncio.timeout(on_a_busy_machine(120)):
            await publishing.wait()
        index = await opened(workshop, owner)
        await (await reindex(workshop, owner, index)).result()
        assert active(await rows(workshop, owner)).id == index
        go_on.set()
        await handle.result()
    found = await search(workshop, owner, "bees")
    assert found.data[0].file_id == late.file_id
    count = await passages(workshop, owner)
    for each in await rows(workshop, owner):
        assert await vectors(workshop, owner, each) == count


def held(workshop: Workshop, publishing: asyncio.Event, go_on: asyncio.Event) -> Any:
    """The real stage `publish`, which waits before it begins."""
    from temporalio import activity

    from activities.publish.activity import Publish
    from muniment.contracts.publish import PublishInput, PublishResult

    parts = workshop.parts
    publish = Publish(parts.runner, workshop.stores.keys, parts.texts, parts.chunk_vectors)

    @activity.defn(name="publish_version")
    async def publish_version(request: PublishInput) -> PublishResult:
        publishing.set()
        while not go_on.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.05)
        return await publish.publish_version(request)

    return publish_version


class Watched(Embedder):
    """The workers' embedder, told of what it was given; it waits once after so many calls."""

    def __init__(self, real: Embedder, waits_after: int = 1 << 30) -> None:
        super().__init__(real._model_directory, real._threads)
        self._model = real._model
        self.calls: list[int] = []
        self.waits_after = waits_after
        self.waiting, self.go_on = asyncio.Event(), asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def embed(self, texts: Sequence[str], on_batch: Any = None) -> Any:
        made = super().embed(texts, on_batch)
        self.calls.append(len(texts))
        if len(self.calls) == self.waits_after:
            self._loop.call_soon_threadsafe(self.waiting.set)
            asyncio.run_coroutine_threadsafe(self.go_on.wait(), self._loop).result()
        return made


def building(workshop: Workshop, embedder: Embedder) -> list[Any]:
    parts = Reindexing(workshop.database, embedder, workshop.parts.texts, timedelta(hours=1))
    return [parts.fill_index]


async def test_a_pause_holds_and_a_cancellation_ends_it(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindexing, "BATCH_TEXTS", 1)
    await store(workshop, owner)
    watched = Watched(workshop.parts.embedder, waits_after=2)
    async with workshop.working(replacing=building(workshop, watched), names=ONLY):
        index = await opened(workshop, owner)
        handle = await reindex(workshop, owner, index)
        async with asyncio.timeout(on_a_busy_machine(60)):
            await watched.waiting.wait()
        await set_paused(workshop, owner, index, is_paused=True)
        watched.go_on.set()
        await until_events(handle, 11)
        assert len(watched.calls) == 2
        await set_paused(workshop, owner, index, is_paused=False)
        await reindex(workshop, owner, index)
        await handle.result()
        assert len(watched.calls) == len(SUBJECTS)
        assert active(await rows(workshop, owner)).id == index
        other = await opened(workshop, owner, DEFAULT, Activation.MANUAL)
        await set_paused(workshop, owner, other, is_paused=True)
        second = await reindex(workshop, owner, other)
        await until_events(second, 11)
        await second.cancel()
        with pytest.raises(WorkflowFailureError):
            await second.result()
    found = await rows(workshop, owner)
    assert (found[other].state, found[other].outcome) == ("retired", Outcome.CANCELLED)
    assert found[other].passages_done == 0
    assert await SpentIndexes(workshop.database, workshop.stores.blobs).round() >= 1
    assert (await rows(workshop, owner))[other].emptied_at is not None


async def set_paused(workshop: Workshop, owner: TenantIds, index: UUID, *, is_paused: bool) -> None:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(
            text("UPDATE index_version SET is_paused = :is_paused WHERE id = :id"),
            {"id": index, "is_paused": is_paused},
        )


async def until_events(handle: WorkflowHandle[Any, Any], count: int) -> None:
    async with asyncio.timeout(on_a_busy_machine(60)):
        while (await handle.describe()).history_length < count:  # noqa: ASYNC110 - Temporal tells nobody
            await asyncio.sleep(0.05)


async def test_a_dead_workers_batch_is_the_only_one_that_is_repeated(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindexing, "BATCH_TEXTS", 1)
    await store(workshop, owner)
    watched = Watched(workshop.parts.embedder, waits_after=3)
    async with workshop.working(replacing=building(workshop, watched), names=ONLY):
        index = await opened(workshop, owner)
        handle = await reindex(workshop, owner, index)
        async with asyncio.timeout(on_a_busy_machine(60)):
            await watched.waiting.wait()
        # The worker goes in the middle of the third batch, of which nothing was kept.
    watched.go_on.set()
    assert (await rows(workshop, owner))[index].passages_done == 2
    again = Watched(workshop.parts.embedder)
    async with workshop.working(replacing=building(workshop, again), names=ONLY):
        await handle.result()
    assert len(again.calls) == len(SUBJECTS) - 2
    assert active(await rows(workshop, owner)).id == index


async def test_a_process_that_is_killed_in_the_middle_of_a_batch_leaves_whole_ones(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(workshop, owner)
    index = await opened(workshop, owner)
    environment = {
        **os.environ,
        "MUNIMENT_DATABASE__URL": workshop.settings.database.url.get_secret_value(),
        "MUNIMENT_OBJECTS__ROOT": str(workshop.settings.objects.root),
        "MUNIMENT_KEYS__ROOT": str(workshop.settings.keys.root),
    }
    command = [sys.executable, "-m", "tests.workflows.killed_reindex"]
    killed = await asyncio.create_subprocess_exec(
        *(*command, str(owner.tenant_id), str(index)), cwd=REPOSITORY, env=environment
    )
    async with asyncio.timeout(on_a_busy_machine(60)):
        assert await killed.wait() == -signal.SIGKILL
    kept = LETHAL_BATCH - 1
    assert (await rows(workshop, owner))[index].passages_done == kept
    assert await vectors(workshop, owner, index) == kept
    monkeypatch.setattr(reindexing, "BATCH_TEXTS", 1)
    again = Watched(workshop.parts.embedder)
    async with workshop.working(replacing=building(workshop, again), names=ONLY):
        await (await reindex(workshop, owner, index)).result()
    assert len(again.calls) == len(SUBJECTS) - kept
    assert active(await rows(workshop, owner)).id == index


async def test_a_former_index_goes_when_its_time_is_over(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str
) -> None:
    first = await store(workshop, owner)
    async with workshop.working(names=ONLY):
        index = await opened(workshop, owner)
        await (await reindex(workshop, owner, index)).result()
    clearing = SpentIndexes(workshop.database, workshop.stores.blobs)
    await clearing.round()
    assert await vectors(workshop, owner, first) == len(SUBJECTS)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE index_version SET retire_at = now() WHERE id = %s", (first,))
    await clearing.round()
    row = (await rows(workshop, owner))[first]
    assert (row.state, row.outcome) == ("retired", Outcome.REPLACED)
    assert row.emptied_at is not None
    assert await vectors(workshop, owner, first) == 0
    assert await vectors(workshop, owner, index) == len(SUBJECTS)
    with pytest.raises(Conflict):
        await activate(workshop, owner, first)
    assert (await search(workshop, owner, "bees")).data


async def test_a_large_one_has_its_graph_before_it_is_searched_and_loses_it_with_its_vectors(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindexing, "BATCH_TEXTS", 8)
    for module in (reindexing, graphs):
        monkeypatch.setattr(module, "GRAPH_FROM", 16)
    first = await store(
        workshop, owner, [f"{each} Item {n}." for n in range(8) for each in SUBJECTS]
    )
    async with workshop.working(names=ONLY):
        index = await opened(workshop, owner)
        await (await reindex(workshop, owner, index)).result()
    found = (await rows(workshop, owner))[index]
    assert found.evaluation is not None
    assert (found.evaluation["questions"], found.state) == (20, "active")
    assert found.evaluation["recall"] >= reindexing.LEAST_RECALL
    assert await is_with_graph(workshop, owner, index)
    assert not await is_with_graph(workshop, owner, first)
    await activate(workshop, owner, first)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE index_version SET retire_at = now() WHERE id = %s", (index,))
    await SpentIndexes(workshop.database, workshop.stores.blobs).round()
    assert not await is_with_graph(workshop, owner, index)
    assert await vectors(workshop, owner, index) == 0
    assert await vectors(workshop, owner, first) == 32


async def is_with_graph(workshop: Workshop, owner: TenantIds, index: UUID) -> bool:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        return await has_graph(session, index)


async def test_a_release_with_another_version_of_the_model_begins_the_next_index_itself(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its publications never enter an index of before, and searches say that they went by words."""
    first = await store(workshop, owner)
    async with workshop.working():
        monkeypatch.setattr(workshop.parts.embedder, "version", "another")
        await ingest(workshop, owner, BEES)
        found = await rows(workshop, owner)
        (index,) = found.keys() - {first}
        assert (found[index].state, found[index].model_version) == ("building", "another")
        assert await vectors(workshop, owner, first) == len(SUBJECTS)
        assert await vectors(workshop, owner, index) == 1
        by_words = await search(workshop, owner, "bees")
        assert (by_words.degraded, by_words.mode_used) == (True, SearchMode.LEXICAL)
        reconciler = Reconciler(workshop.database, workshop.client, 1, min_age=timedelta())
        assert await reconciler.start_reindexes() >= 1
        await workshop.client.get_workflow_handle(workflow_id(index)).result()
        assert active(await rows(workshop, owner)).id == index
        assert await vectors(workshop, owner, index) == len(SUBJECTS) + 1
        assert not (await search(workshop, owner, "bees")).degraded


async def test_searches_go_on_while_the_index_version_changes(
    workshop: Workshop, owner: TenantIds
) -> None:
    """Each in one of them: vectors of 384 and of 192 numbers would not even be comparable."""
    first = await store(workshop, owner)
    async with workshop.working(names=ONLY):
        index = await opened(workshop, owner, activation=Activation.MANUAL)
        await (await reindex(workshop, owner, index)).result()
    assert (await rows(workshop, owner))[index].state == IndexState.READY
    is_over = asyncio.Event()
    found = list[SearchResponse]()

    async def searching() -> None:
        while not is_over.is_set():
            found.append(await search(workshop, owner, "Who paid for the cranes?"))

    searches = [asyncio.create_task(searching()) for _ in range(3)]
    for each in (index, first) * 3:
        await activate(workshop, owner, each)
        count = len(found)
        while len(found) < count + 3:  # noqa: ASYNC110 - searches tell nobody
            await asyncio.sleep(0.01)
    is_over.set()
    await asyncio.gather(*searches)
    assert not any(each.degraded for each in found)
    assert {each.data[0].text for each in found} == {SUBJECTS[2]}
    assert len({round(each.data[0].score, 3) for each in found}) == 2


async def test_sealed_texts_are_opened_for_it(workshop: Workshop, owner: TenantIds) -> None:
    """They lie in the database as little as before."""
    made = Collection(tenant_id=owner.tenant_id, name="sealed", text_mode="encrypted_text")
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        session.add(made)
    async with workshop.working():
        await ingest(workshop, replace(owner, collection_id=made.id), BEES)
        index = await opened(workshop, owner)
        await (await reindex(workshop, owner, index)).result()
    assert active(await rows(workshop, owner)).id == index
    (found,) = (await search(workshop, owner, "bees")).data
    assert (found.text, found.sealed) == (BEES, True)


async def test_one_is_built_at_a_time(workshop: Workshop, owner: TenantIds) -> None:
    with pytest.raises(Conflict, match="Nothing was published"):
        await opened(workshop, owner)
    await store(workshop, owner)
    opened_at_once = await asyncio.gather(*(opened(workshop, owner) for _ in range(3)))
    assert len(set(opened_at_once)) == 1
    with pytest.raises(Conflict, match="already"):
        await opened(workshop, owner, DEFAULT)
    with pytest.raises(Conflict, match="building"):
        await activate(workshop, owner, opened_at_once[0])
