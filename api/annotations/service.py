"""Annotations: making, changing, resolving, deleting. Whoever may read a file may annotate it."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.annotations.schemas import AnnotationChange, AnnotationState, NewAnnotation
from api.annotations.targets import ProvenTarget, prove
from api.annotations.view import entity_tag
from api.authentication import Caller, lacks
from api.files.clearance import require_content
from api.files.service import require_file, require_version
from api.preconditions import require_match
from api.services import Services
from db.audit import record
from db.models import Annotation, FileVersion, now
from db.queries import annotations, files, pages
from db.queries.annotations import AnnotationDetail, AnnotationFilter
from db.queries.findings import tokens_of_pages
from muniment.contracts.text_modes import QuotedWords
from muniment.errors import Conflict, Forbidden, NotFound, Unprocessable
from muniment.sealing import TextKey
from retrieval.anchors.quotes import Quote
from retrieval.anchors.words import write_quoted_words
from retrieval.cited_pages import ArtifactReader
from retrieval.masked_pages import masked_page

READING = "files:read"
MOST_OF_A_FILE = 2_000
"""Each is looked for in every new version."""
AUTHORS_OWN = frozenset({"body", "tags", "colour"})


@dataclass(frozen=True)
class Wanted:
    """The version whose reading a target was proven on, and the target: None for the whole file.
    `text_key` seals what it quotes, where the version's text is sealed."""

    version: FileVersion
    target: ProvenTarget | None
    text_key: TextKey | None = None


def require_reading(caller: Caller) -> None:
    """Whether words stand on a page is content, too."""
    if READING not in caller.scopes:
        raise lacks(READING, caller)


async def require_shown(session: AsyncSession, caller: Caller, file_id: UUID) -> None:
    """Raises NotFound, Gone and Conflict for a file whose content is not shown to the caller now."""
    require_content(await require_file(session, file_id), caller)


async def list_annotations(
    session: AsyncSession,
    caller: Caller,
    wanted: AnnotationFilter,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> list[AnnotationDetail]:
    """Raises NotFound, Gone and Conflict for a file whose content is not shown."""
    if wanted.version is not None and wanted.file_id is None:
        detail = "goes with `file_id` only: without it each file's version in use is meant"
        raise Unprocessable(f"version {detail}", errors=[{"field": "version", "detail": detail}])
    if wanted.file_id is not None:
        found = await require_file(session, wanted.file_id)
        require_content(found, caller)
        await require_version(session, found, wanted.version)
    rows = await annotations.list_annotations(session, wanted, limit=limit, after=after)
    if wanted.file_id is not None:
        record_reading(session, caller, wanted.file_id, len(rows))
    else:
        looked_into = sorted({str(row.annotation.file_id) for row in rows})
        payload: dict[str, JsonValue] = {"annotations": len(rows), "files": [*looked_into]}
        record(session, caller.act("annotation.read", "file", None, payload))
    return rows


def record_reading(session: AsyncSession, caller: Caller, file_id: UUID, count: int) -> None:
    """Annotations quote what they are made on: looking at them is looking into the file."""
    record(session, caller.act("annotation.read", "file", file_id, {"annotations": count}))


async def require_annotation(
    session: AsyncSession, caller: Caller, annotation_id: UUID, version: int | None = None
) -> AnnotationDetail:
    """Raises Gone and Conflict, too, where its file's content is not shown."""
    detail = await annotations.get_annotation(session, annotation_id, version)
    if detail is None:
        raise _absent()
    require_content(await require_file(session, detail.annotation.file_id), caller)
    return detail


async def lock(session: AsyncSession, caller: Caller, annotation_id: UUID) -> Annotation:
    """The annotation, to be changed or answered. Its file is locked before it, as everywhere: an erasure
    that begins meanwhile finds what is written."""
    detail = await annotations.get_annotation(session, annotation_id)
    if detail is None:
        raise _absent()
    require_content(await require_file(session, detail.annotation.file_id, for_update=True), caller)
    locked = await annotations.lock_annotation(session, annotation_id)
    if locked is None:
        raise _absent()
    return locked


def _absent() -> NotFound:
    return NotFound("there is no such annotation")


async def proven(services: Services, caller: Caller, body: NewAnnotation) -> Wanted:
    """What is to be annotated, of the version in use as it is read now. Raises Conflict for one that was
    not read, Unprocessable for what does not stand there."""
    async with services.database.transaction(caller.access) as session:
        detail = await require_file(session, body.file_id)
        require_content(detail, caller)
        version = await require_version(session, detail, None)
        if body.target is None:
            return Wanted(version, None)
        if version.published_at is None:
            raise Conflict(
                "the file has not been read yet",
                remedy="Follow its job, or annotate the whole file: leave `target` out.",
            )
        row = await pages.get_page(session, version.id, body.target.page)
        masked = await tokens_of_pages(session, version.id, body.target.page, body.target.page)
    reader = ArtifactReader(services.blobs, caller.tenant_id)
    page = None if row is None else await reader.page(row)
    if page is not None and version.is_masked:
        # An annotation quotes what it is made on, to whoever reads it.
        page = masked_page(page, masked)
    key_id, key = version.text_key_id, None
    if key_id is not None:
        key = await services.texts.key(caller.tenant_id, key_id)
    return Wanted(version, await prove(row, page, body.target), key)


async def create(
    session: AsyncSession, caller: Caller, body: NewAnnotation, wanted: Wanted
) -> AnnotationDetail:
    """With its words, that need not be opened. Raises Conflict where another version or reading was
    published since it was proven: on that one it would stand somewhere else, and nobody would look for it."""
    detail = await require_file(session, body.file_id, for_update=True)
    require_content(detail, caller)
    version = await require_version(session, detail, None)
    known = (wanted.version.id, wanted.version.document_blob_id)
    if wanted.target is not None and (version.id, version.document_blob_id) != known:
        raise Conflict(
            "the file was published anew meanwhile", remedy="Look at it, and annotate that."
        )
    if await annotations.count_annotations(session, body.file_id) >= MOST_OF_A_FILE:
        raise Conflict(
            f"the file has {MOST_OF_A_FILE} annotations, and may not have more",
            remedy="Delete some, or answer one by a comment.",
        )
    made = _record(caller, body, version, wanted)
    session.add(made)
    await session.flush()
    payload: dict[str, JsonValue] = {
        "file_id": str(body.file_id),
        "version": version.number,
        "page": made.page,
    }
    record(session, caller.act("annotation.created", "annotation", made.id, payload))
    shown = await require_annotation(session, caller, made.id)
    quote = None if wanted.target is None else wanted.target.quote
    return shown if quote is None else replace(shown, opened_words=_quoted_words(quote))


async def change(
    session: AsyncSession,
    caller: Caller,
    if_match: str | None,
    annotation_id: UUID,
    body: AnnotationChange,
) -> AnnotationDetail:
    found = await lock(session, caller, annotation_id)
    require_match(if_match, entity_tag(found))
    given = body.model_fields_set
    is_author = found.author_id == caller.principal_id
    if given & AUTHORS_OWN and not is_author:
        raise Forbidden("what an annotation says is for its author to change")
    if body.state is not None and not is_author:
        await _require_level(session, found.file_id, "write", "resolve another's annotation")
    if body.body is not None:
        found.body = body.body
    if body.tags is not None:
        found.tags = list(dict.fromkeys(body.tags))
    if "colour" in given:
        found.colour = body.colour
    named: dict[str, JsonValue] = {"file_id": str(found.file_id)}
    if given & AUTHORS_OWN:
        payload: dict[str, JsonValue] = {**named, "fields": [*sorted(given & AUTHORS_OWN)]}
        record(session, caller.act("annotation.changed", "annotation", found.id, payload))
    if body.state is not None:
        action = _settle(found, caller, body.state)
        if action is not None:
            record(session, caller.act(action, "annotation", found.id, named))
    if given:
        found.revision += 1
        found.updated_at = now()
    await session.flush()
    return await require_annotation(session, caller, annotation_id)


async def delete(session: AsyncSession, caller: Caller, annotation_id: UUID) -> None:
    """With its comments."""
    found = await lock(session, caller, annotation_id)
    if found.author_id != caller.principal_id:
        await _require_level(session, found.file_id, "manage", "delete another's annotation")
    payload: dict[str, JsonValue] = {"file_id": str(found.file_id)}
    record(session, caller.act("annotation.deleted", "annotation", found.id, payload))
    await session.delete(found)
    await session.flush()


def _settle(found: Annotation, caller: Caller, state: AnnotationState) -> str | None:
    """What was done, if anything: resolving what is resolved changes nothing."""
    is_resolved = found.resolved_at is not None
    if state is AnnotationState.RESOLVED and not is_resolved:
        found.resolved_at, found.resolved_by = now(), caller.principal_id
        return "annotation.resolved"
    if state is AnnotationState.OPEN and is_resolved:
        found.resolved_at = found.resolved_by = None
        return "annotation.reopened"
    return None


async def _require_level(session: AsyncSession, file_id: UUID, level: str, what: str) -> None:
    if not await files.is_visible(session, file_id, level=level):
        raise Forbidden(
            f"to {what} needs the level {level} on the file, and you have less",
            remedy=f"Ask whoever manages the file for a grant of the level {level}.",
        )


def _record(
    caller: Caller, body: NewAnnotation, version: FileVersion, wanted: Wanted
) -> Annotation:
    """On the version as it is locked now."""
    target = wanted.target
    made = Annotation(
        tenant_id=caller.tenant_id,
        file_id=body.file_id,
        version_id=version.id,
        reading_id=version.document_blob_id,
        author_id=caller.principal_id,
        body=body.body,
        tags=list(dict.fromkeys(body.tags)),
        colour=body.colour,
    )
    if target is None:
        return made
    made.page = target.page.page
    made.page_width, made.page_height = target.page.width, target.page.height
    made.page_rotation = target.page.rotation
    made.page_digest = target.page_digest
    made.region = None if target.region is None else list(target.region)
    if (quote := target.quote) is not None:
        # The key that was fetched: the version may have another since it was proven.
        key_id = wanted.version.text_key_id
        write_quoted_words(made, _quoted_words(quote), wanted.text_key, key_id)
        made.start_offset, made.end_offset = quote.start, quote.end
        made.occurrence, made.occurrences = quote.occurrence, quote.occurrences
        made.boxes = [list(box) for box in target.boxes]
    return made


def _quoted_words(quote: Quote) -> QuotedWords:
    # PostgreSQL's text holds every code point but this one.
    exact, before, behind = (
        each.replace("\0", "") for each in (quote.exact, quote.prefix, quote.suffix)
    )
    return QuotedWords(quote=exact, prefix=before, suffix=behind)
