"""What may keep a file, and which acts each of it stops."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID


class PreservationKind(StrEnum):
    """In their order: a hold beats whatever else there is."""

    HOLD = "hold"
    COMPLIANCE_LOCK = "compliance_lock"
    RETENTION = "retention"
    GOVERNANCE_LOCK = "governance_lock"


class GuardedAct(StrEnum):
    """What somebody wants to do to a file. `change`: its name, place, labels and metadata, or to have it
    read anew."""

    CHANGE = "change"
    NEW_VERSION = "new_version"
    DELETION = "deletion"


STOPPED_BY: Mapping[GuardedAct, frozenset[PreservationKind]] = MappingProxyType(
    {
        GuardedAct.CHANGE: frozenset({PreservationKind.HOLD}),
        GuardedAct.NEW_VERSION: frozenset(PreservationKind) - {PreservationKind.RETENTION},
        GuardedAct.DELETION: frozenset(PreservationKind),
    }
)


@dataclass(frozen=True)
class Preservation:
    """Why a file is kept as it is, and `until` when (None: nobody can say). `reference` is the hold, the
    policy, or the file that has the lock."""

    kind: PreservationKind
    until: datetime | None
    reference: UUID
