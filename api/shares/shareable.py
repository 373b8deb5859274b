"""Whether a file may leave by a link: asked when one is made, and at each use of it."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.files.service import require_file, require_version
from api.shares.policy import SharingPolicy
from db.models import FileVersion
from db.queries.decisions import is_held_for_findings
from db.queries.files import FileDetail
from db.queries.finding_policies import awaits_masking
from muniment.contracts.jobs import FileState
from muniment.contracts.scan import ScanState
from muniment.errors import Conflict, Gone

WITHHELD = (
    FileState.TRASHED,
    FileState.QUARANTINED,
    FileState.REJECTED,
    FileState.RESTRICTED,
)
"""Nobody hands these out, whatever their key lets them do besides."""


async def require_shareable(
    session: AsyncSession, file_id: UUID, number: int | None, *, for_update: bool = False
) -> tuple[FileDetail, FileVersion]:
    """The file and the version of that number, or the one in use. Raises NotFound when whoever the
    transaction is for may not read it, Gone and Conflict when its state forbids it."""
    detail = await require_file(session, file_id, for_update=for_update)
    state = FileState(detail.file.state)
    if state in (FileState.ERASING, FileState.ERASED):
        raise Gone("the file was erased")
    if state in WITHHELD:
        raise Conflict(f"the file is {state}")
    version = await require_version(session, detail, number)
    if version.published_at is None and await is_held_for_findings(session, version.id):
        raise Conflict("what was found in this version keeps it back")
    if version.is_masked or await awaits_masking(session, version):
        raise Conflict(
            "findings in this version are masked, and whoever has the link would see them",
            remedy="Share a version without them.",
        )
    return detail, version


def is_cleared(version: FileVersion, policy: SharingPolicy) -> bool:
    """Whether a scanner found the version clean; where that is not required, whether at least none was
    there to ask, or a person or the operator's policy let it pass."""
    if version.scan_state == ScanState.CLEAN:
        return True
    if policy.requires_clean or version.scan_state is None:
        return False
    return not policy.scans.is_suspect(version)
