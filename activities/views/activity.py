"""Temporal's face of views."""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.artifacts import Artifacts
from activities.failures import application_error, final
from activities.heartbeats import heartbeats
from activities.sandbox import EngineCall, Limits, Sandbox
from activities.sandbox.limits import MEBIBYTE
from activities.scratch import Scratch
from activities.views.calls import (
    MarkdownRequest,
    MarkRequest,
    PageImageRequest,
    RedactionRequest,
    RenderedView,
)
from db.queries.job_passwords import password_of
from db.queries.stages import UNTOUCHED_STATES, NewBlob
from db.queries.views import (
    StoredView,
    ViewSource,
    adopt_view,
    keep_view,
    lock_source,
    name_of_sharer,
)
from db.session import Access, Database
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import DocumentFamily
from muniment.contracts.render_view import (
    MarkdownView,
    MarkedCopyView,
    PageImageView,
    RedactedView,
    RenderPicturesInput,
    RenderPicturesResult,
    RenderViewActivities,
    RenderViewInput,
    RenderViewResult,
    is_markable,
    pictured_family,
    pictures_of_encrypted,
    view_fingerprint,
)
from muniment.errors import (
    DocumentError,
    EngineError,
    Gone,
    KeyStorageFull,
    MunimentError,
    NotFound,
    StorageFull,
)

logger = logging.getLogger(__name__)

ENGINE_MODULE = "activities.views.engine"
PAGE_LIMITS = Limits(wall_seconds=50, cpu_seconds=30, memory_bytes=1536 * MEBIBYTE)
"""A page of the largest size allowed takes a few seconds and 200 MB."""
MARK_LIMITS = Limits(wall_seconds=50, cpu_seconds=50, memory_bytes=2048 * MEBIBYTE)
REDACTION_LIMITS = Limits(wall_seconds=280, cpu_seconds=240, memory_bytes=2048 * MEBIBYTE)
"""200 pages of A4 take a minute and 100 MB."""
MARKDOWN_LIMITS = Limits(wall_seconds=50, cpu_seconds=50, memory_bytes=4096 * MEBIBYTE)


class RenderView(RenderViewActivities):
    """Belongs to no job: it changes nothing that a job's readers see."""

    def __init__(
        self, database: Database, artifacts: Artifacts, sandbox: Sandbox, scratch: Scratch
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._sandbox = sandbox
        self._scratch = scratch

    @activity.defn(name="render_view")
    async def render_view(self, request: RenderViewInput) -> RenderViewResult:
        try:
            async with heartbeats():
                view = await self._find_or_make(request)
        except (StorageFull, KeyStorageFull) as error:
            # Whoever waits can be told at once, and asks again when there is space.
            raise final(error) from error
        except Exception as error:
            raise application_error(error, activity.info().attempt) from error
        return RenderViewResult(blob_id=view.blob_id, size=view.size, sha256=view.sha256.hex())

    @activity.defn(name="render_pictures")
    async def render_pictures(self, request: RenderPicturesInput) -> RenderPicturesResult:
        version = request.version
        drawn = 0
        try:
            async with heartbeats():
                async with self._transaction(version.tenant_id) as session:
                    sealed = await password_of(session, version.job_id)
                if sealed is None:
                    raise Gone("The job has no password any more.")
                password = (await self._artifacts.load_bytes(version.tenant_id, sealed)).decode()
                for view in pictures_of_encrypted(request.page_count):
                    drawn += await self._is_drawn(version, view, password)
        except Exception as error:
            raise application_error(error, activity.info().attempt) from error
        return RenderPicturesResult(drawn=drawn)

    async def _is_drawn(
        self, version: VersionReference, view: PageImageView, password: str
    ) -> bool:
        """Whoever sees the version may see it: it was published, so its job had a password that
        opens the same bytes."""
        request = RenderViewInput(
            tenant_id=version.tenant_id, version_id=version.version_id, view=view
        )
        try:
            await self._find_or_make(request, password)
        except (DocumentError, EngineError) as error:
            logger.warning("a page has no picture", extra={"reason": error.problem})
            return False
        return True

    async def _find_or_make(
        self, request: RenderViewInput, password: str | None = None
    ) -> StoredView:
        async with self._transaction(request.tenant_id) as session:
            source = await _open(session, request.version_id)
            key = view_fingerprint(request.view, _source_blob(request, source))
            found = await adopt_view(session, request.tenant_id, request.version_id, key)
        if found is not None:
            return found
        content = await self._make(request, source, password)
        return await self._keep(request, key, content)

    async def _make(
        self, request: RenderViewInput, source: ViewSource, password: str | None
    ) -> bytes:
        view = request.view
        if isinstance(view, PageImageView):
            wanted = PageImageRequest(family=_pictured(source), view=view, password=password)
            call = EngineCall("render_page", wanted, RenderedView)
            return await self._draw(request.tenant_id, source, call, PAGE_LIMITS)
        if isinstance(view, RedactedView):
            redaction = RedactionRequest(family=_pictured(source), view=view)
            call = EngineCall("redact_document", redaction, RenderedView)
            return await self._draw(request.tenant_id, source, call, REDACTION_LIMITS)
        if isinstance(view, MarkedCopyView):
            return await self._mark(request.tenant_id, view, source)
        document = await self._artifacts.load_bytes(
            request.tenant_id, _source_blob(request, source)
        )
        call = EngineCall("render_markdown", MarkdownRequest(), RenderedView)
        rendered = await self._sandbox.run(call, content=document, limits=MARKDOWN_LIMITS)
        return rendered.content

    async def _draw(
        self, tenant_id: UUID, source: ViewSource, call: EngineCall[RenderedView], limits: Limits
    ) -> bytes:
        async with self._scratch.opened(
            tenant_id, source.content_blob_id, source.content_size
        ) as content:
            rendered = await self._sandbox.run(call, content=content, limits=limits)
        return rendered.content

    async def _mark(self, tenant_id: UUID, view: MarkedCopyView, source: ViewSource) -> bytes:
        if not is_markable(source.media_type, source.content_size):
            raise NotFound("Copies of this version cannot be marked.")
        async with self._transaction(tenant_id) as session:
            name = await name_of_sharer(session, view.sharer_id)
        if name is None:
            raise Gone("Whoever shared it is no longer there.")
        wanted = MarkRequest(name=name, id=str(view.sharer_id))
        call = EngineCall("mark_pdf", wanted, RenderedView)
        return await self._draw(tenant_id, source, call, MARK_LIMITS)

    async def _keep(self, request: RenderViewInput, key: str, content: bytes) -> StoredView:
        tenant_id, version_id = request.tenant_id, request.version_id
        blob = await self._artifacts.seal(tenant_id, content)
        kept = False
        try:
            async with self._transaction(tenant_id) as session:
                # Locked again: of an erasure that began meanwhile nothing is kept.
                await _open(session, version_id)
                kept = await keep_view(session, tenant_id, version_id, key, blob)
                view = await adopt_view(session, tenant_id, version_id, key)
        finally:
            if not kept:
                await self._discard(tenant_id, blob)
        if view is None:
            raise MunimentError("A view that was just stored is not there.")
        return view

    async def _discard(self, tenant_id: UUID, blob: NewBlob) -> None:
        """Even while the activity is being cancelled."""
        await asyncio.shield(self._artifacts.discard(tenant_id, [blob]))

    def _transaction(self, tenant_id: UUID) -> AbstractAsyncContextManager[AsyncSession]:
        return self._database.transaction(Access(tenant_id))


async def _open(session: AsyncSession, version_id: UUID) -> ViewSource:
    source = await lock_source(session, version_id)
    if source is None or source.file_state in UNTOUCHED_STATES:
        raise Gone("The version is no longer there.")
    return source


def _pictured(source: ViewSource) -> DocumentFamily:
    family = pictured_family(source.media_type)
    if family is None:
        raise NotFound("This format has no pictures of pages.")
    return family


def _source_blob(request: RenderViewInput, source: ViewSource) -> UUID:
    """What the view is made of: the content itself, or the document that was read from it."""
    if not isinstance(request.view, MarkdownView):
        return source.content_blob_id
    if source.document_blob_id is None:
        raise NotFound("This version has no document.")
    return source.document_blob_id
