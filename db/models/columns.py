"""Columns that recur, so that every table spells them the same."""

from datetime import UTC, datetime
from uuid import UUID

import uuid_utils.compat
from sqlalchemy import DateTime, ForeignKey
from sqlmodel import Field


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): sorts by time of creation."""
    return uuid_utils.compat.uuid7()


def now() -> datetime:
    """The present in UTC."""
    return datetime.now(UTC)


def id_field() -> UUID:
    return Field(default_factory=new_id, primary_key=True)  # type: ignore[no-any-return] # SQLModel's Field is typed Any


def tenant_field(*, primary_key: bool = False) -> UUID:
    return Field(  # type: ignore[no-any-return] # SQLModel's Field is typed Any
        foreign_key="tenant.id", index=not primary_key, primary_key=primary_key
    )


def time_field() -> datetime:
    return Field(default_factory=now, sa_type=DateTime(timezone=True))  # type: ignore[no-any-return] # SQLModel types sa_type as a class


def optional_time_field() -> datetime | None:
    return Field(default=None, sa_type=DateTime(timezone=True))  # type: ignore[no-any-return] # SQLModel types sa_type as a class


def cascade(target: str) -> ForeignKey:
    """A foreign key whose rows go with the row they point at."""
    return ForeignKey(target, ondelete="CASCADE")
