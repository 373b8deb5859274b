"""Every table that says something of a file is erased with it, or exempted with a reason."""

from sqlmodel import SQLModel

import db.models  # noqa: F401 - registers the tables
from activities.erasure.stores import COVERED_BY_KEY_DESTRUCTION, EXEMPT, STORES

REFERRING_COLUMNS = {"file_id", "version_id", "job_id", "blob_id", "chunk_id"}
ALWAYS_CHECKED = {"file", "file_version", "blob", "idempotency_key", "audit_event", "job", "batch"}
"""They hold something of a file without a column of that name."""


def referring_tables() -> set[str]:
    return ALWAYS_CHECKED | {
        table.name
        for table in SQLModel.metadata.tables.values()
        if REFERRING_COLUMNS & set(table.columns.keys())
    }


def test_every_table_that_refers_to_a_file_is_registered_or_exempt() -> None:
    registered = {table for store in STORES for table in store.tables}
    known = registered | COVERED_BY_KEY_DESTRUCTION | set(EXEMPT)
    assert referring_tables() - known == set()


def test_nothing_is_both_erased_and_exempt_and_every_name_is_a_table() -> None:
    registered = {table for store in STORES for table in store.tables}
    assert not registered & set(EXEMPT)
    assert registered | COVERED_BY_KEY_DESTRUCTION | set(EXEMPT) <= set(SQLModel.metadata.tables)
    assert all(EXEMPT.values())


def test_store_names_are_unique() -> None:
    names = [store.name for store in STORES]
    assert len(names) == len(set(names))
