"""Where annotations stand in a reading that they were not made on: a newer version, or the same one read
anew."""

from abc import ABC, abstractmethod
from enum import StrEnum

from temporalio import activity

from muniment.contracts.base import Contract, VersionReference


class AnchorState(StrEnum):
    """`exact`: the same words on the same page. `moved`: on another page, or some of the words changed.
    `lost`: found nowhere, or in more than one place. `pending`: not looked for yet."""

    EXACT = "exact"
    MOVED = "moved"
    LOST = "lost"
    PENDING = "pending"


class AnchorResult(Contract):
    """How many annotations were looked for, and what became of them."""

    exact: int = 0
    moved: int = 0
    lost: int = 0


class AnchorActivities(ABC):
    @activity.defn(name="anchor_annotations")
    @abstractmethod
    async def anchor_annotations(self, version: VersionReference) -> AnchorResult:
        """Looks for the file's annotations in what was published of the version. Those that were looked
        for in this reading already are left alone, so that doing it again changes nothing."""
