"""The `SubjectRequest` workflow: what there is of a person is found, confirmed by people, and then handed
out or erased.

Histories carry ids, counts and states: who the person is lies sealed in the request's row.
"""

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field
from temporalio import activity

from muniment.contracts.base import Contract

WORKFLOW = "SubjectRequest"
LOOK = "look"
"""Sent when somebody has decided."""
MAX_IDENTIFIERS = 20
MIN_IDENTIFIER, MAX_IDENTIFIER = 3, 200
"""Characters. What is shorter stands in everything."""
MAX_REASON = 2_000


class SubjectKind(StrEnum):
    """`access` hands out a copy of what there is; `erasure` has it erased."""

    ACCESS = "access"
    ERASURE = "erasure"


class SubjectState(StrEnum):
    """`waiting` is for a person, who confirms what was found. `expired`: nobody did in time."""

    FINDING = "finding"
    WAITING = "waiting"
    EXPORTING = "exporting"
    ERASING = "erasing"
    COMPLETED = "completed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        return self in (
            SubjectState.COMPLETED,
            SubjectState.REJECTED,
            SubjectState.EXPIRED,
            SubjectState.FAILED,
        )


class MatchSource(StrEnum):
    """Where a file was found to name the person. `finding`: a value that is masked in what readers see.
    `member`: it came out of a file that is to be erased, and goes with it."""

    METADATA = "metadata"
    FINDING = "finding"
    TEXT = "text"
    MEMBER = "member"


class ItemState(StrEnum):
    """`ordered`: to be erased, or held back from it while something keeps it (the erasure says which).
    `refused`: a compliance lock forbids the erasure. `gone`: it was erased before its turn came."""

    FOUND = "found"
    EXCLUDED = "excluded"
    EXPORTED = "exported"
    ORDERED = "ordered"
    ERASED = "erased"
    REFUSED = "refused"
    GONE = "gone"


class SubjectIdentity(Contract):
    """Who the person is, and why it is asked for, as it lies sealed."""

    identifiers: tuple[
        Annotated[str, Field(min_length=MIN_IDENTIFIER, max_length=MAX_IDENTIFIER)], ...
    ] = Field(min_length=1, max_length=MAX_IDENTIFIERS)
    reason: str = ""


class SubjectRequestInput(Contract):
    tenant_id: UUID
    request_id: UUID


class SubjectStanding(Contract):
    """Where a request stands. `wait_seconds`: until something may be due again."""

    state: SubjectState
    looked_at: int = 0
    found: int = 0
    wait_seconds: float = 0.0


class EndSubjectInput(Contract):
    """It failed; `reason` are words of ours, never of a document or a person."""

    request: SubjectRequestInput
    reason: str


def workflow_id(request_id: UUID) -> str:
    return f"subject-request-{request_id}"


class SubjectRequestActivities(ABC):
    @activity.defn(name="find_subject")
    @abstractmethod
    async def find_subject(self, request: SubjectRequestInput) -> SubjectStanding:
        """Looks through the tenant's next files. What was found is committed with the place that was come
        to, so that a repetition goes on there and counts nothing twice."""

    @activity.defn(name="attend_subject_request")
    @abstractmethod
    async def attend_subject_request(self, request: SubjectRequestInput) -> SubjectStanding:
        """Where it stands; one that nobody decided in time is over."""

    @activity.defn(name="export_subject")
    @abstractmethod
    async def export_subject(self, request: SubjectRequestInput) -> SubjectStanding:
        """Makes the archive of what was confirmed. Idempotent: one that was made stays."""

    @activity.defn(name="erase_subject")
    @abstractmethod
    async def erase_subject(self, request: SubjectRequestInput) -> SubjectStanding:
        """Orders the erasures that were not ordered yet, and looks how the others have ended. Idempotent."""

    @activity.defn(name="end_subject_request")
    @abstractmethod
    async def end_subject_request(self, end: EndSubjectInput) -> None:
        """It failed. One that is over stays as it is."""
