"""Files that a collection holds besides its own, as the vector stores of OpenAI's clients do."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, Index, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, tenant_field, time_field


class VectorStoreFile(SQLModel, table=True):
    """A file of another collection that this one is searched with. It gives nobody a right: who may read
    the file is as without it."""

    __tablename__ = "vector_store_file"
    __table_args__ = (Index("ix_vector_store_file_file_id", "file_id"),)

    collection_id: UUID = Field(foreign_key="collection.id", ondelete="CASCADE", primary_key=True)
    file_id: UUID = Field(foreign_key="file.id", ondelete="CASCADE", primary_key=True)
    tenant_id: UUID = tenant_field()
    created_at: datetime = time_field()


class VectorStoreBatch(SQLModel, table=True):
    """Files that were added in one request. What has become of them is seen in the files."""

    __tablename__ = "vector_store_batch"
    __table_args__ = (Index("ix_vector_store_batch_collection_id", "collection_id"),)

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    collection_id: UUID = Field(foreign_key="collection.id", ondelete="CASCADE")
    file_ids: list[UUID] = Field(sa_column=Column(ARRAY(Uuid), nullable=False))
    created_at: datetime = time_field()
