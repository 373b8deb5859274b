"""What language models may be asked, and what they cost."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, tenant_field, time_field


class ModelPause(SQLModel, table=True):
    """A model, by its name in the settings, that is not asked. Of a tenant that operates it holds for
    everybody, else for the tenant alone."""

    __tablename__ = "model_pause"

    tenant_id: UUID = tenant_field(primary_key=True)
    model: str = Field(primary_key=True)
    paused_by: UUID | None = Field(
        default=None, foreign_key="principal.id", ondelete="SET NULL", index=True
    )
    paused_at: datetime = time_field()


class TokenBudget(SQLModel, table=True):
    """How many tokens the operator allows this tenant in a month; null is any number. A tenant without a
    row has the default of the settings. The application role may only read it."""

    __tablename__ = "token_budget"

    tenant_id: UUID = tenant_field(primary_key=True)
    monthly_tokens: int | None = Field(default=None, sa_type=BigInteger)
    updated_at: datetime = time_field()


class TokenUsage(SQLModel, table=True):
    """Tokens that models read and wrote for the tenant in a month (UTC), by its first day."""

    __tablename__ = "token_usage"

    tenant_id: UUID = tenant_field(primary_key=True)
    month: date = Field(primary_key=True)
    tokens: int = Field(sa_column=Column(BigInteger, nullable=False))


class TokenReservation(SQLModel, table=True):
    """Tokens set aside for an answer in the making. One whose process died comes back when it expires."""

    __tablename__ = "token_reservation"

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    month: date
    tokens: int = Field(sa_column=Column(BigInteger, nullable=False))
    expires_at: datetime = time_field()
