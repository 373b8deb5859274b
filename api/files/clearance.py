"""Whether a version's content may be handed out: every door for callers asks here."""

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files.scan_policy import ScanPolicy
from db.models import FileVersion
from db.queries.decisions import is_held_for_findings, is_released
from db.queries.files import FileDetail
from db.queries.finding_policies import awaits_masking
from muniment.contracts.jobs import FileState
from muniment.errors import Conflict, Forbidden, Gone, ScanPending

DECISION = "Someone with quarantine:decide must release it."
_DECISION_OR_RETRY = (
    f"{DECISION} Where its job has ended, retry that: it waits for the decision again."
)


def require_content(detail: FileDetail, caller: Caller) -> None:
    """Raises unless the file's content may be shown: not from the trash, not once erased, and from
    quarantine only to those who decide about it."""
    state = detail.file.state
    if state in (FileState.ERASING, FileState.ERASED):
        raise Gone("the file was erased")
    if state == FileState.TRASHED:
        raise Conflict("the file is in the trash", remedy="Restore it first.")
    withheld = (FileState.QUARANTINED, FileState.REJECTED, FileState.RESTRICTED)
    if state in withheld and not caller.may_decide_quarantine:
        raise Conflict(f"the file is {state}", remedy=DECISION)


def require_unmasked(version: FileVersion, caller: Caller) -> None:
    """Raises Forbidden for a version whose findings are masked, unless the caller may see what the tokens
    stand for: its content, its pictures and what is made of it as it is would show that."""
    if version.is_masked and not caller.may_reveal_findings:
        raise Forbidden(
            "findings in this version are masked, and this would show them",
            remedy="Read its pages, text or passages, or ask for the scope findings:reveal.",
        )


async def require_judged(session: AsyncSession, version: FileVersion, caller: Caller) -> None:
    """Raises Conflict for a version that is not published, where a policy would mask something in it:
    before it is read nobody knows what. Whoever may see what is masked need not wait."""
    if not caller.may_reveal_findings and await awaits_masking(session, version):
        raise Conflict(
            "what is to be masked in this version is not known before it is published",
            remedy="Follow its job; what failed can be retried. Or ask for the scope findings:reveal.",
        )


async def require_served(
    session: AsyncSession,
    detail: FileDetail,
    version: FileVersion,
    caller: Caller,
    policy: ScanPolicy,
    *,
    is_masked: bool = False,
) -> None:
    """Raises unless this content may be handed out: what `require_content` raises, ScanPending before
    its scan has ended, and Conflict for a version that waits for a decision, or was refused, while its
    file shows another. Whoever uploaded it is no exception: by now somebody else may have the account.
    Forbidden for a masked version, unless what is shown of it `is_masked` itself."""
    require_content(detail, caller)
    if not is_masked:
        require_unmasked(version, caller)
        await require_judged(session, version, caller)
    if caller.may_decide_quarantine:
        return
    if policy.is_pending(version):
        job = detail.job
        if job is not None and job.version_id == version.id and job.finished_at is not None:
            raise Conflict(
                "the job of this content ended before its virus scan had", remedy="Retry the job."
            )
        raise ScanPending(
            "the virus scan of this content has not ended",
            remedy="Ask again when Retry-After says; where its job has ended, retry that.",
        )
    # What was released is served whether or not it could be read afterwards.
    if policy.is_suspect(version) and not await is_released(session, version):
        raise Conflict(f"this version is {version.scan_state}", remedy=_DECISION_OR_RETRY)
    if version.published_at is None and await is_held_for_findings(session, version.id):
        raise Conflict("what was found in this version keeps it back", remedy=_DECISION_OR_RETRY)
