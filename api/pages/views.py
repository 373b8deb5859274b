"""Views of a version that workers make: found where they lie, or asked for and waited for.

Many who ask for the same view at once wait for one workflow; what takes longer than a request may
wait goes on, and is there when it is asked for again.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from uuid import UUID

from temporalio.client import WorkflowFailureError

from api.orchestrator import Orchestrator
from api.slots import Slots
from db.models import FileVersion
from db.queries.views import StoredView, find_view
from db.session import Access, Database
from muniment.contracts.render_view import (
    DEFAULT_DPI,
    ENCRYPTED_PICTURE_PAGES,
    MarkdownView,
    RedactedView,
    RenderViewInput,
    View,
    view_fingerprint,
    workflow_id,
)
from muniment.errors import (
    DamagedDocument,
    DependencyUnavailable,
    EncryptedDocument,
    EngineCrashed,
    EngineOutOfMemory,
    EngineTimedOut,
    EngineTimeUsedUp,
    Gone,
    KeyDestroyed,
    KeyStorageFull,
    LimitExceeded,
    MunimentError,
    NotFound,
    OrchestratorUnavailable,
    StorageFull,
)
from workflows.failures import problem_of
from workflows.starting import render_view

MAXIMUM_VIEW_WAITS = 64
"""Requests of one process that wait for workers at a time: a screen full of thumbnails, twice."""
MAXIMUM_REMEMBERED = 10_000
"""Versions known to be encrypted: some 100 bytes each."""
LATE = "the view is not made yet: the workers are busy, or none is running"
SHOWN_AS_THEMSELVES: tuple[type[MunimentError], ...] = (
    NotFound,
    Gone,
    KeyDestroyed,
    DamagedDocument,
    EncryptedDocument,
    LimitExceeded,
    EngineCrashed,
    EngineTimedOut,
    EngineTimeUsedUp,
    EngineOutOfMemory,
    StorageFull,
    KeyStorageFull,
)
"""Whatever else a worker fails of is a dependency's trouble, and a retry may help."""
_BY_PROBLEM = {f"urn:muniment:problem:{kind.problem}": kind for kind in SHOWN_AS_THEMSELVES}


@dataclass(frozen=True)
class Views:
    """One per process; `slots` bounds how many requests wait for workers at a time."""

    database: Database
    temporal: Orchestrator
    slots: Slots
    _encrypted: OrderedDict[UUID, None] = field(default_factory=OrderedDict, repr=False)
    """Versions that do not open without a password: content never changes, so that one look is
    enough."""

    async def get(self, access: Access, version: FileVersion, view: View) -> StoredView:
        """The view of a published version that the caller was found to see.

        Raises TooManyRequests, OrchestratorUnavailable when it is not made in time, and what
        making it raised.
        """
        key = view_fingerprint(view, _source_of(version, view))
        async with self.database.transaction(access) as session:
            found = await find_view(session, version.id, key)
        if found is not None:
            return found
        if not isinstance(view, MarkdownView) and version.id in self._encrypted:
            raise _encrypted()
        request = RenderViewInput(tenant_id=access.tenant_id, version_id=version.id, view=view)
        with self.slots.take():
            return await self._made(request, key, version.file_id)

    async def _made(self, request: RenderViewInput, key: str, file_id: UUID) -> StoredView:
        temporal = self.temporal
        name = workflow_id(request.version_id, key)
        try:
            async with asyncio.timeout(temporal.view_timeout_seconds):
                made = await render_view(temporal.client, name, request, file_id)
        except WorkflowFailureError as error:
            failure = _ours(error, request.view)
            if isinstance(failure, EncryptedDocument):
                self._remember_encrypted(request.version_id)
            raise failure from error
        except (TimeoutError, RuntimeError) as error:
            # RuntimeError: what the SDK raises when its first connection fails.
            raise OrchestratorUnavailable(LATE) from error
        return StoredView(made.blob_id, made.size, bytes.fromhex(made.sha256))

    def _remember_encrypted(self, version_id: UUID) -> None:
        self._encrypted[version_id] = None
        while len(self._encrypted) > MAXIMUM_REMEMBERED:
            self._encrypted.popitem(last=False)


def _source_of(version: FileVersion, view: View) -> UUID:
    if not isinstance(view, MarkdownView):
        return version.blob_id
    if version.document_blob_id is None:
        raise NotFound("this version has no document")
    return version.document_blob_id


def _ours(error: WorkflowFailureError, view: View) -> MunimentError:
    problem = problem_of(error.cause)
    kind = _BY_PROBLEM.get(problem.type)
    if kind is None:
        return DependencyUnavailable("the view could not be made now")
    if kind is EncryptedDocument and not isinstance(view, RedactedView):
        return _encrypted()
    return kind(problem.detail, remedy=problem.remedy)


def _encrypted() -> EncryptedDocument:
    return EncryptedDocument(
        f"of an encrypted document the first {ENCRYPTED_PICTURE_PAGES} pages have pictures, at"
        f" {DEFAULT_DPI} dpi as WebP: the password was destroyed with its job",
        remedy="Ask for those; where they are missing, reprocess the file with its password.",
    )
