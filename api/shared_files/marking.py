"""What a link hands out: the content as it is, or a copy that says who shared it."""

from dataclasses import replace

from api.files.content import Sealed
from api.problems import RETRY_AFTER_SECONDS
from api.services import Services
from api.shared_files import refusals
from api.shared_files.visiting import Visit
from api.shares.shareable import require_shareable
from db.models import FileVersion
from muniment.contracts.render_view import is_markable, marked_copy
from muniment.errors import (
    DocumentError,
    EngineError,
    Gone,
    KeyDestroyed,
    NotFound,
    OrchestratorUnavailable,
    RequestError,
)


async def handed_out(services: Services, visit: Visit) -> Sealed:
    """Of a link with a watermark never the content itself. Raises Refused, TooManyRequests when too many
    wait for workers, and what asking them raises."""
    if not visit.share.watermark:
        return visit.sealed
    version = await _version(services, visit)
    if version.published_at is None:
        raise refusals.unprepared(RETRY_AFTER_SECONDS)
    if not is_markable(visit.sealed.media_type, visit.sealed.size):
        raise refusals.unmarked()
    view = marked_copy(visit.share.created_by, visit.shared_by)
    try:
        copy = await services.views.get(visit.access, version, view)
    except (Gone, KeyDestroyed):
        raise refusals.absent() from None
    except (DocumentError, EngineError, NotFound):
        raise refusals.unmarked() from None
    except OrchestratorUnavailable:
        raise refusals.unprepared(RETRY_AFTER_SECONDS) from None
    return replace(visit.sealed, blob_id=copy.blob_id, size=copy.size, sha256=copy.sha256)


async def _version(services: Services, visit: Visit) -> FileVersion:
    async with services.database.transaction(visit.access) as session:
        try:
            _, version = await require_shareable(session, visit.share.file_id, visit.version)
        except RequestError:
            raise refusals.absent() from None
    return version
