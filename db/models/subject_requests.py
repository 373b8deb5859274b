"""Requests of people about what there is of them: to be given a copy, or to have it erased. Rows are
evidence and are never deleted; who the person is can be read only until `expires_at`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Column, Index, Text, text
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field


class SubjectRequest(SQLModel, table=True):
    """`subject` (muniment.contracts.subject_requests.SubjectIdentity) is sealed under the key that the blob
    `text_key_id` holds; both are gone once the request has expired, and the export with them.
    `after_at` and `after_id`: the file that the search has come to. `started_at`: when its workflow
    was last told to begin. `failure`: why it failed, in words of ours."""

    __tablename__ = "subject_request"
    __table_args__ = (
        Index(
            "ix_subject_request_tenant_created",
            "tenant_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
        Index("ix_subject_request_open", "id", postgresql_where=text("finished_at IS NULL")),
        Index(
            "ix_subject_request_expires_at",
            "expires_at",
            postgresql_where=text("text_key_id IS NOT NULL OR export_blob_id IS NOT NULL"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    kind: str  # muniment.contracts.subject_requests.SubjectKind
    state: str  # muniment.contracts.subject_requests.SubjectState
    requested_by: UUID
    text_key_id: UUID | None = Field(default=None, foreign_key="blob.id", index=True)
    subject: bytes | None = None
    keep_days: int
    looked_at: int = 0
    after_at: datetime | None = optional_time_field()
    after_id: UUID | None = None
    failure: str | None = None
    export_blob_id: UUID | None = Field(default=None, foreign_key="blob.id", index=True)
    export_size: int | None = Field(default=None, sa_column=Column(BigInteger))
    certificates_sha256: bytes | None = None
    created_at: datetime = time_field()
    started_at: datetime | None = optional_time_field()
    finished_at: datetime | None = optional_time_field()
    expires_at: datetime = time_field()


class SubjectRequestItem(SQLModel, table=True):
    """A file that was found to name the person: where, and how often. Ids and counts, never words."""

    __tablename__ = "subject_request_item"

    request_id: UUID = Field(foreign_key="subject_request.id", primary_key=True)
    file_id: UUID = Field(foreign_key="file.id", primary_key=True, index=True)
    tenant_id: UUID = tenant_field()
    sources: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))  # MatchSource
    matches: int
    state: str  # muniment.contracts.subject_requests.ItemState
    erasure_id: UUID | None = Field(default=None, foreign_key="erasure.id", index=True)
    refused_until: datetime | None = optional_time_field()
    created_at: datetime = time_field()


class SubjectDecision(SQLModel, table=True):
    """What a person decided about a request, once."""

    __tablename__ = "subject_decision"

    request_id: UUID = Field(foreign_key="subject_request.id", primary_key=True)
    tenant_id: UUID = tenant_field()
    decided_by: UUID
    is_approved: bool
    confirmed: int
    excluded: int
    created_at: datetime = time_field()
