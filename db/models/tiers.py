"""What is on its way from one tier of the object store to the other, and what sends it there."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, UniqueConstraint
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field


class TierMove(SQLModel, table=True):
    """A blob that is to lie in `destination` alone. From `switched_at` on the blob's row says that it
    lies there; what is left in the other tier is deleted after a while, and this row with it. So a
    copy without its row never outlives the process that made it."""

    __tablename__ = "tier_move"

    blob_id: UUID = Field(foreign_key="blob.id", primary_key=True, ondelete="CASCADE")
    tenant_id: UUID = tenant_field()
    destination: str  # muniment.contracts.move_tier.Tier
    requested_at: datetime = time_field()
    switched_at: datetime | None = optional_time_field()


class TierPolicy(SQLModel, table=True):
    """What of a collection goes to the cold tier by itself; without a collection: of those of the tenant's
    that have no policy of their own. Without `after_days` nothing does."""

    __tablename__ = "tier_policy"
    __table_args__ = (
        UniqueConstraint(
            "tenant_id",
            "collection_id",
            name="ux_tier_policy_of",
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    collection_id: UUID | None = Field(
        default=None, foreign_key="collection.id", ondelete="CASCADE", index=True
    )
    after_days: float | None = None
    min_bytes: int = Field(default=0, sa_type=BigInteger)
    revision: int = 1
    created_at: datetime = time_field()
