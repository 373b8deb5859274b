"""Words of retention policies and locks."""

from enum import StrEnum


class Trigger(StrEnum):
    """What a policy's days are counted from; `event`: a date in the file's metadata, and where there is none
    the file is kept."""

    CREATION = "creation"
    LAST_ACCESS = "last_access"
    VERSION = "version"
    EVENT = "event"


class LockMode(StrEnum):
    """Governance may be shortened by whoever has the right to, compliance by nobody."""

    GOVERNANCE = "governance"
    COMPLIANCE = "compliance"


class Disposition(StrEnum):
    """What is due when nothing keeps a file any more; the most cautious first, which goes before the others
    of a file."""

    NONE = "none"
    RELABEL = "relabel"
    REVIEW = "review"
    DELETE = "delete"
