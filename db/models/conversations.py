"""What a principal asks in a row, what was answered, and what it says of the answers."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field


class Conversation(SQLModel, table=True):
    """Of one principal. All its words are sealed under one text key, the content of the blob `key_id`; with
    that key they die. `size_bytes` is what its messages take, sealed."""

    __tablename__ = "conversation"
    __table_args__ = (
        Index(
            "ix_conversation_principal_created",
            "tenant_id",
            "principal_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
        Index("ix_conversation_principal_id", "principal_id"),
        Index("ix_conversation_tenant_updated", "tenant_id", "updated_at"),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    principal_id: UUID = Field(foreign_key="principal.id")
    key_id: UUID
    sealed_title: bytes | None = None
    message_count: int = 0
    size_bytes: int = 0
    revision: int = 1
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


class ConversationMessage(SQLModel, table=True):
    """A question, or an answer to its `parent_id`. A question's parent is the answer that it follows, null
    for a first one: an edited question has the same parent as the one whose place it takes, a further answer
    the same question. So nothing that was said is lost. `ordinal` counts the conversation's messages.

    `sealed` is null while an answer is made, and for good once a file was erased that it may quote. An answer
    is being made as long as `alive_at` is fresh; `watched_at` is when somebody last waited for it in another
    process; `event_count` how many events it came to, before its end."""

    __tablename__ = "conversation_message"
    __table_args__ = (
        Index("ux_conversation_message_ordinal", "conversation_id", "ordinal", unique=True),
    )

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    conversation_id: UUID = Field(foreign_key="conversation.id", ondelete="CASCADE")
    parent_id: UUID | None = Field(
        default=None, foreign_key="conversation_message.id", ondelete="CASCADE", index=True
    )
    ordinal: int
    role: str  # muniment.contracts.conversations.MessageRole
    state: str  # muniment.contracts.conversations.MessageState
    sealed: bytes | None = None
    event_count: int = 0
    created_at: datetime = time_field()
    alive_at: datetime | None = optional_time_field()
    watched_at: datetime | None = optional_time_field()


class MessageSource(SQLModel, table=True):
    """A file whose passages were read for an answer. `has_words`: the answer may say what stands in it, so it
    is shown only to who may read the file, and forgotten with it."""

    __tablename__ = "message_source"

    message_id: UUID = Field(
        foreign_key="conversation_message.id", ondelete="CASCADE", primary_key=True
    )
    file_id: UUID = Field(foreign_key="file.id", primary_key=True, index=True)
    tenant_id: UUID = tenant_field()
    has_words: bool


class AnswerEvent(SQLModel, table=True):
    """Events of an answer, from `seq` on, sealed together: kept for a while, so that whoever lost the
    connection goes on where it was, at whichever process."""

    __tablename__ = "answer_event"
    __table_args__ = (Index("ix_answer_event_tenant_created", "tenant_id", "created_at"),)

    message_id: UUID = Field(
        foreign_key="conversation_message.id", ondelete="CASCADE", primary_key=True
    )
    seq: int = Field(primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = time_field()


class Feedback(SQLModel, table=True):
    """What the owner of a conversation thinks of an answer. `file_id` and `page` are where the answer should
    have come from."""

    __tablename__ = "feedback"
    __table_args__ = (
        Index("ux_feedback_message_id", "message_id", unique=True),
        Index("ix_feedback_tenant_created", "tenant_id", text("created_at DESC"), text("id DESC")),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    message_id: UUID = Field(foreign_key="conversation_message.id", ondelete="CASCADE")
    principal_id: UUID = Field(foreign_key="principal.id", index=True)
    verdict: str  # muniment.contracts.conversations.Verdict
    sealed_text: bytes | None = None
    file_id: UUID | None = Field(default=None, foreign_key="file.id", index=True)
    page: int | None = None
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
