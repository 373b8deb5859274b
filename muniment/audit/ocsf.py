"""Events of the trail as the Open Cybersecurity Schema Framework has them (OCSF 1.3.0, https://schema.ocsf.io),
for systems that gather such. They prove nothing: that is done by the export as it was sealed.

What an event is told as is in two tables: its noun says the class, its verb the activity. Names that stand in
neither, such as of a later release, are API Activity, Other. Ids stand where OCSF asks for a file's name: the
trail has no names.
"""

import ipaddress
from dataclasses import dataclass
from enum import IntEnum

from pydantic import JsonValue

from muniment.audit.exported import ExportedEvent
from muniment.audit.leaves import written_time

VERSION = "1.3.0"
OTHER = 99
_INFORMATIONAL, _MEDIUM = 1, 3
_SUCCESS, _FAILURE = 1, 2
_PRODUCT = "Muniment"


class EventClass(IntEnum):
    """`class_uid`; its thousands are `category_uid`: 3 identity and access, 6 application activity."""

    ACCOUNT_CHANGE = 3001
    AUTHENTICATION = 3002
    ENTITY_MANAGEMENT = 3004
    GROUP_MANAGEMENT = 3006
    API_ACTIVITY = 6003
    FILE_HOSTING = 6006


CLASSES = {
    EventClass.ACCOUNT_CHANGE: ("principal", "password"),
    EventClass.AUTHENTICATION: ("sign_in",),
    EventClass.GROUP_MANAGEMENT: ("group",),
    EventClass.FILE_HOSTING: ("file", "share", "upload"),
    EventClass.ENTITY_MANAGEMENT: (
        *("annotation", "api_key", "batch", "collection", "comment", "conversation", "evaluation"),
        *("disposition", "retention_sweep", "subject_request", "task"),
        *("erasure", "feedback", "finding_policy", "grant", "index", "invitation", "legal_hold"),
        *("question_list", "retention_policy", "synonyms", "tenant", "tier_policy", "webhook"),
    ),
    EventClass.API_ACTIVITY: (
        *("alike_questions", "analytics", "audit", "blob", "finding", "findings", "integrity"),
        *("job", "keys", "model", "payloads", "query", "quota", "retention", "search"),
        *("stream_ticket", "version"),
    ),
}
CLASS_OF = {noun: event_class for event_class, nouns in CLASSES.items() for noun in nouns}

_CREATE, _READ, _UPDATE, _DELETE = 1, 2, 3, 4
_MANAGED = {
    _CREATE: ("accepted", "created", "given", "issued", "placed", "requested"),
    _READ: ("answered", "downloaded", "exported", "opened", "performed", "read", "revealed", "searched"),
    _UPDATE: (
        *("activated", "changed", "event_dated", "file_detached", "files_attached", "item_added"),
        *("moved", "move_undone", "paused", "policy_set", "resumed", "rolled_back", "set"),
        *("acknowledged", "cancelled", "completed", "ended", "ready", "released", "retired"),
        *("begun_again", "confirmed", "decided", "found", "judged", "overdue", "withdrawn"),
        *("reopened", "resolved", "reviewed", "retried", "secret_rotated", "recounted"),
    ),
    _DELETE: ("copy_discarded", "deleted", "details_erased", "forgotten", "revoked"),
}  # fmt: skip
_BY_VERB = {verb: activity for activity, verbs in _MANAGED.items() for verb in verbs}
ACTIVITIES: dict[EventClass, dict[str, int]] = {
    EventClass.ACCOUNT_CHANGE: {
        "created": 1,
        "deleted": 6,
        "identity_bound": OTHER,
        "identity_unbound": OTHER,
        "changed": OTHER,
        "set": 4,
    },
    EventClass.AUTHENTICATION: {"began": 1, "ended": 2, "continued": 5, "token_reused": OTHER},
    EventClass.GROUP_MANAGEMENT: {
        "member_added": 3,
        "member_removed": 4,
        "deleted": 5,
        "created": 6,
    },
    EventClass.FILE_HOSTING: {
        "created": 1,
        "version_created": 1,
        "imported": 1,
        "uploaded_again": 1,
        "unpacked": 1,
        "downloaded": 2,
        "changed": 3,
        "trashed": 4,
        "restored": 8,
        "read": 14,
        "opened": 14,
        "retention_locked": 10,
        "revoked": 13,
    },
    EventClass.ENTITY_MANAGEMENT: {**_BY_VERB, "enabled": 8, "disabled": 9},
    EventClass.API_ACTIVITY: _BY_VERB,
}
"""`activity_id` by the verb; what is not named is Other, with the event's name beside it."""
_BY_NAME = {
    "disposition.opened": 1,
    "subject_request.opened": 1,
    "password.changed": 3,
    "share.created": 12,
    "share.changed": 3,
    "upload.created": OTHER,
}
FAILURES = frozenset(
    {
        *("file.failed", "integrity.fault_found", "job.failed", "share.password_refused"),
        *("sign_in.token_reused", "webhook.delivery_failed"),
    }
)
"""Events that tell that something did not succeed, or should not be."""


@dataclass(frozen=True)
class Mapping:
    """What an event of a name is told as."""

    event_class: EventClass
    activity_id: int


def mapping_of(action: str) -> Mapping:
    """Of every name: Other of API Activity where nothing is known of it."""
    noun, _, verb = action.partition(".")
    event_class = CLASS_OF.get(noun, EventClass.API_ACTIVITY)
    if noun not in CLASS_OF:
        return Mapping(event_class, OTHER)
    activity = _BY_NAME.get(action, ACTIVITIES[event_class].get(verb, OTHER))
    return Mapping(event_class, activity)


def ocsf_event(event: ExportedEvent) -> dict[str, JsonValue] | None:
    """The event in OCSF; None for one that was removed: nothing is known of it but its place."""
    if event.is_removed or event.at is None:
        return None
    mapping = mapping_of(event.action)
    is_failure = event.action in FAILURES
    return {
        "activity_id": mapping.activity_id,
        "activity_name": event.action,
        "category_uid": mapping.event_class // 1000,
        "class_uid": int(mapping.event_class),
        "type_uid": mapping.event_class * 100 + mapping.activity_id,
        "time": int(event.at.timestamp() * 1000),
        "severity_id": _MEDIUM if is_failure else _INFORMATIONAL,
        "status_id": _FAILURE if is_failure else _SUCCESS,
        "metadata": _metadata(event),
        "actor": _actor(event),
        "src_endpoint": _source(event),
        **_about(event, mapping.event_class),
        "unmapped": {
            "object_type": event.object_type,
            "object_id": _text(event.object_id),
            "workflow_id": event.workflow_id,
            "details_erased": event.salt is None,
            "payload": event.payload,
        },
    }


def _metadata(event: ExportedEvent) -> dict[str, JsonValue]:
    told: dict[str, JsonValue] = {
        "version": VERSION,
        "product": {"name": _PRODUCT, "vendor_name": _PRODUCT},
        "uid": str(event.id),
        "event_code": event.action,
        "sequence": event.seq,
        "tenant_uid": str(event.tenant_id),
        "original_time": None if event.at is None else written_time(event.at),
    }
    if event.request_id is not None:
        told["correlation_uid"] = event.request_id
    return told


def _actor(event: ExportedEvent) -> dict[str, JsonValue]:
    if event.actor_kind == "system":
        return {"app_name": _PRODUCT}
    return {"user": _user(event.actor_id, event.actor_kind)}


def _user(user_id: object | None, kind: str) -> dict[str, JsonValue]:
    if user_id is None:
        return {"name": kind or "unknown", "type_id": OTHER, "type": kind or "unknown"}
    return {"uid": str(user_id), "type_id": 1}


def _source(event: ExportedEvent) -> dict[str, JsonValue]:
    """Where the caller was; the address is gone with erased details, and the system's acts have none."""
    try:
        return {"ip": str(ipaddress.ip_address(event.origin or ""))}
    except ValueError:
        return {"name": event.origin or ("system" if event.actor_kind == "system" else "unknown")}


def _about(event: ExportedEvent, event_class: EventClass) -> dict[str, JsonValue]:
    """What the class asks for beside the rest."""
    uid = _text(event.object_id) or event.object_type or "unknown"
    match event_class:
        case EventClass.FILE_HOSTING:
            return {"file": {"name": uid, "uid": uid, "type_id": 1}}
        case EventClass.ACCOUNT_CHANGE:
            return {"user": {"uid": uid, "type_id": 1}}
        case EventClass.AUTHENTICATION:
            user = _user(event.actor_id, event.actor_kind)
            return {"user": user, "service": {"name": _PRODUCT}}
        case EventClass.GROUP_MANAGEMENT:
            return {"group": {"uid": uid}}
        case EventClass.ENTITY_MANAGEMENT:
            return {"entity": {"uid": uid, "type": event.object_type}}
        case EventClass.API_ACTIVITY:
            return {"api": {"operation": event.action}}


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)
