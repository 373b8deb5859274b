"""`/v1/files`: their description, their ways, and where their content lies."""

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import UUID

import httpx
from pydantic import JsonValue

from muniment.client.building import Id, create, get, given, matching, post, segment
from muniment.client.models import File, Job, Listing, Record, Version
from muniment.client.operations import Operation
from muniment.client.parsing import parse_model, read_model
from muniment.client.protocol import Call, Parameters
from muniment.client.resources.file_contents import FileContentOperations

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


def list_files(
    *, limit: int = 50, cursor: str | None = None, filters: Parameters | None = None
) -> Call[Listing[File]]:
    """Newest first; `filters` as the API names them (`name~`, `state`, `media_type`…)."""
    return get("/v1/files", Listing[File], {"limit": limit, "cursor": cursor, **(filters or {})})


def get_file(file_id: Id) -> Call[File]:
    return get(f"/v1/files/{segment(file_id)}", File)


def delete_file(file_id: Id, *, permanent: bool = False) -> Call[File | Job]:
    """Puts the file into the trash; with `permanent` erases it, and returns the erasure job."""
    return Call(
        "DELETE",
        f"/v1/files/{segment(file_id)}",
        _file_or_job,
        parameters={"permanent": True} if permanent else {},
    )


def _file_or_job(response: httpx.Response) -> File | Job:
    """A permanent deletion is accepted (202) and answered with its job."""
    if response.status_code == httpx.codes.ACCEPTED:
        return parse_model(Job, response.content)
    return read_model(File)(response)


def restore_file(file_id: Id) -> Call[File]:
    return post(f"/v1/files/{segment(file_id)}/restore", File)


def reprocess_file(
    file_id: Id,
    *,
    chunk_tokens: int | None = None,
    ocr_engine: str | None = None,
    pdf_pipeline: str | None = None,
    priority: int | None = None,
    password: str | None = None,
) -> Call[Job]:
    """Ingests the newest version anew; what the settings did not change is reused. A password
    of an encrypted document has to be given again."""
    settings = given(chunk_tokens=chunk_tokens, ocr_engine=ocr_engine, pdf_pipeline=pdf_pipeline)
    json = given(settings=settings or None, priority=priority, password=password)
    return create(f"/v1/files/{segment(file_id)}/reprocess", Job, json)


def compare_file(
    file_id: Id, *, ocr_engine: str | None = None, pdf_pipeline: str | None = None
) -> Call[Job]:
    """Reads the published version by that engine and pipeline beside what is published, and
    compares the two; without any, by what the workers read with now."""
    json = given(ocr_engine=ocr_engine, pdf_pipeline=pdf_pipeline)
    return create(f"/v1/files/{segment(file_id)}/compare", Job, json)


def list_versions(file_id: Id) -> Call[Listing[Version]]:
    return get(f"/v1/files/{segment(file_id)}/versions", Listing[Version])


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


class FileOperations(FileContentOperations):
    """What both clients' files have in common."""

    list = Operation(list_files)
    get = Operation(get_file)
    delete = Operation(delete_file)
    restore = Operation(restore_file)
    reprocess = Operation(reprocess_file)
    compare = Operation(compare_file)
    versions = Operation(list_versions)
    change = Operation(change_file)
    version = Operation(get_version)
    tier = Operation(get_tier)
    move = Operation(move_to_tier)
