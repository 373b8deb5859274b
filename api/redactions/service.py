"""Finds the places to paint over, and has a worker draw the pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files.clearance import require_served
from api.files.content import Sealed
from api.files.service import require_file, require_version
from api.redactions.places import places_on
from api.redactions.schemas import NewRedaction, Region
from api.services import Services
from db.audit import record
from db.models import FileVersion, FindingRow, PageRow
from db.queries import pages, redactions
from db.queries.files import FileDetail
from muniment.contracts.documents import PageBox
from muniment.contracts.render_view import (
    MAXIMUM_REDACTED_BOXES,
    MAXIMUM_REDACTED_PAGES,
    RedactedView,
    pictured_family,
)
from muniment.errors import Conflict, Unprocessable
from retrieval.cited_pages import ArtifactReader

MEDIA_TYPE = "application/pdf"


@dataclass(frozen=True)
class _Source:
    version: FileVersion
    pages: Sequence[PageRow]
    findings: Sequence[FindingRow]


async def redact(
    services: Services, caller: Caller, file_id: UUID, number: int | None, wanted: NewRedaction
) -> Sealed:
    """Where the redacted PDF lies. Raises Unprocessable for what cannot be painted over as it was asked
    for: nothing is left standing unsaid; and what reading and drawing raise."""
    async with services.database.transaction(caller.access) as session:
        source = await _source(session, services, caller, file_id, number, wanted)
        payload: dict[str, JsonValue] = {
            "version": source.version.number,
            "types": None if wanted.types is None else [*wanted.types],
            "least_confidence": wanted.least_confidence,
            "findings": len(source.findings),
            "regions": len(wanted.regions),
        }
    view = await _view(ArtifactReader(services.blobs, caller.tenant_id), source, wanted.regions)
    stored = await services.views.get(caller.access, source.version, view)
    async with services.database.transaction(caller.access) as session:
        record(session, caller.act("file.redacted", "file", file_id, payload))
    # Not the original's, which may say what is painted over.
    name = "redacted.pdf"
    return Sealed(caller.tenant_id, stored.blob_id, stored.size, stored.sha256, name, MEDIA_TYPE)


async def _source(
    session: AsyncSession,
    services: Services,
    caller: Caller,
    file_id: UUID,
    number: int | None,
    wanted: NewRedaction,
) -> _Source:
    # Locked: pages and findings are to be of one publication, or black falls beside the words.
    detail = await require_file(session, file_id, "write", for_update=True)
    version = await require_version(session, detail, number)
    await require_served(session, detail, version, caller, services.scans)
    if version.published_at is None:
        raise Conflict(
            f"version {version.number} has not been read yet",
            remedy="Follow its job; what failed can be retried.",
        )
    if pictured_family(version.media_type or version.declared_media_type) is None:
        raise Unprocessable(
            "this format has no pictures of pages, of which a redacted copy is made",
            remedy="Convert the document to PDF and upload that.",
        )
    rows = await pages.list_pages(session, version.id, limit=MAXIMUM_REDACTED_PAGES + 1)
    if len(rows) > MAXIMUM_REDACTED_PAGES:
        raise Unprocessable(
            f"a redacted copy has at most {MAXIMUM_REDACTED_PAGES} pages",
            remedy="Split the document and upload its parts.",
        )
    _require_on_pages(rows, wanted.regions)
    return _Source(version, rows, await _findings(session, detail, version, wanted))


def _require_on_pages(rows: Sequence[PageRow], regions: Sequence[Region]) -> None:
    shapes = {row.page: row for row in rows}
    for place, region in enumerate(regions):
        row = shapes.get(region.page)
        if row is None or region.bbox[0] >= row.width or region.bbox[1] >= row.height:
            detail = "the region lies on no page of the file"
            raise Unprocessable(
                detail,
                remedy="`/pages` names the pages and their sizes.",
                errors=[{"field": f"regions.{place}", "detail": detail}],
            )


async def _findings(
    session: AsyncSession, detail: FileDetail, version: FileVersion, wanted: NewRedaction
) -> Sequence[FindingRow]:
    if wanted.types == []:
        if not wanted.regions:
            raise _nothing("neither types nor regions are named", "types")
        return ()
    if detail.version is None or detail.version.id != version.id:
        raise Conflict(
            f"what was left unexamined is not known of version {version.number}, which is not in use",
            remedy="Name regions alone, with an empty list of `types`, or take the version in use.",
        )
    if detail.file.extracted.get("classification_gaps"):
        raise Conflict(
            "not all of the version was examined for personal data and secrets",
            remedy="Reprocess the file, or name the regions alone, with an empty list of `types`.",
        )
    found = await redactions.findings_of(
        session, version.id, wanted.least_confidence, limit=MAXIMUM_REDACTED_BOXES + 1
    )
    if len(found) > MAXIMUM_REDACTED_BOXES:
        raise _too_many()
    kinds = {finding.entity for finding in found}
    for kind in wanted.types or ():
        if kind not in kinds:
            known = ", ".join(sorted(kinds)) or "none"
            raise _nothing(
                f"the version has no finding of a type that is named; has: {known}", "types"
            )
    if not found and not wanted.regions:
        raise _nothing("nothing was found in the version", "regions")
    return [each for each in found if wanted.types is None or each.entity in wanted.types]


async def _view(reader: ArtifactReader, source: _Source, regions: Sequence[Region]) -> RedactedView:
    """What could not be read, and what has no place, blackens its page."""
    boxes = [PageBox(page=each.page, bbox=each.bbox) for each in regions]
    blackened: list[int] = []
    found: dict[int, list[FindingRow]] = {}
    for finding in source.findings:
        found.setdefault(finding.page, []).append(finding)
    for row in source.pages:
        page = await reader.page(row)
        places = None if page is None else places_on(page, found.get(row.page, ()))
        if places is None:
            blackened.append(row.page)
        else:
            boxes.extend(PageBox(page=row.page, bbox=box) for box in places)
    if len(boxes) > MAXIMUM_REDACTED_BOXES:
        raise _too_many()
    return RedactedView(
        page_count=len(source.pages), boxes=tuple(boxes), blackened=tuple(blackened)
    )


def _too_many() -> Unprocessable:
    return Unprocessable(
        f"a redacted copy has at most {MAXIMUM_REDACTED_BOXES} places that are painted over",
        remedy="Name fewer types, or split the document and upload its parts.",
    )


def _nothing(detail: str, field: str) -> Unprocessable:
    return Unprocessable(
        detail,
        remedy="Name types that were found, or regions: a copy with nothing painted over is none.",
        errors=[{"field": field, "detail": detail}],
    )
