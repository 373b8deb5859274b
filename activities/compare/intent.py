"""Which versions are read in shadow: chosen where an ingestion announces its end.

What is committed there is a job as any other, which the reconciler starts within seconds.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.comparisons import ShadowRoom, add_comparison, has_room
from muniment.contracts.base import VersionReference
from muniment.contracts.compare_reading import ReadingCandidate
from muniment.contracts.documents import READ_BY_PAGE, DocumentFamily

_WHOLE = 2**64
EVERY_TENANT = "*"


@dataclass(frozen=True)
class ShadowPolicy:
    """`share` (0–1) of the versions of these tenants are read by the candidate too, unless one has
    more than `max_pages`, or `max_open` comparisons of its tenant have not ended yet."""

    candidate: ReadingCandidate
    share: float
    tenants: Sequence[str] = (EVERY_TENANT,)
    max_open: int = 4
    max_pages: int = 100


def is_in_share(version_id: UUID, share: float) -> bool:
    """By a hash of the id alone: the same versions whenever it is asked and whoever the candidate
    is, and those of a smaller share among those of a larger one."""
    digest = hashlib.sha256(version_id.bytes).digest()
    return int.from_bytes(digest[:8], "big") < share * _WHOLE


class Shadow:
    """Commits comparisons of what was just published."""

    def __init__(self, policy: ShadowPolicy) -> None:
        self._policy = policy

    async def consider(self, session: AsyncSession, version: VersionReference) -> None:
        """Adds a comparison within the transaction, where the version is one to compare."""
        policy, candidate = self._policy, self._policy.candidate
        if not is_in_share(version.version_id, policy.share):
            return
        room = ShadowRoom(
            tuple(policy.tenants),
            policy.max_open,
            policy.max_pages,
            candidate.sources,
            # A pipeline passes all others by.
            families=READ_BY_PAGE if candidate.pdf_pipeline else frozenset(DocumentFamily),
        )
        if await has_room(session, version, room):
            await add_comparison(session, version, candidate)
