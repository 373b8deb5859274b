"""Alembic's environment: the owner's connection is handed over in the configuration's attributes."""

from alembic import context
from sqlmodel import SQLModel

import db.models  # noqa: F401 - fills the metadata that autogenerate compares with

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
