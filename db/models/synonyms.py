"""Words that mean the same."""

from uuid import UUID

from sqlalchemy import ARRAY, Text
from sqlmodel import Field, SQLModel

from db.models.columns import tenant_field


class Synonym(SQLModel, table=True):
    """A query that has one of `words` finds what has another of them; where `also` is not empty, what has
    one of these instead. `keys`: every lexeme that one of the words has in any language."""

    __tablename__ = "synonym"

    tenant_id: UUID = tenant_field(primary_key=True)
    place: int = Field(primary_key=True)
    words: list[str] = Field(sa_type=ARRAY(Text))
    also: list[str] = Field(sa_type=ARRAY(Text))
    keys: list[str] = Field(sa_type=ARRAY(Text))
