"""Which acts stand in the activity feed, and as what.

The feed is a projection of the audit trail, written with it: rows of its own, since it is listed by file
and by time, shows what its reader may see now, and is erased with the file, while the trail stays.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

from pydantic import JsonValue

from db.models import Activity


class ActivityKind(StrEnum):
    """What happened to a file."""

    UPLOADED = "file.uploaded"
    VERSION_ADDED = "file.version_added"
    READY = "file.ready"
    FAILED = "file.failed"
    RENAMED = "file.renamed"
    MOVED = "file.moved"
    CHANGED = "file.changed"
    TRASHED = "file.trashed"
    RESTORED = "file.restored"
    REPROCESSED = "file.reprocessed"
    SHARED = "share.created"
    SHARE_REVOKED = "share.revoked"
    GRANTED = "grant.created"
    GRANT_CHANGED = "grant.changed"
    GRANT_DELETED = "grant.deleted"
    ANNOTATED = "annotation.created"
    ANNOTATION_RESOLVED = "annotation.resolved"
    ANNOTATION_REOPENED = "annotation.reopened"
    ANNOTATION_DELETED = "annotation.deleted"
    COMMENTED = "comment.created"


OF_SHARES = (ActivityKind.SHARED, ActivityKind.SHARE_REVOKED)
"""For whoever did it and for administrators, as share links themselves are."""
OF_GRANTS = (ActivityKind.GRANTED, ActivityKind.GRANT_CHANGED, ActivityKind.GRANT_DELETED)
"""For whoever manages the file, as grants themselves are."""

_KINDS: Mapping[str, ActivityKind] = MappingProxyType(
    {
        "file.created": ActivityKind.UPLOADED,
        "file.imported": ActivityKind.UPLOADED,
        "file.unpacked": ActivityKind.UPLOADED,
        "file.version_created": ActivityKind.VERSION_ADDED,
        **{
            kind.value: kind
            for kind in (
                ActivityKind.TRASHED,
                ActivityKind.RESTORED,
                ActivityKind.REPROCESSED,
                *OF_SHARES,
                *OF_GRANTS,
                ActivityKind.ANNOTATED,
                ActivityKind.ANNOTATION_RESOLVED,
                ActivityKind.ANNOTATION_REOPENED,
                ActivityKind.ANNOTATION_DELETED,
                ActivityKind.COMMENTED,
            )
        },
    }
)
_OF_FIELDS: Mapping[str, ActivityKind] = MappingProxyType(
    {"name": ActivityKind.RENAMED, "collection": ActivityKind.MOVED}
)


class ActOnFile(Protocol):
    """Of an act of the audit trail what the feed looks at."""

    @property
    def action(self) -> str: ...
    @property
    def object_type(self) -> str: ...
    @property
    def object_id(self) -> UUID | None: ...
    @property
    def tenant_id(self) -> UUID: ...
    @property
    def actor_id(self) -> UUID | None: ...
    @property
    def payload(self) -> dict[str, JsonValue]: ...


def entries(act: ActOnFile, moment: datetime) -> list[Activity]:
    """What the feed says of the act: mostly nothing; of a change of several fields more than one."""
    is_on_file = act.object_type == "file"
    named = act.object_id if is_on_file else act.payload.get("file_id")
    if named is None:
        return []
    version = act.payload.get("version")
    return [
        Activity(
            tenant_id=act.tenant_id,
            at=moment,
            kind=kind,
            file_id=UUID(str(named)),
            actor_id=act.actor_id,
            subject_id=None if is_on_file else act.object_id,
            version_number=version if isinstance(version, int) and is_on_file else None,
        )
        for kind in _kinds(act)
    ]


def _kinds(act: ActOnFile) -> Sequence[ActivityKind]:
    if act.action == ActivityKind.CHANGED:
        fields = act.payload.get("fields")
        given = fields if isinstance(fields, list) else []
        return sorted({_OF_FIELDS.get(str(each), ActivityKind.CHANGED) for each in given})
    kind = _KINDS.get(act.action)
    return [] if kind is None else [kind]
