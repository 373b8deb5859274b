"""`/v1/shares`: links by which whoever has one downloads a file without a key."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from muniment.client.building import (
    UNCHANGED,
    Id,
    Unchanged,
    changed,
    create,
    get,
    given,
    id_text,
    matching,
    segment,
    time_text,
)
from muniment.client.models import Listing, Tagged
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model
from muniment.client.protocol import Call

_PATH = "/v1/shares"


class Share(Tagged):
    """A link by which a file is downloaded without a key. `version` None: the one in use. `downloads`
    counts visitors' sessions. `url` stands in the answer that made the link, and nowhere else."""

    id: UUID
    file_id: UUID
    version: int | None = None
    created_by: UUID | None = None
    has_password: bool = False
    networks: Sequence[str] = ()
    max_downloads: int | None = None
    watermark: bool = False
    downloads: int = 0
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    url: str | None = None


def list_shares(
    *, file_id: Id | None = None, limit: int = 50, cursor: str | None = None
) -> Call[Listing[Share]]:
    """One's own; for an administrator all of the tenant's; newest first."""
    parameters = {"file_id": id_text(file_id), "limit": limit, "cursor": cursor}
    return get(_PATH, Listing[Share], parameters)


def get_share(share_id: Id) -> Call[Share]:
    return get(f"{_PATH}/{segment(share_id)}", Share)


def create_share(
    file_id: Id,
    *,
    version: int | None = None,
    expires_at: datetime | None = None,
    password: str | None = None,
    networks: Sequence[str] = (),
    max_downloads: int | None = None,
    watermark: bool = False,
) -> Call[Share]:
    """Its `url` is told this once. None, if the answer to a first attempt was lost: then revoke it,
    and make another. With `watermark` visitors get a copy of the PDF whose pages say who shared it."""
    conditions = given(
        version=version,
        expires_at=time_text(expires_at),
        password=password,
        max_downloads=max_downloads,
        watermark=watermark or None,
    )
    return create(_PATH, Share, {"file_id": str(file_id), "networks": [*networks], **conditions})


def change_share(
    share_id: Id,
    *,
    expires_at: datetime | None = None,
    networks: Sequence[str] | None = None,
    password: str | Unchanged | None = UNCHANGED,
    max_downloads: int | Unchanged | None = UNCHANGED,
    etag: str | None = None,
) -> Call[Share]:
    """What is not named stays; None takes the password or the limit of downloads away. Another password,
    or none, ends the sessions of all visitors. With the `etag` of a Share that was read:
    PreconditionFailed if it has been changed since."""
    json = given(
        expires_at=time_text(expires_at), networks=None if networks is None else [*networks]
    ) | changed(password=password, max_downloads=max_downloads)
    return Call(
        "PATCH",
        f"{_PATH}/{segment(share_id)}",
        read_model(Share),
        json=json,
        headers=matching(etag),
        repeatable=etag is None,
    )


def revoke_share(share_id: Id) -> Call[Share]:
    """At once and for good."""
    return Call("DELETE", f"{_PATH}/{segment(share_id)}", read_model(Share))


class ShareOperations:
    """`/v1/shares`."""

    list = Operation(list_shares)
    get = Operation(get_share)
    create = Operation(create_share)
    change = Operation(change_share)
    revoke = Operation(revoke_share)


class Shares(ShareOperations, Resource):
    """`/v1/shares`."""


class AsyncShares(ShareOperations, AsyncResource):
    """`/v1/shares`."""
