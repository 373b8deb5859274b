"""`/v1/findings`: where personal data and secrets stand; `/v1/finding-policies`: what becomes of them."""

from datetime import datetime
from uuid import UUID

from muniment.client.building import Id, create, get, given, id_text, segment
from muniment.client.models import Listing, Record
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_nothing
from muniment.client.protocol import Call

_FINDINGS = "/v1/findings"
_POLICIES = "/v1/finding-policies"


class Finding(Record):
    """A place, never the value: `start` and `end` are code points of the page's text. `token` stands for
    it in what is shown; None: nothing does."""

    id: UUID
    file_id: UUID
    version: int
    kind: str
    entity: str
    page: int
    start: int
    end: int
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    confidence: float = 0.0
    recogniser: str = ""
    recogniser_version: str = ""
    act: str = "record"
    token: str | None = None


class FindingValue(Record):
    """What stands at a finding's place."""

    value: str


class FindingPolicy(Record):
    """`act` is record, mask, review or refuse. Without a collection of the whole tenant; without `kind`
    and `entity` of any finding."""

    id: UUID
    act: str
    collection_id: UUID | None = None
    kind: str | None = None
    entity: str | None = None
    minimum_confidence: float = 0.0
    created_by: UUID | None = None
    created_at: datetime | None = None


def list_findings(
    *,
    file_id: Id | None = None,
    version: int | None = None,
    kind: str | None = None,
    entity: str | None = None,
    act: str | None = None,
    token: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Call[Listing[Finding]]:
    """Newest first. `token`: every place that it stands for."""
    parameters = {
        "file": id_text(file_id),
        "version": version,
        "kind": kind,
        "entity": entity,
        "act": act,
        "token": token,
        "limit": limit,
        "cursor": cursor,
    }
    return get(_FINDINGS, Listing[Finding], parameters)


def get_finding(finding_id: Id) -> Call[Finding]:
    return get(f"{_FINDINGS}/{segment(finding_id)}", Finding)


def value_of(finding_id: Id) -> Call[FindingValue]:
    """For who has the scope findings:reveal; it is audited."""
    return get(f"{_FINDINGS}/{segment(finding_id)}/value", FindingValue)


def create_policy(
    act: str,
    *,
    collection_id: Id | None = None,
    kind: str | None = None,
    entity: str | None = None,
    minimum_confidence: float | None = None,
) -> Call[FindingPolicy]:
    """It holds for what is read from now on."""
    body = given(
        act=act,
        collection_id=id_text(collection_id),
        kind=kind,
        entity=entity,
        minimum_confidence=minimum_confidence,
    )
    return create(_POLICIES, FindingPolicy, body)


def list_policies(
    *, collection_id: Id | None = None, limit: int = 50, cursor: str | None = None
) -> Call[Listing[FindingPolicy]]:
    """Newest first."""
    parameters = {"collection": id_text(collection_id), "limit": limit, "cursor": cursor}
    return get(_POLICIES, Listing[FindingPolicy], parameters)


def get_policy(policy_id: Id) -> Call[FindingPolicy]:
    return get(f"{_POLICIES}/{segment(policy_id)}", FindingPolicy)


def delete_policy(policy_id: Id) -> Call[None]:
    """What was judged by it stays as it was judged until it is reprocessed."""
    return Call("DELETE", f"{_POLICIES}/{segment(policy_id)}", read_nothing)


class FindingOperations:
    """`/v1/findings`."""

    list = Operation(list_findings)
    get = Operation(get_finding)
    value = Operation(value_of)


class Findings(FindingOperations, Resource):
    """`/v1/findings`."""


class AsyncFindings(FindingOperations, AsyncResource):
    """`/v1/findings`."""


class FindingPolicyOperations:
    """`/v1/finding-policies`."""

    create = Operation(create_policy)
    list = Operation(list_policies)
    get = Operation(get_policy)
    delete = Operation(delete_policy)


class FindingPolicies(FindingPolicyOperations, Resource):
    """`/v1/finding-policies`."""


class AsyncFindingPolicies(FindingPolicyOperations, AsyncResource):
    """`/v1/finding-policies`."""
