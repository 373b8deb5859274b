"""What is to become of findings, and what became of them in a job."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Column
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, tenant_field, time_field


class FindingPolicy(SQLModel, table=True):
    """What is to become of findings of a kind, or of one type of them; without either of all. Without a
    collection it holds for the whole tenant. Never changed: another one takes its place."""

    __tablename__ = "finding_policy"

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    collection_id: UUID | None = Field(
        default=None, foreign_key="collection.id", ondelete="CASCADE", index=True
    )
    kind: str | None = None  # muniment.contracts.documents.FindingKind
    entity: str | None = None
    minimum_score: float = 0.0
    act: str  # muniment.contracts.findings.FindingAct
    created_by: UUID
    created_at: datetime = time_field()


class FindingJudgement(SQLModel, table=True):
    """What the policies asked for of the findings of one job, when it classified them: `causes` says why
    (counts, never values), `rules` are those that it was judged by."""

    __tablename__ = "finding_judgement"

    job_id: UUID = Field(foreign_key="job.id", ondelete="CASCADE", primary_key=True)
    tenant_id: UUID = tenant_field()
    version_id: UUID = Field(foreign_key="file_version.id", ondelete="CASCADE", index=True)
    act: str  # muniment.contracts.findings.FindingAct
    causes: list[dict[str, JsonValue]] = Field(sa_column=Column(JSONB, nullable=False))
    rules: list[dict[str, JsonValue]] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime = time_field()
