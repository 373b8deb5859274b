"""Finds responses that may be told again, and keeps new ones behind the requests that they answered.

A key says who asks (the principal: nobody learns by it what others ask), for what, and of which process
(release, settings, models). What is under it holds at one epoch of the tenant; when anything has been
committed since that could change it, the epoch is another (db/queries/answer_cache.py).

Where a tenant wants that, an answer is also told again to another question, of the same principal and with
the same options, if all words that say anything are equal (retrieval/cache/marks.py) and their vectors lie
near enough.
"""

import asyncio
import hmac
import json
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar
from uuid import UUID

import structlog
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import alike_questions, answer_cache, language_models
from db.queries.alike_questions import AlikeAnswer
from db.queries.answer_cache import CacheLimits, NewResponse, ResponseKind, Standing
from db.session import Access, Database
from muniment.errors import MunimentError, SealBroken
from muniment.sealing import ExpiringCache, KeyManagement, TextKey
from muniment.telemetry import metrics
from retrieval.cache.alike import Meaning, nearest_of, vector_bytes
from retrieval.cache.kept import Kept, KeptAnswer, KeptSearch, chunk_ids_of, file_ids_of
from retrieval.cache.marks import telling_words
from retrieval.request import QuestionRequest, SearchRequest
from retrieval.vector import EmbeddedQuestion, QueryEmbedder, embed

MOST_BYTES = 256 * 1024
"""Of one response; a larger one is not kept."""
MOST_AT_ONCE = 2
"""Connections that a process takes to keep responses: nobody waits for that, and others wait for those."""
MOST_WAITING = 16
"""Responses that are being kept, or wait for that; what comes on top is not kept."""
LOOK_UP_SECONDS = 2.0
"""What takes longer to find is made: a search that waits for its memory is no faster."""
LAST_SECONDS = 5.0
REMEMBERED_TENANTS = 1_024

_ROOT = b"muniment/v1|cached responses|key"
"""As long as a digest and none of any content, so that no file's deduplication tag is the key."""

KeptT = TypeVar("KeptT", KeptSearch, KeptAnswer)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class CacheIdentity:
    """What a response depends on beside the request and the tenant. `models`: the names of the language
    models, in the order in which they are asked; `process`: all else by which processes answer
    differently."""

    models: tuple[str, ...] = ()
    process: str = ""


@dataclass(frozen=True)
class Place:
    """Where a response to the request is kept that begins now."""

    kind: ResponseKind
    tenant_key: bytes = field(repr=False)
    key: bytes = field(repr=False)
    epoch: int
    models: tuple[str, ...]
    meaning: Meaning | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Looked(Generic[KeptT]):
    """What was kept, or where the response is to be kept; neither where it is not to be. `distance`: of the
    question that it answered, where that was another; `least_likeness`: AlikeQuestionPolicy's; `embedded`:
    the question, where its vector was made."""

    kept: KeptT | None = None
    place: Place | None = None
    distance: float | None = None
    least_likeness: float | None = None
    embedded: EmbeddedQuestion | None = field(default=None, repr=False)


class ResponseCache:
    """Of all tenants; holds their keys for some minutes, and no response. Without `limits` nothing is
    kept or told again, without `embedder` nothing to another question."""

    def __init__(
        self,
        database: Database,
        keys: KeyManagement,
        limits: CacheLimits | None,
        identity: CacheIdentity,
        embedder: QueryEmbedder | None = None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._limits = limits
        self._identity = identity
        self._embedder = embedder
        self._tenant_keys: ExpiringCache[UUID, bytes] = ExpiringCache(REMEMBERED_TENANTS)
        self._keeping: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(MOST_AT_ONCE)

    async def find_search(self, access: Access, request: SearchRequest) -> Looked[KeptSearch]:
        """Raises nothing: where it cannot be found out, or not soon, the search is made."""
        return await self._find(access, ResponseKind.SEARCH, request, KeptSearch)

    async def find_answer(self, access: Access, request: QuestionRequest) -> Looked[KeptAnswer]:
        """As `find_search`; of another question only where the tenant wants that."""
        looked = await self._find(access, ResponseKind.ANSWER, request, KeptAnswer)
        if looked.place is None or looked.least_likeness is None or self._embedder is None:
            return looked
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                key = self._alike_key(access, looked.place, request)
                if key is None:
                    return looked
                embedder, text = self._embedder, request.query
                vector = (await embed(embedder, [text]))[0]
                embedded = EmbeddedQuestion(text, embedder.model_id, embedder.version, vector)
                place = replace(looked.place, meaning=Meaning(key, vector))
                found = await self._find_alike(access, place, looked.least_likeness)
        except (MunimentError, SQLAlchemyError, TimeoutError) as error:
            _log.warning("cache_unavailable", reason=_reason(error))
            return looked
        metrics.cached_responses_total.labels(
            ResponseKind.ANSWER.value, "alike" if found.kept else "unlike"
        ).inc()
        return replace(found, embedded=embedded)

    def keep(self, access: Access, place: Place, kept: Kept) -> None:
        """Behind whatever the caller does next; raises nothing."""
        if self._limits is None or len(self._keeping) >= MOST_WAITING:
            return
        keeping = asyncio.create_task(self._keep(access, place, kept, self._limits))
        self._keeping.add(keeping)
        keeping.add_done_callback(self._keeping.discard)

    async def close(self) -> None:
        """Waits for what is being kept, if that does not take long."""
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=LAST_SECONDS)

    async def _find(
        self,
        access: Access,
        kind: ResponseKind,
        request: SearchRequest | QuestionRequest,
        form: type[KeptT],
    ) -> Looked[KeptT]:
        if self._limits is None or access.principal_id is None:
            return Looked()
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                tenant_key = await self._tenant_key(access.tenant_id)
                key = hmac.digest(tenant_key, self._described(access, kind, request), "sha256")
                async with self._database.transaction(access, is_snapshot=True) as session:
                    standing = await answer_cache.find(session, key)
                    models = self._models(kind, standing)
                    place = Place(kind, tenant_key, key, standing.epoch, models)
                    kept, outcome = await _told_again(session, access, place, standing, form)
        except (MunimentError, SQLAlchemyError, TimeoutError) as error:
            _log.warning("cache_unavailable", reason=_reason(error))
            looked, outcome = Looked[KeptT](), "failed"
        else:
            looked = Looked(kept, None if kept else place, least_likeness=standing.least_likeness)
        metrics.cached_responses_total.labels(kind.value, outcome).inc()
        return looked

    async def _keep(self, access: Access, place: Place, kept: Kept, limits: CacheLimits) -> None:
        content = kept.model_dump_json().encode()
        if len(content) > MOST_BYTES:
            return
        sealed = _sealing_key(place).seal(content, _seal_place(access.tenant_id, place))
        response = NewResponse(
            place.kind,
            place.key,
            place.epoch,
            sorted(file_ids_of(kept)),
            sealed,
            alike_key=place.meaning.alike_key if place.meaning else None,
            sealed_vector=_sealed_vector(access.tenant_id, place),
        )
        try:
            async with self._places, self._database.transaction(access) as session:
                await answer_cache.keep(session, response, limits)
        except (MunimentError, SQLAlchemyError) as error:
            _log.warning("response_not_kept", reason=_reason(error))

    async def _find_alike(
        self, access: Access, place: Place, least_likeness: float
    ) -> Looked[KeptAnswer]:
        """In one snapshot, as for the same question."""
        assert place.meaning is not None  # noqa: S101 - the caller has it embedded
        async with self._database.transaction(access, is_snapshot=True) as session:
            alike_key, epoch = place.meaning.alike_key, place.epoch
            answers = await alike_questions.alike(session, alike_key, epoch)
            vectors = {each.key: _opened_vector(access.tenant_id, place, each) for each in answers}
            nearest = nearest_of(place.meaning.vector, vectors)
            if nearest is None or nearest.likeness < least_likeness:
                return Looked(place=place)
            standing = await answer_cache.find(session, nearest.key)
            models = self._models(place.kind, standing)
            of_nearest = replace(
                place, key=nearest.key, epoch=standing.epoch, models=models, meaning=None
            )
            kept, _ = await _told_again(session, access, of_nearest, standing, KeptAnswer)
        return Looked(kept, None, nearest.distance) if kept else Looked(place=place)

    def _alike_key(self, access: Access, place: Place, request: QuestionRequest) -> bytes | None:
        """Of all in which another question has to be equal; None for one that is alike to none."""
        words = telling_words(request.query)
        if words is None:
            return None
        options = request.model_dump(mode="json", exclude={"query"})
        process = [self._identity.process, *self._identity.models]
        described = [str(access.principal_id), process, options, words]
        content = b"alike|" + json.dumps(described, sort_keys=True).encode()
        return hmac.digest(place.tenant_key, content, "sha256")

    async def _tenant_key(self, tenant_id: UUID) -> bytes:
        remembered = self._tenant_keys.get(tenant_id)
        if remembered is None:
            remembered = await self._keys.dedup_tag(tenant_id, _ROOT)
            self._tenant_keys.put(tenant_id, remembered)
        return remembered

    def _described(
        self, access: Access, kind: ResponseKind, request: SearchRequest | QuestionRequest
    ) -> bytes:
        """All of the request, whatever becomes a part of it. Questions that are the same but for spaces are
        the same; in a search they may stand in a phrase."""
        asked = request.model_dump(mode="json")
        if kind is ResponseKind.ANSWER:
            asked["query"] = " ".join(request.query.split())
        process = [self._identity.process, *self._identity.models]
        return json.dumps([kind, str(access.principal_id), process, asked], sort_keys=True).encode()

    def _models(self, kind: ResponseKind, standing: Standing) -> tuple[str, ...]:
        if kind is ResponseKind.SEARCH:
            return ()
        return tuple(each for each in self._identity.models if each not in standing.paused)


def _reason(error: Exception) -> str:
    """What SQLAlchemy says of an error quotes the values."""
    return error.problem if isinstance(error, MunimentError) else type(error).__name__


async def _told_again(
    session: AsyncSession, access: Access, place: Place, standing: Standing, form: type[KeptT]
) -> tuple[KeptT | None, str]:
    """What was kept, if it still holds, and what came of it."""
    if standing.sealed is None or standing.kept_at is None:
        return None, "miss"
    if standing.kept_at != standing.epoch:
        return None, "stale"
    of_kept = Place(place.kind, place.tenant_key, place.key, standing.kept_at, place.models)
    try:
        content = _sealing_key(of_kept).open(
            standing.sealed, _seal_place(access.tenant_id, of_kept)
        )
        kept = form.model_validate_json(content)
    except (SealBroken, ValidationError):
        # Of a release that kept another form; what pydantic says of it quotes it.
        return None, "miss"
    if kept.models != place.models:
        return None, "stale"
    # Not for what the epoch tells, but for what it might not.
    chunk_ids = chunk_ids_of(kept)
    readable = await language_models.readable_passages(session, sorted(chunk_ids))
    return (kept, "hit") if chunk_ids <= set(readable) else (None, "stale")


def _sealed_vector(tenant_id: UUID, place: Place) -> bytes | None:
    if place.meaning is None:
        return None
    content = vector_bytes(place.meaning.vector)
    return _vector_key(place).seal(content, _seal_place(tenant_id, place))


def _opened_vector(tenant_id: UUID, place: Place, answer: AlikeAnswer) -> bytes | None:
    """None for one that does not authenticate."""
    of_answer = replace(place, key=answer.key, epoch=answer.epoch)
    try:
        return _vector_key(of_answer).open(answer.sealed_vector, _seal_place(tenant_id, of_answer))
    except SealBroken:
        return None


def _vector_key(place: Place) -> TextKey:
    return TextKey(hmac.digest(place.tenant_key, b"vector|" + place.key + _number(place), "sha256"))


def _sealing_key(place: Place) -> TextKey:
    """One for each key and epoch: no tenant's key seals without end."""
    return TextKey(hmac.digest(place.tenant_key, b"seal|" + place.key + _number(place), "sha256"))


def _seal_place(tenant_id: UUID, place: Place) -> bytes:
    return f"muniment/v1|{tenant_id}|cached|{place.kind}|".encode() + place.key + _number(place)


def _number(place: Place) -> bytes:
    return place.epoch.to_bytes(8, "big")
