"""`/v1/tier-policy`, and that of a collection: when content goes to the cold tier by itself."""

from muniment.client.building import Id, matching, segment
from muniment.client.models import Tagged
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model, read_nothing
from muniment.client.protocol import Call


class TierPolicy(Tagged):
    """What holds, and whose rule that is (`source`); `after_days` None: content stays."""

    source: str
    after_days: float | None = None
    min_bytes: int = 0


def get_policy(collection_id: Id | None = None) -> Call[TierPolicy]:
    """Of a collection; of the tenant where none is named."""
    return Call("GET", _path(collection_id), read_model(TierPolicy))


def set_policy(
    collection_id: Id | None = None,
    *,
    after_days: float | None,
    min_bytes: int | None = None,
    etag: str | None = None,
) -> Call[TierPolicy]:
    """Content that nobody asked for in so many days goes there, unless it is smaller. With the `etag` of
    a TierPolicy that was read: PreconditionFailed if it has been changed since."""
    size = {} if min_bytes is None else {"min_bytes": min_bytes}
    return Call(
        "PUT",
        _path(collection_id),
        read_model(TierPolicy),
        json={"after_days": after_days, **size},
        headers=matching(etag),
        repeatable=etag is None,
    )


def delete_policy(collection_id: Id | None = None) -> Call[None]:
    """What holds for the tenant, or for every tenant, holds again."""
    return Call("DELETE", _path(collection_id), read_nothing)


def _path(collection_id: Id | None) -> str:
    if collection_id is None:
        return "/v1/tier-policy"
    return f"/v1/collections/{segment(collection_id)}/tier-policy"


class TierPolicyOperations:
    """`/v1/tier-policy`, and that of a collection."""

    get = Operation(get_policy)
    set = Operation(set_policy)
    delete = Operation(delete_policy)


class TierPolicies(TierPolicyOperations, Resource):
    """`/v1/tier-policy`, and that of a collection."""


class AsyncTierPolicies(TierPolicyOperations, AsyncResource):
    """`/v1/tier-policy`, and that of a collection."""
