"""What a tenant may keep, and what it keeps."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel

from db.models.columns import tenant_field, time_field


class TenantQuota(SQLModel, table=True):
    """What the operator allows this tenant; null is no limit. A tenant without a row has the
    defaults of the settings. The application role may only read it."""

    __tablename__ = "tenant_quota"

    tenant_id: UUID = tenant_field(primary_key=True)
    max_bytes: int | None = Field(default=None, sa_type=BigInteger)
    max_files: int | None = Field(default=None, sa_type=BigInteger)
    max_pages: int | None = Field(default=None, sa_type=BigInteger)
    updated_at: datetime = time_field()


class TenantUsage(SQLModel, table=True):
    """What the tenant keeps: counted by triggers on `file` and `file_version`, in the transaction that
    changes them. The application role may only read it."""

    __tablename__ = "tenant_usage"

    tenant_id: UUID = tenant_field(primary_key=True)
    bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    files: int = Field(sa_column=Column(BigInteger, nullable=False))
    pages: int = Field(sa_column=Column(BigInteger, nullable=False))
