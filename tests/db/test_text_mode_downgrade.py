"""Sealed text is not left to the code of before, which cannot open it."""

import psycopg
import pytest

from db.migrate import migrate
from tests.conftest import make_tenant
from tests.db.test_downgrades import dsn_of, revision_of


def test_collections_with_encrypted_text_are_set_to_full_before_a_downgrade(owner_dsn: str) -> None:
    superuser = dsn_of("postgres", owner_dsn)
    make_tenant(superuser)
    while revision_of(owner_dsn) != "0022":
        migrate(owner_dsn, "-1")
    with psycopg.connect(superuser) as connection:
        connection.execute("UPDATE collection SET text_mode = 'encrypted_text'")
    with pytest.raises(Exception, match="there are collections with encrypted_text"):
        migrate(owner_dsn, "-1")
    assert revision_of(owner_dsn) == "0022"
    with psycopg.connect(superuser) as connection:
        connection.execute("UPDATE collection SET text_mode = 'full'")
    migrate(owner_dsn, "-1")
    migrate(owner_dsn)
    make_tenant(superuser)


@pytest.mark.parametrize(
    "mixture",
    [
        "UPDATE chunk SET text_key_id = gen_random_uuid(), sealed_text = 'x'",
        "UPDATE chunk SET text = '', headings = '{}', sealed_text = 'x'",
        "UPDATE chunk SET text = '', headings = '{}', text_key_id = gen_random_uuid()",
    ],
)
def test_no_passage_is_sealed_and_in_the_clear(postgres_dsn: str, mixture: str) -> None:
    """What a mistake of ours would write, PostgreSQL refuses."""
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("SET session_replication_role = replica")  # a chunk without its file
        connection.execute(
            "INSERT INTO chunk (id, tenant_id, file_id, version_id, ordinal, text, text_hash,"
            " token_count, term_count, headings, pages, boxes, created_at)"
            " SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 0,"
            " 'the lease', '', 1, 1, ARRAY['Leases'], '{}', '[]', now()"
        )
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(mixture)
        connection.rollback()
