"""The one door to texts that lie sealed in the database: those of collections with `encrypted_text`.

A text key is the content of a blob. So its wrapped key lies outside the database, is wrapped anew by a
rotation, and dies with the last version that refers to it: the texts are dead with it, in backups and
in the database's log too.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from pydantic import ValidationError

from muniment.contracts.base import Contract
from muniment.contracts.text_modes import PassageText, QuotedWords
from muniment.errors import KeyManagementUnavailable, MunimentError, SealBroken
from muniment.objects.blobs import BlobStore, SealedBlob
from muniment.sealing import ExpiringCache, TextKey
from muniment.sealing.text_key import KEY_BYTES as TEXT_KEY_BYTES
from muniment.task_group import task_group

REMEMBERED_KEYS = 4096
"""How many text keys a process remembers, for at most five minutes each."""
KEYS_AT_ONCE = 8
"""So many of a tenant's are fetched at a time, for all requests together. A tenant whose key service
hangs holds up none but itself."""
LONGEST_FETCH_SECONDS = 5.0
"""For the key of a text once it is its turn; then whoever asked is told that keys are away."""
LONGEST_QUEUE_SECONDS = 5.0
"""For its turn, behind the tenant's other keys."""

ContractT = TypeVar("ContractT", bound=Contract)


@dataclass(frozen=True)
class SealedText:
    """A sealed text as its row has it, and whose it is."""

    tenant_id: UUID
    key_id: UUID
    place: bytes
    content: bytes


@dataclass(frozen=True)
class NewTextKey:
    """A text key whose blob is durable; the caller commits its row, or discards it."""

    blob: SealedBlob
    key: TextKey


def passage_place(tenant_id: UUID, version_id: UUID, ordinal: int) -> bytes:
    return f"muniment/v1|{tenant_id}|chunk|{version_id}|{ordinal}".encode()


def quote_place(tenant_id: UUID, annotation_id: UUID) -> bytes:
    return f"muniment/v1|{tenant_id}|annotation|{annotation_id}".encode()


def anchor_place(tenant_id: UUID, annotation_id: UUID, version_id: UUID) -> bytes:
    return f"muniment/v1|{tenant_id}|anchor|{annotation_id}|{version_id}".encode()


def conversation_place(tenant_id: UUID, conversation_id: UUID, what: str) -> bytes:
    """`what`: `title`, or the kind and id of what is said."""
    return f"muniment/v1|{tenant_id}|conversation|{conversation_id}|{what}".encode()


def question_place(tenant_id: UUID, list_id: UUID, ordinal: int) -> bytes:
    return f"muniment/v1|{tenant_id}|question|{list_id}|{ordinal}".encode()


def answer_place(tenant_id: UUID, list_id: UUID, ordinal: int) -> bytes:
    return f"muniment/v1|{tenant_id}|answer|{list_id}|{ordinal}".encode()


def subject_place(tenant_id: UUID, request_id: UUID) -> bytes:
    return f"muniment/v1|{tenant_id}|subject-request|{request_id}".encode()


class SealedTexts:
    """For one event loop."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._turns: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()
        self._fetches: dict[tuple[UUID, UUID], asyncio.Task[TextKey]] = {}
        self._keys: ExpiringCache[tuple[UUID, UUID], TextKey] = ExpiringCache(REMEMBERED_KEYS)

    async def make_key(self, tenant_id: UUID) -> NewTextKey:
        """A new text key; raises what storing a blob raises."""
        content = TextKey.generate()
        return NewTextKey(await self._blobs.put_bytes(tenant_id, content), TextKey(content))

    async def key(self, tenant_id: UUID, key_id: UUID) -> TextKey:
        """KeyDestroyed where its last version was erased; KeyManagementUnavailable, after
        LONGEST_QUEUE_SECONDS and LONGEST_FETCH_SECONDS at the latest, and ObjectStoreUnavailable where a
        retry may help."""
        remembered = self._keys.get((tenant_id, key_id))
        if remembered is not None:
            return remembered
        fetch = self._fetches.get((tenant_id, key_id))
        if fetch is None:
            fetch = asyncio.create_task(self._fetch(tenant_id, key_id))
            self._fetches[tenant_id, key_id] = fetch
            fetch.add_done_callback(self._forget_fetch(tenant_id, key_id))
        # However many ask, it is fetched once; that one of them gave up ends it for nobody else.
        return await asyncio.shield(fetch)

    def _forget_fetch(
        self, tenant_id: UUID, key_id: UUID
    ) -> Callable[[asyncio.Task[TextKey]], None]:
        def forget(fetch: asyncio.Task[TextKey]) -> None:
            del self._fetches[tenant_id, key_id]
            if not fetch.cancelled():
                fetch.exception()  # taken note of, though all who asked may have given up

        return forget

    async def _fetch(self, tenant_id: UUID, key_id: UUID) -> TextKey:
        turns = self._turns.get(tenant_id)
        if turns is None:
            turns = self._turns[tenant_id] = asyncio.Semaphore(KEYS_AT_ONCE)
        try:
            async with asyncio.timeout(LONGEST_QUEUE_SECONDS):
                await turns.acquire()
        except TimeoutError:
            raise _late() from None
        try:
            async with asyncio.timeout(LONGEST_FETCH_SECONDS):
                key = TextKey(await self._read(tenant_id, key_id))
        except TimeoutError:
            raise _late() from None
        finally:
            turns.release()
        self._keys.put((tenant_id, key_id), key)
        return key

    async def _read(self, tenant_id: UUID, key_id: UUID) -> bytes:
        # Afresh: remembered there and then here, it would outlive its five minutes.
        plaintext = self._blobs.reread(tenant_id, key_id, TEXT_KEY_BYTES)
        async with aclosing(plaintext):
            return b"".join([piece async for piece in plaintext])

    async def passages(self, sealed: Sequence[SealedText]) -> list[PassageText]:
        """In the order given; raises as `key` does, and SealBroken."""
        return _required(await self._opened(sealed, PassageText))

    async def try_passages(self, sealed: Sequence[SealedText]) -> list[PassageText | MunimentError]:
        """Each passage, or what kept it from being opened."""
        return await self._opened(sealed, PassageText)

    async def try_quotes(self, sealed: Sequence[SealedText]) -> list[QuotedWords | MunimentError]:
        """Each quote, or what kept it from being opened."""
        return await self._opened(sealed, QuotedWords)

    async def try_words(
        self, sealed: Sequence[SealedText], model: type[ContractT]
    ) -> list[ContractT | MunimentError]:
        """Words of a conversation, or what kept each from being opened."""
        return await self._opened(sealed, model)

    async def opened(self, sealed: Sequence[SealedText], model: type[ContractT]) -> list[ContractT]:
        """Texts of that form, in the order given; raises as `passages` does."""
        return _required(await self._opened(sealed, model))

    async def _opened(
        self, sealed: Sequence[SealedText], model: type[ContractT]
    ) -> list[ContractT | MunimentError]:
        wanted = {(each.tenant_id, each.key_id) for each in sealed}
        async with task_group() as fetching:
            tasks = {each: fetching.create_task(self._try_key(*each)) for each in wanted}
        keys = {each: task.result() for each, task in tasks.items()}
        return [_open(keys[each.tenant_id, each.key_id], each, model) for each in sealed]

    async def _try_key(self, tenant_id: UUID, key_id: UUID) -> TextKey | MunimentError:
        try:
            return await self.key(tenant_id, key_id)
        except MunimentError as error:
            return error


def _open(
    key: TextKey | MunimentError, sealed: SealedText, model: type[ContractT]
) -> ContractT | MunimentError:
    if isinstance(key, MunimentError):
        return key
    try:
        return model.model_validate_json(key.open(sealed.content, sealed.place))
    except MunimentError as error:
        return error
    except ValidationError:
        # Its message quotes what it was given: the text.
        return SealBroken("a sealed text has another form")


def _late() -> KeyManagementUnavailable:
    return KeyManagementUnavailable("the keys of sealed texts do not come in time")


def _required(opened: Sequence[ContractT | MunimentError]) -> list[ContractT]:
    texts: list[ContractT] = []
    for each in opened:
        if isinstance(each, MunimentError):
            raise each
        texts.append(each)
    return texts
