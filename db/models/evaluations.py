"""How good searches and answers are: sets of questions, and what runs over them measured."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Column, Index, LargeBinary, String, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field


class EvaluationSet(SQLModel, table=True):
    """Questions, and how they are asked. `principal_id` is under whose rights; `digest` the SHA-256 of both,
    by which the same set is known again. `identified_by`: what the judgements call a document by."""

    __tablename__ = "evaluation_set"
    __table_args__ = (
        Index("ux_evaluation_set_digest", "tenant_id", "principal_id", "digest", unique=True),
        Index("ix_evaluation_set_principal_id", "principal_id"),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    principal_id: UUID = Field(foreign_key="principal.id")
    name: str
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = time_field()
    is_nightly: bool
    mode: str  # retrieval.request.SearchMode
    collection: str | None = None
    identified_by: str
    answers: str  # muniment.contracts.evaluate_retrieval.EvaluatedAnswers
    is_judged: bool
    tolerance: float
    question_count: int


class EvaluationQuestion(SQLModel, table=True):
    """A question, by document the grade (> 0) of those that answer it, and answers that are right."""

    __tablename__ = "evaluation_question"

    set_id: UUID = Field(foreign_key="evaluation_set.id", ondelete="CASCADE", primary_key=True)
    ordinal: int = Field(primary_key=True)
    tenant_id: UUID = tenant_field()
    question_id: str
    text: str
    judgements: dict[str, JsonValue] = Field(sa_column=Column(JSONB, nullable=False))
    answers: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))


class EvaluationRun(SQLModel, table=True):
    """One asking of all questions of a set; one is open at a time. `index_version_id`: which index version
    its searches by meaning began with."""

    __tablename__ = "evaluation_run"
    __table_args__ = (
        Index(
            "ux_evaluation_run_open",
            "set_id",
            unique=True,
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index("ix_evaluation_run_set_id", "set_id", text("created_at DESC"), text("id DESC")),
        Index(
            "ix_evaluation_run_tenant_created",
            "tenant_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    set_id: UUID = Field(foreign_key="evaluation_set.id", ondelete="CASCADE")
    workflow_id: str
    index_version_id: UUID | None = Field(default=None, foreign_key="index_version.id")
    state: str  # muniment.contracts.evaluate_retrieval.EvaluationState
    created_at: datetime = time_field()
    finished_at: datetime | None = optional_time_field()
    notes: list[str] = Field(
        default=[], sa_column=Column(ARRAY(String), nullable=False, server_default="{}")
    )


class EvaluationResult(SQLModel, table=True):
    """What came of one question in one run: figures by their names."""

    __tablename__ = "evaluation_result"

    run_id: UUID = Field(foreign_key="evaluation_run.id", ondelete="CASCADE", primary_key=True)
    ordinal: int = Field(primary_key=True)
    tenant_id: UUID = tenant_field()
    figures: dict[str, JsonValue] = Field(sa_column=Column(JSONB, nullable=False))


class EvaluationMetric(SQLModel, table=True):
    """A figure of a whole run."""

    __tablename__ = "evaluation_metric"

    run_id: UUID = Field(foreign_key="evaluation_run.id", ondelete="CASCADE", primary_key=True)
    name: str = Field(primary_key=True)
    tenant_id: UUID = tenant_field()
    value: float
