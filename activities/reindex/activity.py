"""Temporal's face of the building of index versions."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.embed.vectors import embed_texts
from activities.failures import application_error
from activities.heartbeats import heartbeats
from activities.publish.graphs import RETRIED_AFTER, TOO_LARGE, prepare_graph
from activities.reindex.evaluation import evaluate
from db.audit import Act, record
from db.models import IndexVersion, now
from db.queries import index_filling, index_versions
from db.queries.index_filling import StoredPassage, Vector
from db.queries.index_versions import IndexModel, model_of
from db.queries.publish import known_vectors
from db.queries.vectors import GRAPH_FROM, lacks_graph
from db.session import Access, Database
from muniment.contracts.documents import Chunk
from muniment.contracts.reindex import (
    Activation,
    EndReindexInput,
    FillResult,
    FillState,
    IndexEvaluation,
    IndexState,
    Outcome,
    ReindexActivities,
    ReindexInput,
)
from muniment.contracts.text_modes import PassageText
from muniment.embedding import Embedder, TextEmbedder
from muniment.errors import ConfigurationError, KeyDestroyed, MunimentError, ObjectMissing
from muniment.objects import SealedText, SealedTexts
from muniment.objects.sealed_texts import passage_place

logger = logging.getLogger(__name__)

_UNFINISHED = (IndexState.BUILDING, IndexState.READY)
_UNMEASURED = IndexEvaluation(questions=0, overlap=None, recall=None)
NO_GRAPH = (
    "a large index version waits for its graph to be activated: python -m db.vector_graphs makes it"
    " (docs/vectors.md)"
)

FILL_SECONDS = 20.0
"""An attempt takes no further batch after so long."""
BATCH_TEXTS = 64
"""A second or two on two cores: no more is repeated when a worker dies, and a pause or a cancellation waits
for no more."""
PASS_PAUSE_SECONDS = 5.0
"""Before what a pass could not fill is looked for again: a long publication or erasure holds it."""
LEAST_RECALL = 0.9
"""Of a graph, for its index version to be activated without a person's word."""


class Reindexing(ReindexActivities):
    """`kept_for`: how long the former index version is kept for going back to it."""

    def __init__(
        self, database: Database, embedder: Embedder, texts: SealedTexts, kept_for: timedelta
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._texts = texts
        self._kept_for = kept_for

    @activity.defn(name="fill_index")
    async def fill_index(self, request: ReindexInput) -> FillResult:
        async with _attempt(), heartbeats():
            loop = asyncio.get_running_loop()
            until = loop.time() + FILL_SECONDS
            state, was_erased = FillState.MORE, False
            while state is FillState.MORE and loop.time() < until:
                try:
                    state, was_erased = await self._fill_batch(request), False
                except (KeyDestroyed, ObjectMissing):
                    # Erased since it was read; then it is not among those that are read next.
                    if was_erased:
                        raise
                    was_erased = True
            return FillResult(state=state)

    @activity.defn(name="evaluate_index")
    async def evaluate_index(self, request: ReindexInput) -> None:
        async with _attempt(), heartbeats():
            async with self._transaction(request.tenant_id) as session:
                row = await index_versions.get_index(session, request.index_version_id)
            if row is None or row.state != IndexState.READY:
                return
            evaluation = _evaluation(row)
            if evaluation is None or _was_without_graph(evaluation):
                await self._evaluate(request, row)
            if row.activation == Activation.AUTOMATIC:
                await self._activate(request)

    @activity.defn(name="end_reindex")
    async def end_reindex(self, request: EndReindexInput) -> None:
        async with _attempt(), self._transaction(request.tenant_id) as session:

            async def end() -> bool:
                return await _end(session, request)

            is_ended = await index_versions.alone_with(session, request.tenant_id, end)
        if is_ended:
            level = logging.WARNING if request.outcome is Outcome.FAILED else logging.INFO
            ids = {"index_version": str(request.index_version_id), "outcome": request.outcome.value}
            logger.log(level, "the building of an index version has ended", extra=ids)

    async def _evaluate(self, request: ReindexInput, row: IndexVersion) -> None:
        evaluation = await evaluate(partial(self._transaction, request.tenant_id), row)
        async with self._transaction(request.tenant_id) as session:
            locked = await index_versions.lock_index(session, request.index_version_id)
            if locked is not None and locked.state == IndexState.READY:
                if locked.evaluation is None:
                    record(session, _act("index.ready", locked))
                locked.evaluation = evaluation.model_dump(mode="json")

    async def _fill_batch(self, request: ReindexInput) -> FillState:
        async with self._transaction(request.tenant_id) as session:
            row = await index_versions.get_index(session, request.index_version_id)
            if row is None or row.state != IndexState.BUILDING:
                is_filled = row is not None and row.state == IndexState.READY
                return FillState.FILLED if is_filled else FillState.OVER
            if row.is_paused:
                return FillState.PAUSED
            begun_at = row.filled_until
            passages = await index_filling.next_texts(session, row.id, begun_at, BATCH_TEXTS)
            known = await known_vectors(
                session, [each.text_hash for each in passages], model_of(row)
            )
        if not passages:
            return await self._end_pass(request, begun_at)
        missing = [each for each in passages if each.text_hash not in known]
        said = await self._texts_of(request.tenant_id, missing)
        made = await embed_texts(self._embedder_of(model_of(row)), said)
        vectors = known | dict(zip((each.text_hash for each in missing), made, strict=True))
        if _may_need_graph(row):
            transaction = partial(self._transaction, request.tenant_id)
            await prepare_graph(transaction, row.id, len(passages))
        await self._keep(request, begun_at, passages[-1].text_hash, vectors)
        return FillState.MORE

    async def _keep(
        self, request: ReindexInput, begun_at: bytes, last: bytes, vectors: dict[bytes, Vector]
    ) -> None:
        """The vectors, and with the last of them how far this came. Nothing of one that was cancelled."""
        index = request.index_version_id
        is_last = False
        while not is_last:
            async with self._transaction(request.tenant_id) as session:
                row = await index_versions.lock_index(session, index)
                is_ours = row is not None and row.filled_until == begun_at
                if row is None or row.state != IndexState.BUILDING or not is_ours:
                    # Cancelled, or another attempt came first.
                    return
                filled = await index_filling.fill(session, index, vectors)
                is_last = filled < index_filling.ROWS_PER_STATEMENT
                row.passages_done += filled
                row.filled_until = last if is_last else begun_at

    async def _end_pass(self, request: ReindexInput, begun_at: bytes) -> FillState:
        """Ready where nothing is missing while nobody publishes; else there is another pass over what was
        published behind this one's back, by a publication that began before the building did."""
        async with self._transaction(request.tenant_id) as session:
            is_missing = await index_versions.lacks_vectors(session, request.index_version_id)
        if not is_missing:
            async with self._transaction(request.tenant_id) as session:

                async def settle() -> FillState:
                    return await _settle(session, request.index_version_id)

                state = await index_versions.alone_with(session, request.tenant_id, settle)
            if state is not FillState.MORE:
                return state
        async with self._transaction(request.tenant_id) as session:
            row = await index_versions.lock_index(session, request.index_version_id)
            if row is not None and row.filled_until == begun_at:
                row.filled_until = b""
        await asyncio.sleep(PASS_PAUSE_SECONDS)
        return FillState.MORE

    async def _activate(self, request: ReindexInput) -> None:
        async with self._transaction(request.tenant_id) as session:

            async def act() -> None:
                row = await index_versions.lock_index(session, request.index_version_id)
                if row is None or row.state != IndexState.READY:
                    return
                evaluation = _evaluation(row)
                is_unknown = evaluation is not None and _was_without_graph(evaluation)
                if is_unknown or await lacks_graph(session, row.id):
                    logger.error(NO_GRAPH, extra={"index_version": str(row.id)})
                    return
                if not _is_good(row):
                    # A person decides.
                    row.activation = Activation.MANUAL.value
                    return
                await index_versions.activate(session, row, self._kept_for)
                record(session, _act("index.activated", row))

            await index_versions.alone_with(session, request.tenant_id, act)

    async def _texts_of(self, tenant_id: UUID, passages: Sequence[StoredPassage]) -> list[str]:
        """What the embedder is given of each, as when it was published."""
        sealed = [
            SealedText(
                tenant_id,
                each.text_key_id,
                passage_place(tenant_id, each.version_id, each.ordinal),
                each.sealed_text,
            )
            for each in passages
            if each.sealed_text is not None and each.text_key_id is not None
        ]
        opened = iter(await self._texts.passages(sealed))
        return [
            _embedding_text(
                PassageText(text=each.text, headings=tuple(each.headings))
                if each.sealed_text is None
                else next(opened)
            )
            for each in passages
        ]

    def _embedder_of(self, model: IndexModel) -> TextEmbedder:
        embedder = self._embedder.for_model(model.model_id, model.model_version)
        if embedder is None:
            raise ConfigurationError(
                f"this release does not have the embedding model {model.model_id}"
                f" ({model.model_version})",
                remedy="Build an index version of a model that it has.",
            )
        return embedder

    def _transaction(self, tenant_id: UUID) -> AbstractAsyncContextManager[AsyncSession]:
        return self._database.transaction(Access(tenant_id))


async def _settle(session: AsyncSession, index_version_id: UUID) -> FillState:
    row = await index_versions.lock_index(session, index_version_id)
    if row is None or row.state != IndexState.BUILDING:
        return FillState.OVER
    if await index_versions.lacks_vectors(session, row.id):
        return FillState.MORE
    row.state = IndexState.READY.value
    row.filled_until = b""
    return FillState.FILLED


async def _end(session: AsyncSession, request: EndReindexInput) -> bool:
    """One that is whole stays where measuring or activating it failed, for a person to activate."""
    row = await index_versions.lock_index(session, request.index_version_id)
    if row is None or row.state not in _UNFINISHED:
        return False
    if row.state == IndexState.READY and (row.evaluation or request.outcome is Outcome.FAILED):
        if row.evaluation is None:
            row.evaluation = _UNMEASURED.model_dump(mode="json")
            record(session, _act("index.ready", row))
        row.activation = Activation.MANUAL.value
        return False
    index_versions.retire(row, request.outcome)
    record(session, _act(f"index.{request.outcome.value}", row))
    return True


def _may_need_graph(row: IndexVersion) -> bool:
    """Before it is large, and not where somebody tried a while ago. What is too large for it here gets its
    graph from the operator."""
    is_tried = row.graph_tried_at is not None and row.graph_tried_at > now() - RETRIED_AFTER
    return not is_tried and GRAPH_FROM // 2 <= row.passages_done <= TOO_LARGE


def _embedding_text(said: PassageText) -> str:
    """As `Chunk.embedding_text` puts it."""
    chunk = Chunk(
        ordinal=0, text=said.text, token_count=0, headings=said.headings, pages=(), boxes=()
    )
    return chunk.embedding_text()


def _evaluation(row: IndexVersion) -> IndexEvaluation | None:
    return None if row.evaluation is None else IndexEvaluation.model_validate(row.evaluation)


def _is_good(row: IndexVersion) -> bool:
    """Where there was nothing to compare, nothing can be missed."""
    evaluation = _evaluation(row)
    if evaluation is None:
        return False
    return evaluation.recall is None or evaluation.recall >= LEAST_RECALL


def _was_without_graph(evaluation: IndexEvaluation) -> bool:
    """Whether it was compared with the active one, and could not be with what it has itself."""
    return evaluation.recall is None and evaluation.overlap is not None


def _act(action: str, row: IndexVersion) -> Act:
    payload: dict[str, JsonValue] = {
        "model": row.model_id,
        "model_version": row.model_version,
        "passages": row.passages_done,
    }
    return Act(action, "index_version", row.id, row.tenant_id, payload=payload)


@asynccontextmanager
async def _attempt() -> AsyncIterator[None]:
    try:
        yield
    except MunimentError as error:
        raise application_error(error, activity.info().attempt) from error
