"""`/v1/subject-requests`: what there is of a person is found, confirmed, and handed out or erased."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from muniment.client.building import Id, create, get, given, post, segment
from muniment.client.models import Listing, Record
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_content
from muniment.client.protocol import Call

_PATH = "/v1/subject-requests"


class Subject(Record):
    """A person, by whatever they are called."""

    identifiers: tuple[str, ...] = ()


class SubjectDecision(Record):
    """Who confirmed or rejected what was found."""

    decided_by: UUID
    is_approved: bool
    confirmed: int = 0
    excluded: int = 0
    created_at: datetime | None = None


class SubjectRequest(Record):
    """`state` is finding, waiting (for a decision), exporting, erasing, completed, rejected, expired or
    failed. `files` counts what was found by what became of it. `subject` and `reason` come with one that
    is asked for by its id."""

    id: UUID
    kind: str
    state: str
    requested_by: UUID | None = None
    looked_at: int = 0
    files: Mapping[str, int] = {}
    decision: SubjectDecision | None = None
    failure: str | None = None
    export_size: int | None = None
    subject: Subject | None = None
    reason: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None


class SubjectRequestItem(Record):
    """A file that names the person. `sources` are some of metadata, finding, text and member."""

    file_id: UUID
    name: str | None = None
    sources: tuple[str, ...] = ()
    matches: int = 0
    state: str
    erasure_id: UUID | None = None
    refused_until: datetime | None = None


class ErasedFile(Record):
    """`erasures.certificate` has its certificate."""

    file_id: UUID
    erasure_id: UUID
    finished_at: datetime | None = None


class SubjectStatement(Record):
    """What became of a request that has ended."""

    request: SubjectRequest
    erased: tuple[ErasedFile, ...] = ()
    refused: tuple[SubjectRequestItem, ...] = ()
    certificates_sha256: str | None = None


def open_request(
    kind: str, identifiers: Sequence[str], *, reason: str = "", keep_days: int | None = None
) -> Call[SubjectRequest]:
    """`kind` is access or erasure. What is found waits for a decision."""
    body = given(
        kind=kind,
        subject={"identifiers": [*identifiers]},
        reason=reason,
        keep_days=keep_days,
    )
    return create(_PATH, SubjectRequest, body)


def list_requests(*, limit: int = 50, cursor: str | None = None) -> Call[Listing[SubjectRequest]]:
    """Newest first."""
    return get(_PATH, Listing[SubjectRequest], {"limit": limit, "cursor": cursor})


def get_request(request_id: Id) -> Call[SubjectRequest]:
    return get(f"{_PATH}/{segment(request_id)}", SubjectRequest)


def list_items(
    request_id: Id, *, limit: int = 50, cursor: str | None = None
) -> Call[Listing[SubjectRequestItem]]:
    """Files that name the person."""
    path = f"{_PATH}/{segment(request_id)}/items"
    return get(path, Listing[SubjectRequestItem], {"limit": limit, "cursor": cursor})


def decide(request_id: Id, *, approve: bool, exclude: Sequence[Id] = ()) -> Call[SubjectRequest]:
    """All that was found but what is excluded, or nothing."""
    body = given(approve=approve, exclude=[str(each) for each in exclude])
    return post(f"{_PATH}/{segment(request_id)}/decisions", SubjectRequest, body)


def export_request(request_id: Id) -> Call[bytes]:
    """The copy, a ZIP archive, in memory."""
    return Call("GET", f"{_PATH}/{segment(request_id)}/export", read_content)


def get_statement(request_id: Id) -> Call[SubjectStatement]:
    """Of one that has ended."""
    return get(f"{_PATH}/{segment(request_id)}/statement", SubjectStatement)


class SubjectRequestOperations:
    """`/v1/subject-requests`."""

    open = Operation(open_request)
    list = Operation(list_requests)
    get = Operation(get_request)
    items = Operation(list_items)
    decide = Operation(decide)
    export = Operation(export_request)
    statement = Operation(get_statement)


class SubjectRequests(SubjectRequestOperations, Resource):
    """`/v1/subject-requests`."""


class AsyncSubjectRequests(SubjectRequestOperations, AsyncResource):
    """`/v1/subject-requests`."""
