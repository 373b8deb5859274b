"""`/v1/collections`: what files lie in."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from muniment.client.building import Id, create, get, given, matching, segment
from muniment.client.models import Listing, Tagged
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model, read_nothing
from muniment.client.protocol import Call

Visibility = Literal["tenant", "private"]
TextMode = Literal["full", "encrypted_text"]
ModelUse = Literal["any", "local", "none"]

_PATH = "/v1/collections"


class Collection(Tagged):
    """`visibility` tenant: everyone of the tenant reads its files; private: its owner, and who was
    granted it. `text_mode` encrypted_text: the text of its documents is sealed in the database too;
    `limitations` says what that costs. `language_models`: which of them may read it."""

    id: UUID
    name: str
    visibility: str = "tenant"
    text_mode: str = "full"
    limitations: Sequence[str] = ()
    language_models: str = "any"
    owner_id: UUID | None = None
    created_at: datetime | None = None


def list_collections(*, limit: int = 50, cursor: str | None = None) -> Call[Listing[Collection]]:
    """Newest first."""
    return get(_PATH, Listing[Collection], {"limit": limit, "cursor": cursor})


def get_collection(collection_id: Id) -> Call[Collection]:
    return Call("GET", f"{_PATH}/{segment(collection_id)}", read_model(Collection))


def create_collection(
    name: str,
    *,
    visibility: Visibility = "tenant",
    text_mode: TextMode = "full",
    language_models: ModelUse | None = None,
) -> Call[Collection]:
    """Without `language_models` any may read it; none where the text is sealed."""
    json = given(
        name=name, visibility=visibility, text_mode=text_mode, language_models=language_models
    )
    return create(_PATH, Collection, json)


def change_collection(
    collection_id: Id,
    *,
    name: str | None = None,
    visibility: Visibility | None = None,
    text_mode: TextMode | None = None,
    language_models: ModelUse | None = None,
    etag: str | None = None,
) -> Call[Collection]:
    """What is None stays; `text_mode` changes while the collection is empty. With the `etag` of a
    Collection that was read: PreconditionFailed if it has been changed since."""
    return Call(
        "PATCH",
        f"{_PATH}/{segment(collection_id)}",
        read_model(Collection),
        json=given(
            name=name, visibility=visibility, text_mode=text_mode, language_models=language_models
        ),
        headers=matching(etag),
        repeatable=etag is None,
    )


def delete_collection(collection_id: Id) -> Call[None]:
    """An empty one."""
    return Call("DELETE", f"{_PATH}/{segment(collection_id)}", read_nothing)


class CollectionOperations:
    """`/v1/collections`."""

    list = Operation(list_collections)
    get = Operation(get_collection)
    create = Operation(create_collection)
    change = Operation(change_collection)
    delete = Operation(delete_collection)


class Collections(CollectionOperations, Resource):
    """`/v1/collections`."""


class AsyncCollections(CollectionOperations, AsyncResource):
    """`/v1/collections`."""
