"""What is on its way from one tier of the object store to the other."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from db.models.columns import optional_time_field, tenant_field, time_field


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
