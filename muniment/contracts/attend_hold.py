"""The `LegalHold` workflow: a matter from its placing to the end of its cooling-off.

Histories carry ids and counts: the matter, its custodians and its items are read from rows.
"""

from abc import ABC, abstractmethod
from uuid import UUID

from temporalio import activity

from muniment.contracts.base import Contract

WORKFLOW = "LegalHold"
LOOK = "look"
"""Sent when the matter was changed."""


class LegalHoldInput(Contract):
    tenant_id: UUID
    hold_id: UUID


class HoldAttended(Contract):
    """`wait_seconds`: until something is due again. `erasures`: workflows that are to look whether a hold
    stops them, or no longer does. `is_over`: the cooling-off has ended."""

    is_over: bool
    wait_seconds: float = 0.0
    erasures: tuple[str, ...] = ()


def workflow_id(hold_id: UUID) -> str:
    return f"legal-hold-{hold_id}"


class LegalHoldActivities(ABC):
    @activity.defn(name="attend_hold")
    @abstractmethod
    async def attend_hold(self, request: LegalHoldInput) -> HoldAttended:
        """Sends notices and reminders that are due, and reviews what the matter's queries and subjects fit.
        Idempotent: what was done is not due again."""
