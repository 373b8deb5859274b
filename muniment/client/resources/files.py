"""What is administered of files: their description, and where their content lies."""

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import UUID

from pydantic import JsonValue

from muniment.client.building import Id, get, given, matching, post, segment
from muniment.client.models import File, Record, Version
from muniment.client.operations import Operation
from muniment.client.parsing import read_model
from muniment.client.protocol import Call

TierName = Literal["hot", "cold"]


class TierRule(Record):
    """When content goes to the cold tier by itself, and whose rule that is; `after_days` None: it stays."""

    source: str
    after_days: float | None = None
    min_bytes: int = 0


class Retrievals(Record):
    """Of versions in the cold tier: how many have to be retrieved from an archive first, are on their
    way, or can be read for some days."""

    archived: int = 0
    in_progress: int = 0
    retrieved: int = 0


class FileTiers(Record):
    """How many of a file's versions lie in which tier, and how many are still to be moved; `retrieval`
    None: the cold store does not answer."""

    file_id: UUID
    hot: int = 0
    cold: int = 0
    moving: int = 0
    retrieval: Retrievals | None = None
    rule: TierRule | None = None


def change_file(
    file_id: Id,
    *,
    name: str | None = None,
    collection: str | None = None,
    metadata: Mapping[str, JsonValue] | None = None,
    labels: Sequence[str] | None = None,
    etag: str | None = None,
) -> Call[File]:
    """What is None stays. Metadata are merged, and those that are None removed."""
    json = given(
        name=name,
        collection=collection,
        metadata=None if metadata is None else {**metadata},
        labels=None if labels is None else [*labels],
    )
    return Call(
        "PATCH",
        f"/v1/files/{segment(file_id)}",
        read_model(File),
        json=json,
        headers=matching(etag),
        repeatable=etag is None,
    )


def get_version(file_id: Id, number: int) -> Call[Version]:
    return get(f"/v1/files/{segment(file_id)}/versions/{segment(number)}", Version)


def get_tier(file_id: Id) -> Call[FileTiers]:
    """Where the file's content lies."""
    return get(f"/v1/files/{segment(file_id)}/tier", FileTiers)


def move_to_tier(file_id: Id, tier: TierName) -> Call[FileTiers]:
    """The content of all its versions; it can be read meanwhile."""
    return post(f"/v1/files/{segment(file_id)}/tier", FileTiers, {"tier": tier})


class FileOperations:
    """What both clients' files have in common."""

    change = Operation(change_file)
    version = Operation(get_version)
    tier = Operation(get_tier)
    move = Operation(move_to_tier)
