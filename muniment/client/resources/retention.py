"""`/v1/retention-policies` and `/v1/files/{id}/retention`: how long files are kept."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from muniment.client.building import Id, create, get, given, matching, segment, time_text
from muniment.client.models import Listing, Record, Tagged
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model
from muniment.client.protocol import Call

_PATH = "/v1/retention-policies"
_BYPASS = {"Muniment-Bypass-Governance": "true"}


class RetentionPolicy(Tagged):
    """Files that fit all that is not None of collection, media type, label and metadata are kept for `days`
    from what `trigger` says: creation, last_access, version or event (the date in `event_field`). Then
    `disposition` is due: none, relabel, review or delete."""

    id: UUID
    name: str
    collection_id: UUID | None = None
    media_type: str | None = None
    label: str | None = None
    metadata: dict[str, JsonValue] | None = None
    trigger: str = "creation"
    event_field: str | None = None
    days: int = 0
    lock_mode: str | None = None
    disposition: str = "none"
    relabel_to: str | None = None
    created_by: UUID | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: UUID | None = None


class RetentionLock(Record):
    """That was placed on the file itself: governance or compliance."""

    mode: str
    retain_until: datetime
    placed_by: UUID | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class RetentionClaim(Record):
    """What keeps a file: hold, compliance_lock, retention or governance_lock. `until` None: nobody knows."""

    kind: str
    reference: UUID
    until: datetime | None = None


class FileRetention(Record):
    """What keeps a file at `as_of`, in the order of precedence, and what becomes of it then."""

    as_of: datetime
    kept: bool
    retain_until: datetime | None = None
    indefinite: bool = False
    disposition: str = "none"
    disposition_at: datetime | None = None
    delete_at: datetime | None = None
    relabel_to: str | None = None
    deciding: tuple[UUID, ...] = ()
    is_due: bool = False
    lock: RetentionLock | None = None
    claims: tuple[RetentionClaim, ...] = ()


def make_policy(name: str, days: int, **terms: JsonValue) -> Call[RetentionPolicy]:
    """`terms`: the other fields of a RetentionPolicy that a person gives."""
    return create(_PATH, RetentionPolicy, {"name": name, "days": days, **terms})


def list_policies(*, limit: int = 50, cursor: str | None = None) -> Call[Listing[RetentionPolicy]]:
    """Newest first, those that have ended among them."""
    return get(_PATH, Listing[RetentionPolicy], {"limit": limit, "cursor": cursor})


def get_policy(policy_id: Id) -> Call[RetentionPolicy]:
    return get(f"{_PATH}/{segment(policy_id)}", RetentionPolicy)


def change_policy(
    policy_id: Id,
    whole: Mapping[str, JsonValue],
    *,
    etag: str | None = None,
    bypass_reason: str | None = None,
) -> Call[RetentionPolicy]:
    """The `whole` policy as it is to be. What shortens governance locks needs a reason, and the scope
    `retention:bypass`. With the `etag` of what was read: PreconditionFailed if it was changed since."""
    return Call(
        "PUT",
        f"{_PATH}/{segment(policy_id)}",
        read_model(RetentionPolicy),
        json={**whole, **given(reason=bypass_reason)},
        headers={**matching(etag), **_bypassing(bypass_reason)},
        repeatable=etag is None,
    )


def end_policy(policy_id: Id, *, bypass_reason: str | None = None) -> Call[RetentionPolicy]:
    """From now on it keeps nothing."""
    return Call(
        "POST",
        f"{_PATH}/{segment(policy_id)}/end",
        read_model(RetentionPolicy),
        json=given(reason=bypass_reason),
        headers=_bypassing(bypass_reason),
    )


def get_retention(file_id: Id, *, as_of: datetime | None = None) -> Call[FileRetention]:
    """Of a file, now or at that time."""
    path = f"/v1/files/{segment(file_id)}/retention"
    return get(path, FileRetention, {"as_of": time_text(as_of)})


def lock_file(
    file_id: Id, mode: str, retain_until: datetime, *, bypass_reason: str | None = None
) -> Call[FileRetention]:
    """Until then nobody deletes it. A compliance lock is only ever made longer; a governance lock is
    shortened with a reason, and the scope `retention:bypass`."""
    wanted = given(mode=mode, retain_until=time_text(retain_until), reason=bypass_reason)
    return Call(
        "PUT",
        f"/v1/files/{segment(file_id)}/retention",
        read_model(FileRetention),
        json=wanted,
        headers=_bypassing(bypass_reason),
    )


def _bypassing(reason: str | None) -> dict[str, str]:
    return {} if reason is None else _BYPASS


class RetentionOperations:
    """`/v1/retention-policies` and `/v1/files/{id}/retention`."""

    make_policy = Operation(make_policy)
    list_policies = Operation(list_policies)
    get_policy = Operation(get_policy)
    change_policy = Operation(change_policy)
    end_policy = Operation(end_policy)
    of_file = Operation(get_retention)
    lock_file = Operation(lock_file)


class Retention(RetentionOperations, Resource):
    """`/v1/retention-policies` and `/v1/files/{id}/retention`."""


class AsyncRetention(RetentionOperations, AsyncResource):
    """`/v1/retention-policies` and `/v1/files/{id}/retention`."""
