"""Requests of people as clients see them."""

from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator

from api.storable_text import StorableText
from api.times import UtcTime
from db.models import SubjectDecision as DecisionRecord
from db.models import SubjectRequest as RequestRecord
from db.queries.subject_requests import ItemDetail
from muniment.contracts.subject_requests import (
    MAX_IDENTIFIER,
    MAX_IDENTIFIERS,
    MAX_REASON,
    MIN_IDENTIFIER,
    ItemState,
    MatchSource,
    SubjectIdentity,
    SubjectKind,
    SubjectState,
)

MAX_KEEP_DAYS = 30
MAX_EXCLUDED = 10_000

Identifier = Annotated[StorableText, Field(min_length=MIN_IDENTIFIER, max_length=MAX_IDENTIFIER)]


class Subject(BaseModel):
    """A person, by whatever they are called: names, addresses, numbers."""

    model_config = ConfigDict(extra="forbid")

    identifiers: list[Identifier] = Field(min_length=1, max_length=MAX_IDENTIFIERS)

    @field_validator("identifiers")
    @classmethod
    def _say_something(cls, identifiers: list[str]) -> list[str]:
        stripped = [" ".join(each.split()) for each in identifiers]
        if any(sum(map(str.isalnum, each)) < MIN_IDENTIFIER for each in stripped):
            raise ValueError(f"an identifier has {MIN_IDENTIFIER} letters or digits")
        return list(dict.fromkeys(stripped))


class NewSubjectRequest(BaseModel):
    """`keep_days`: so long a copy can be downloaded, and so long it is known after the end whom the request
    was about."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "kind": "access",
                "subject": {"identifiers": ["Ana Li", "ana.li@example.org"]},
                "reason": "letter of 3 March",
            }
        },
    )

    kind: SubjectKind
    subject: Subject
    reason: Annotated[StorableText, Field(max_length=MAX_REASON)] = ""
    keep_days: int = Field(default=7, ge=1, le=MAX_KEEP_DAYS)


class NewSubjectDecision(BaseModel):
    """All that was found is confirmed but what is excluded; without `approve` the request is rejected."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"approve": True}})

    approve: bool
    exclude: list[UUID] = Field(
        default=[], max_length=MAX_EXCLUDED, description="Files that are not the person's."
    )


class SubjectDecision(BaseModel):
    """Who confirmed or rejected what was found."""

    decided_by: UUID
    is_approved: bool
    confirmed: int
    excluded: int
    created_at: UtcTime

    @classmethod
    def of(cls, row: DecisionRecord) -> "SubjectDecision":
        return cls(
            decided_by=row.decided_by,
            is_approved=row.is_approved,
            confirmed=row.confirmed,
            excluded=row.excluded,
            created_at=row.created_at,
        )


class SubjectRequest(BaseModel):
    """`waiting` is for a decision until `expires_at`. `files` counts what was found by what became of it,
    `looked_at` the files that were looked through. `export_size` is null while there is no copy, and once
    it is gone."""

    id: UUID
    kind: SubjectKind
    state: SubjectState
    requested_by: UUID
    looked_at: int
    files: dict[ItemState, int]
    decision: SubjectDecision | None
    failure: str | None
    export_size: int | None
    created_at: UtcTime
    finished_at: UtcTime | None
    expires_at: UtcTime

    @classmethod
    def of(
        cls, row: RequestRecord, counts: Mapping[str, int], decision: DecisionRecord | None
    ) -> "SubjectRequest":
        return cls(
            id=row.id,
            kind=SubjectKind(row.kind),
            state=SubjectState(row.state),
            requested_by=row.requested_by,
            looked_at=row.looked_at,
            files={ItemState(state): count for state, count in counts.items()},
            decision=None if decision is None else SubjectDecision.of(decision),
            failure=row.failure,
            export_size=None if row.export_blob_id is None else row.export_size,
            created_at=row.created_at,
            finished_at=row.finished_at,
            expires_at=row.expires_at,
        )


class SubjectRequestDetail(SubjectRequest):
    """With whom it is about and why it is asked; null once that was forgotten."""

    subject: Subject | None
    reason: str | None

    @classmethod
    def told(cls, view: SubjectRequest, identity: SubjectIdentity | None) -> "SubjectRequestDetail":
        return cls(
            **view.model_dump(),
            subject=None if identity is None else Subject(identifiers=list(identity.identifiers)),
            reason=None if identity is None else identity.reason,
        )


class SubjectRequestItem(BaseModel):
    """A file that names the person. `name` is null once it is to be erased; `matches` counts fields, masked
    findings and passages; `refused_until` is when the lock ends that refuses its erasure."""

    file_id: UUID
    name: str | None
    sources: list[MatchSource]
    matches: int
    state: ItemState
    erasure_id: UUID | None
    refused_until: UtcTime | None

    @classmethod
    def of(cls, detail: ItemDetail) -> "SubjectRequestItem":
        item = detail.item
        return cls(
            file_id=item.file_id,
            name=detail.name,
            sources=[MatchSource(each) for each in item.sources],
            matches=item.matches,
            state=ItemState(item.state),
            erasure_id=item.erasure_id,
            refused_until=item.refused_until,
        )


class ErasedFile(BaseModel):
    """`GET /v1/erasures/{erasure_id}/certificate` has its certificate."""

    file_id: UUID
    erasure_id: UUID
    finished_at: UtcTime | None


class SubjectStatement(BaseModel):
    """What became of a request that has ended. `certificates_sha256` is of the lines `file erasure` of all
    that was erased, by the ids of the files; the sealed event `subject_request.ended` has it too."""

    request: SubjectRequest
    erased: Sequence[ErasedFile]
    refused: Sequence[SubjectRequestItem]
    certificates_sha256: str | None
