"""How a candidate's reading differs from the published one: figures, never text."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Column, ForeignKeyConstraint, Index, String, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from db.models.columns import optional_time_field, tenant_field, time_field


class ReadingComparison(SQLModel, table=True):
    """A version's newest comparison with a candidate. The row comes with the job that makes it, and
    the job's row says how that fares; the figures are null until `compared_at`.

    `pages` counts those compared, `…_seconds` are per page that an engine read.
    """

    __tablename__ = "reading_comparison"
    __table_args__ = (
        Index(
            "ix_reading_comparison_tenant_created",
            "tenant_id",
            text("created_at DESC"),
            text("job_id DESC"),
        ),
    )

    version_id: UUID = Field(foreign_key="file_version.id", primary_key=True, ondelete="CASCADE")
    candidate: str = Field(primary_key=True)  # ReadingCandidate.name
    tenant_id: UUID = tenant_field()
    file_id: UUID = Field(foreign_key="file.id", ondelete="CASCADE", index=True)
    job_id: UUID = Field(foreign_key="job.id", ondelete="CASCADE", unique=True)
    created_at: datetime = time_field()
    compared_at: datetime | None = optional_time_field()
    present_readers: list[str] | None = Field(default=None, sa_column=Column(ARRAY(String)))
    candidate_readers: list[str] | None = Field(default=None, sa_column=Column(ARRAY(String)))
    pages: int | None = None
    present_failed: int | None = None
    candidate_failed: int | None = None
    present_seconds: float | None = None
    candidate_seconds: float | None = None
    structure: dict[str, JsonValue] | None = Field(default=None, sa_column=Column(JSONB))


class ComparedPage(SQLModel, table=True):
    """A page of both readings. `similarity` (0–1) is of the sequences of words; `words_lost` stand
    in the published reading only."""

    __tablename__ = "compared_page"
    __table_args__ = (
        ForeignKeyConstraint(
            ["version_id", "candidate"],
            ["reading_comparison.version_id", "reading_comparison.candidate"],
            ondelete="CASCADE",
        ),
    )

    version_id: UUID = Field(primary_key=True)
    candidate: str = Field(primary_key=True)
    page: int = Field(primary_key=True)
    tenant_id: UUID = tenant_field()
    similarity: float
    present_words: int
    candidate_words: int
    words_lost: int
    words_gained: int
    present_confidence: float | None = None
    candidate_confidence: float | None = None
