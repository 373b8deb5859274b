"""Takes in the body of one request: cut into parts, each sealed, durable, and then acknowledged.

Without a checksum every part counts as soon as it is stored, so that whoever is cut off goes on from
there. With one, none counts before all have come and the checksum fits.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from uuid import UUID

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import ClientDisconnect

from api.authentication import Caller
from api.files.digests import StreamDigests, announced_digests, require_match
from api.files.discarding import discard_blob
from api.services import Services
from api.uploads.access import require_open
from api.uploads.protocol import announced_checksum
from db.models import Upload, now
from db.queries import resumable_uploads
from db.queries.uploads import Room
from muniment.errors import Conflict, ContentTooLarge, RequestTooSlow
from muniment.objects import SealedBlob

PART_BYTES = 8 * 1024 * 1024
"""What a process that is killed loses at most of an upload's first parts."""
PARTS_BEFORE_DOUBLING = 2_500
MOST_DOUBLINGS = 5
MAX_PARTS = 50_000
LONGEST_REQUEST_SECONDS = 3_600.0
"""Who is not done by then goes on with another request; a slow client gives its place to others."""


class PartReception:
    """Receives one request's body. `pending` are parts that are stored and not acknowledged: the
    caller makes the file of them and those before, or discards them."""

    def __init__(
        self,
        services: Services,
        caller: Caller,
        upload: Upload,
        request: Request,
        size: int | None,
        room: Room | None,
    ) -> None:
        """`size` is the whole upload's, if it is known with this request; `room` is for one of which it
        is not."""
        self._services = services
        self._caller = caller
        self._upload_id: UUID = upload.id
        self._is_partial = bool(upload.concatenation)
        self.declared = upload.size
        self._parts = upload.parts
        self._size = size
        self._checksum = announced_checksum(request.headers)
        digest = request.headers.get("content-digest")
        self._digests = StreamDigests(
            announced_digests({"content-digest": digest}) if digest is not None else []
        )
        limit = services.uploads.max_bytes if size is None else size
        _require_announced_fits(request, limit - upload.received)
        self._chunks = self._watched(request)
        self._body = _Body(self._chunks, upload.received, limit, room)
        self.acknowledged = upload.received
        self.pending: list[SealedBlob] = []

    @property
    def makes_file(self) -> bool:
        """Whether all has come of what becomes a file by itself."""
        return not self._is_partial and self.offset == self._size

    async def receive(self) -> None:
        """Raises ContentTooLarge, QuotaExceeded, Conflict, Gone, ChecksumMismatch, DigestMismatch;
        ClientDisconnect or RequestTooSlow after what came before it was acknowledged; and what the
        store raises."""
        async with aclosing(self._chunks):
            await self._store_body()
        # Whose last byte has come need not say that it was the last.
        if self._body.interruption is not None and not self.makes_file:
            raise self._body.interruption
        if self._checksum is not None:
            self._checksum.require_match()
        require_match(self._digests)
        if not self.makes_file:
            await self.acknowledge()

    async def _store_body(self) -> None:
        is_atomic = self._checksum is not None or bool(self._digests.announced)
        while await self._body.has_more():
            if self._parts >= MAX_PARTS:
                raise ContentTooLarge(
                    f"the upload has {MAX_PARTS} pieces", remedy="Send larger pieces."
                )
            part = self._body.part(_part_bytes(self._parts))
            self.pending.append(await self._services.blobs.put(self._caller.tenant_id, part))
            self._parts += 1
            if not is_atomic and not self.makes_file:
                await self.acknowledge()

    async def acknowledge(self) -> Upload:
        """Commits the parts that are pending; the upload as it is then."""
        async with self._services.database.transaction(self._caller.access) as session:
            upload = await require_open(session, self._caller, self._upload_id, for_update=True)
            self.require_unchanged(upload)
            if self._size is not None:
                upload.size = self._size
            if self.declared is None:
                # One that announced its length was counted with all of it.
                size = self.offset if self._size is None else self._size
                limits = self._services.uploads.open
                await resumable_uploads.require_room(session, upload, size, limits)
            expires_at = now() + self._services.uploads.expiry
            await resumable_uploads.append_parts(session, upload, self.pending, expires_at)
            if self._is_partial:
                expiry = self._services.uploads.expiry
                await resumable_uploads.keep_siblings(session, upload, expires_at, expiry)
        self.acknowledged, self.declared, self.pending = upload.received, upload.size, []
        return upload

    def require_unchanged(self, upload: Upload) -> None:
        """Raises Conflict where another request went on with the upload, or said how long it is."""
        if (upload.received, upload.size) != (self.acknowledged, self.declared):
            raise Conflict("another request went on with this upload meanwhile")

    async def discard(self) -> None:
        """Destroys what was stored and not acknowledged; never raises."""
        for part in self.pending:
            await discard_blob(
                self._services,
                self._caller.access,
                part,
                "a piece of an upload was left behind",
                self._await_writer,
            )

    async def _await_writer(self, session: AsyncSession) -> None:
        principal_id = self._caller.principal_id
        await resumable_uploads.get_upload(session, self._upload_id, principal_id, for_update=True)

    @property
    def offset(self) -> int:
        """Where the upload is with what is stored of this request."""
        return self.acknowledged + sum(part.size for part in self.pending)

    def _watched(self, request: Request) -> AsyncGenerator[bytes, None]:
        chunks = self._digests.watch(request.stream())
        return chunks if self._checksum is None else self._checksum.watch(chunks)


class _Body:
    """A body that goes on from `received` bytes to `limit` at most, and no further than there is room,
    cut into parts. `interruption` is what ended it early."""

    def __init__(
        self, chunks: AsyncIterator[bytes], received: int, limit: int, room: Room | None
    ) -> None:
        self._chunks = chunks
        self._received = received
        self._limit = limit
        self._room = room
        self._held = b""
        self._ended = False
        self._deadline = asyncio.get_running_loop().time() + LONGEST_REQUEST_SECONDS
        self.interruption: ClientDisconnect | RequestTooSlow | None = None

    async def has_more(self) -> bool:
        """Waits for the next bytes. Raises ContentTooLarge and QuotaExceeded when they are too many."""
        while not self._held and not self._ended:
            try:
                self._held = await anext(self._chunks)
            except StopAsyncIteration:
                self._ended = True
            except (ClientDisconnect, RequestTooSlow) as error:
                self._ended, self.interruption = True, error
            self._received += len(self._held)
            if self._received > self._limit:
                raise _too_long()
            if self._room is not None and self._held:
                await self._room.require(self._received, {})
            if asyncio.get_running_loop().time() > self._deadline and not self._ended:
                self.interruption = RequestTooSlow("the request took too long")
                self._ended = True
        return bool(self._held)

    async def part(self, size: int) -> AsyncGenerator[bytes, None]:
        """The next bytes, `size` at most."""
        while size and await self.has_more():
            piece, self._held = self._held[:size], self._held[size:]
            size -= len(piece)
            yield piece


def _part_bytes(number: int) -> int:
    """The size of the part of that number: they grow, so that a long upload has not too many."""
    return PART_BYTES << min(number // PARTS_BEFORE_DOUBLING, MOST_DOUBLINGS)


def require_receivable(request: Request, left: int) -> None:
    """What can be said of a body before it comes; `left` bytes may. Raises ContentTooLarge and
    InvalidRequest."""
    announced_checksum(request.headers)
    digest = request.headers.get("content-digest")
    if digest is not None:
        announced_digests({"content-digest": digest})
    _require_announced_fits(request, left)


def _require_announced_fits(request: Request, left: int) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > left:
        raise _too_long()


def _too_long() -> ContentTooLarge:
    return ContentTooLarge(
        "the body is longer than what is left of the upload, or above the limit",
        remedy="Send what the upload's length leaves; OPTIONS tells the limit as Tus-Max-Size.",
    )
