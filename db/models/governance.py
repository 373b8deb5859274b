"""What was done, by whom; what was erased; what was asked for once already."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, LargeBinary, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field
from db.models.xid8 import Xid8


class AuditEvent(SQLModel, table=True):
    """One act, written in its own transaction. Append-only: the application role may neither change
    nor delete it. `salt` lets its details (`payload` and `origin`, the address that it came from) be erased
    with it, all at once, while a commitment to them still proves (muniment/audit/leaves.py)."""

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("ix_audit_event_order", "tenant_id", "x", "id"),
        Index("ix_audit_event_tenant_event", "tenant_id", "id"),
        CheckConstraint(
            "(payload IS NULL) = (salt IS NULL) AND (payload IS NOT NULL OR origin IS NULL)",
            name="details_go_together",
        ),
        Index("ix_audit_event_object", "tenant_id", "object_id", "id"),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    x: str | None = Field(
        default=None,
        sa_column=Column(Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    )
    at: datetime = time_field()
    actor_id: UUID | None = None
    actor_kind: str  # principal | system | visitor
    action: str
    object_type: str
    object_id: UUID | None = None
    request_id: str | None = None
    workflow_id: str | None = None
    origin: str | None = None
    payload: dict[str, JsonValue] | None = Field(
        default={},
        sa_column=Column(JSONB(none_as_null=True), nullable=True, server_default="{}"),
    )
    salt: bytes | None


class Activity(SQLModel, table=True):
    """The feed of what happened to files: of the audit trail what its readers care for, by file, and
    erased with it. `subject_id` is what the kind speaks of besides: a share, a grant, an annotation."""

    __tablename__ = "activity"
    __table_args__ = (
        Index("ix_activity_tenant_at", "tenant_id", text("at DESC"), text("id DESC")),
        Index(
            "ix_activity_tenant_actor_at",
            "tenant_id",
            "actor_id",
            text("at DESC"),
            text("id DESC"),
        ),
        Index("ix_activity_file_at", "file_id", text("at DESC"), text("id DESC")),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    at: datetime = time_field()
    kind: str  # db.activity_feed.ActivityKind
    file_id: UUID | None = Field(default=None, foreign_key="file.id", ondelete="CASCADE")
    job_id: UUID | None = Field(default=None, foreign_key="job.id", ondelete="CASCADE")
    actor_id: UUID | None = Field(default=None, foreign_key="principal.id", ondelete="SET NULL")
    subject_id: UUID | None = None
    version_number: int | None = None


class Erasure(SQLModel, table=True):
    """An erasure and what came of it; it outlives the file's content. `ciphertexts_left`: in a cold store
    that was away, without their keys; the sweep takes them once it is back. `content_tags`: keyed hashes of
    the contents. `first_erased_at`: of one that is repeated after a restore, by the ledger. `finished_x`: the
    transaction that ended it; `vacuumed_at`: when every table that lost rows had been vacuumed since."""

    __tablename__ = "erasure"
    __table_args__ = (
        Index(
            "ix_erasure_open",
            "tenant_id",
            "id",
            postgresql_where=text("state IN ('executing', 'held')"),
        ),
        Index(
            "ix_erasure_to_vacuum",
            "tenant_id",
            "finished_x",
            postgresql_where=text("finished_x IS NOT NULL AND vacuumed_at IS NULL"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    file_id: UUID
    job_id: UUID | None = None
    state: str  # muniment.contracts.erase_file.ErasureState
    requested_by: UUID | None = Field(default=None, foreign_key="principal.id")
    keys_destroyed: int = 0
    blobs_kept: int = 0
    ciphertexts_left: int = 0
    reason: str | None = None
    content_tags: list[bytes] | None = Field(
        default=None, sa_column=Column(ARRAY(LargeBinary), nullable=True)
    )
    first_erased_at: datetime | None = optional_time_field()
    created_at: datetime = time_field()
    finished_at: datetime | None = optional_time_field()
    finished_x: str | None = Field(default=None, sa_column=Column(Xid8, nullable=True))
    vacuumed_at: datetime | None = optional_time_field()


class ErasureLedgerMark(SQLModel, table=True):
    """How far the ledger of erasures, which is a file, was compared with this database: a length of it, and
    the SHA-256 of the line that ends there. One row, of no tenant; it goes along with a dump."""

    __tablename__ = "erasure_ledger_mark"
    __table_args__ = (CheckConstraint("is_only", name="there_is_one"),)

    is_only: bool = Field(
        default=True, sa_column=Column(Boolean, primary_key=True, server_default=text("true"))
    )
    offset_bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    line_hash: bytes
    at: datetime = time_field()


class IdempotencyKey(SQLModel, table=True):
    """The first answer to a key, per principal and route, kept for 24 hours. While `status` is null
    the request is in flight until `lease_until`; a crashed one frees the key by its lease."""

    __tablename__ = "idempotency_key"
    __table_args__ = (Index("ix_idempotency_key_created", "created_at"),)

    tenant_id: UUID = tenant_field(primary_key=True)
    principal_id: UUID = Field(foreign_key="principal.id", primary_key=True, ondelete="CASCADE")
    route: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    request_hash: bytes | None = None
    lease_token: UUID
    lease_until: datetime = time_field()
    status: int | None = None
    response: dict[str, JsonValue] | None = Field(default=None, sa_column=Column(JSONB))
    location: str | None = None
    created_at: datetime = time_field()
