"""Members of archives and attachments of messages: files that an ingestion makes of a file."""

from abc import ABC, abstractmethod
from uuid import UUID

from temporalio import activity

from muniment.contracts.base import Contract, VersionReference

WORKFLOW = "IngestMembers"
MEMBER_WAITS_SIGNAL = "member_waits"
"""A member says that it waits for a person: nobody else needs to wait for it."""


class UnpackResult(Contract):
    """The members that could be read are files now, with ordinals below `taken`; `refused` counts
    those that are not, whether they have an ordinal or none."""

    taken: int
    refused: int


class AdmitMemberInput(Contract):
    """The member of that ordinal of the version; `priority` is what its ingestion gets."""

    version: VersionReference
    ordinal: int
    priority: int


class AdmittedMember(Contract):
    """How to ingest a member; without `version` nothing is left to do, and `degraded` says whether
    something of it is missing."""

    version: VersionReference | None = None
    workflow_id: str = ""
    degraded: bool = False


class IngestMembersInput(Contract):
    """`taken` is absent until the container was unpacked; members below `next_ordinal` are over."""

    version: VersionReference
    priority: int = 3
    taken: int | None = None
    next_ordinal: int = 0
    degraded: bool = False


class IngestMembersResult(Contract):
    """`degraded` when a member was refused, failed, or waits for a person."""

    degraded: bool


class MembersActivities(ABC):
    @activity.defn(name="unpack_members")
    @abstractmethod
    async def unpack_members(self, version: VersionReference) -> UnpackResult:
        """Makes a file of every member that can be read and is not one yet. Where the container
        gives no more after some of them, the rest counts as refused; raises the reason where it
        gave none, LimitExceeded where archives are nested too deeply."""

    @activity.defn(name="admit_member")
    @abstractmethod
    async def admit_member(self, request: AdmitMemberInput) -> AdmittedMember:
        """Commits the job that ingests the member, unless an earlier one did it; the caller starts
        it. Asked twice, it answers with the same job."""


WORKFLOW_ID_PREFIX = "members-"


def workflow_id(version_id: UUID, job_id: UUID) -> str:
    """The id of the workflow that ingests the members for that job."""
    return f"{WORKFLOW_ID_PREFIX}{version_id}-{job_id}"
