"""Lists of questions that are answered one by one: what was asked, and what came of it, sealed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field


class QuestionList(SQLModel, table=True):
    """How the questions are asked, and under whose rights (`principal_id`). The blob `text_key_id` holds the
    key under which its questions and answers are sealed (muniment.objects.sealed_texts), and dies with
    it. `reason`: why it is paused or failed, in words of ours. `started_at`: when its workflow was last
    told to begin. `expires_at`: when it is forgotten, unless that is moved by its end."""

    __tablename__ = "question_list"
    __table_args__ = (
        Index(
            "ix_question_list_tenant_created", "tenant_id", text("created_at DESC"), text("id DESC")
        ),
        Index("ix_question_list_open", "id", postgresql_where=text("finished_at IS NULL")),
        Index("ix_question_list_expires_at", "expires_at"),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    principal_id: UUID = Field(foreign_key="principal.id", index=True)
    text_key_id: UUID = Field(foreign_key="blob.id", index=True)
    collection: str | None = None
    generate: str  # retrieval.request.Generate
    top_k: int
    question_count: int
    max_tokens: int | None = None
    keep_days: int
    state: str  # muniment.contracts.answer_questions.ListState
    reason: str | None = None
    created_at: datetime = time_field()
    started_at: datetime | None = optional_time_field()
    finished_at: datetime | None = optional_time_field()
    expires_at: datetime = time_field()


class QuestionListItem(SQLModel, table=True):
    """A question (muniment.contracts.answer_questions.ListedQuestion) and, once it was asked, what came of it
    (ListedAnswer), both sealed. `row_number` is its line in what was uploaded, from 1."""

    __tablename__ = "question_list_item"

    list_id: UUID = Field(foreign_key="question_list.id", ondelete="CASCADE", primary_key=True)
    ordinal: int = Field(primary_key=True)
    tenant_id: UUID = tenant_field()
    row_number: int
    question: bytes
    answer: bytes | None = None
    outcome: str | None = None  # muniment.contracts.answer_questions.QuestionOutcome
    tokens: int = 0


class QuestionListSource(SQLModel, table=True):
    """A file whose passages were read for an answer: the answer may repeat its words."""

    __tablename__ = "question_list_source"
    __table_args__ = (
        ForeignKeyConstraint(
            ["list_id", "ordinal"],
            ["question_list_item.list_id", "question_list_item.ordinal"],
            ondelete="CASCADE",
        ),
    )

    list_id: UUID = Field(primary_key=True)
    ordinal: int = Field(primary_key=True)
    file_id: UUID = Field(foreign_key="file.id", ondelete="CASCADE", primary_key=True, index=True)
    tenant_id: UUID = tenant_field()
