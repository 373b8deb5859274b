"""Reads findings, and what stands at their places, under the caller's rights."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files.service import require_file
from api.findings.schemas import FindingView, finding_view
from api.pages.service import require_published
from api.pagination import IdCursor, Page, cut, encode_cursor
from api.services import Services
from db.audit import record
from db.queries import findings, pages
from db.queries.findings import FindingDetail, FindingFilter
from muniment.contracts.documents import Page as ReadPage
from muniment.errors import Gone, NotFound
from retrieval.cited_pages import ArtifactReader


async def list_findings(
    session: AsyncSession, wanted: FindingFilter, limit: int, place: IdCursor | None
) -> Page[FindingView]:
    """Newest first. Fewer than `limit` with a cursor: there may be more behind those looked through."""
    after = place.id if place else None
    if wanted.file_id is not None:
        await require_file(session, wanted.file_id)
    found = await findings.list_findings(session, wanted, limit=limit + 1, after=after)
    shown, last = cut(found, limit)
    behind = last.row.id if last else await findings.looked_up_to(session, wanted, after)
    following = None if behind is None else encode_cursor(IdCursor(id=behind))
    return Page(data=[finding_view(each) for each in shown], next_cursor=following)


async def require_finding(session: AsyncSession, finding_id: UUID) -> FindingDetail:
    found = await findings.get_finding(session, finding_id)
    if found is None:
        raise NotFound("there is no such finding")
    return found


async def value_of(services: Services, caller: Caller, finding_id: UUID) -> str:
    """What stands there; who looked, and at which finding, is audited."""
    async with services.database.transaction(caller.access) as session:
        found = await require_finding(session, finding_id)
    version = await require_published(services, caller, found.file_id, found.version, "finding")
    async with services.database.transaction(caller.access) as session:
        row = await pages.get_page(session, version.id, found.row.page)
        payload = {"file_id": str(found.file_id), "entity": found.row.entity}
        record(session, caller.act("finding.revealed", "finding", finding_id, payload))
    page = await ArtifactReader(services.blobs, caller.tenant_id).page(row) if row else None
    if page is None:
        raise Gone("the page of this finding is no longer there")
    if found.row.start_offset == found.row.end_offset:
        return "\n".join(_unseen(page, found.row.entity))
    return page.text[found.row.start_offset : found.row.end_offset]


def _unseen(page: ReadPage, entity: str) -> list[str]:
    """Of a finding that stands nowhere in the text: all that is hidden so, or that hides a signal."""
    of_kind = [each.text for each in page.hidden if entity == f"HIDDEN_{each.kind.upper()}"]
    return of_kind or [each.text for each in page.hidden]
