"""What waits for people: the kinds of it, and how each task is named."""

from enum import StrEnum
from uuid import UUID


class TaskKind(StrEnum):
    """`quarantine`: a file that the scan holds back; `finding_review`: one that a policy for findings does;
    `held_erasure`: an erasure that something keeps from being carried out; `hold_review`: a matter of which
    somebody is to say that it is still needed; `hold_acknowledgement`: a custodian who has not said that it
    knows; `disposition`: a file that two people are to say is deleted; `retention_sweep`: one that found
    more than it disposes of by itself; `subject_request`: what was found of a person, to be confirmed."""

    QUARANTINE = "quarantine"
    FINDING_REVIEW = "finding_review"
    HELD_ERASURE = "held_erasure"
    HOLD_REVIEW = "hold_review"
    HOLD_ACKNOWLEDGEMENT = "hold_acknowledgement"
    DISPOSITION = "disposition"
    RETENTION_SWEEP = "retention_sweep"
    SUBJECT_REQUEST = "subject_request"


def task_id(kind: TaskKind, subject_id: UUID, assignee: UUID | None = None) -> str:
    """Made of what the task is about: it is the same for as long as that waits."""
    return ".".join(str(part) for part in (kind, subject_id, assignee) if part is not None)
