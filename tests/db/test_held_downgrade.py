"""A release that knows no holds does not get what they keep from being erased."""

from uuid import uuid4

import psycopg
import pytest

from db.migrate import migrate
from tests.conftest import make_tenant
from tests.db.test_downgrades import dsn_of, revision_of


def test_nobody_goes_back_while_an_erasure_is_held(owner_dsn: str) -> None:
    tenant = make_tenant(dsn_of("postgres", owner_dsn))
    while revision_of(owner_dsn) != "0045":
        migrate(owner_dsn, "-1")
    with psycopg.connect(dsn_of("postgres", owner_dsn), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO erasure (id, tenant_id, file_id, state, keys_destroyed, blobs_kept,"
            " ciphertexts_left, created_at) VALUES (%s, %s, %s, 'held', 0, 0, 0, now())",
            (uuid4(), tenant.tenant_id, uuid4()),
        )
        with pytest.raises(Exception, match="erasures are held"):
            migrate(owner_dsn, "-1")
        assert revision_of(owner_dsn) == "0045"
        connection.execute("UPDATE erasure SET state = 'completed'")
    migrate(owner_dsn, "-1")
    assert revision_of(owner_dsn) != "0045"
    migrate(owner_dsn)


def test_nobody_goes_back_while_an_erasure_waits_for_a_policy(owner_dsn: str) -> None:
    tenant = make_tenant(dsn_of("postgres", owner_dsn))
    while revision_of(owner_dsn) != "0046":
        migrate(owner_dsn, "-1")
    with psycopg.connect(dsn_of("postgres", owner_dsn), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO erasure (id, tenant_id, file_id, state, keys_destroyed, blobs_kept,"
            " ciphertexts_left, created_at) VALUES (%s, %s, %s, 'held', 0, 0, 0, now())",
            (uuid4(), tenant.tenant_id, uuid4()),
        )
        connection.execute(
            "INSERT INTO retention_lock (file_id, tenant_id, mode, retain_until, placed_by,"
            " created_at, updated_at) VALUES (%s, %s, 'governance', now(), %s, now(), now())",
            (uuid4(), tenant.tenant_id, uuid4()),
        )
        with pytest.raises(Exception, match="erasures are held"):
            migrate(owner_dsn, "-1")
        connection.execute("UPDATE erasure SET state = 'completed'")
    migrate(owner_dsn, "-1")
    assert revision_of(owner_dsn) != "0046"
    migrate(owner_dsn)


def test_nobody_goes_back_while_a_compliance_lock_stands(owner_dsn: str) -> None:
    tenant = make_tenant(dsn_of("postgres", owner_dsn))
    while revision_of(owner_dsn) != "0046":
        migrate(owner_dsn, "-1")
    with psycopg.connect(dsn_of("postgres", owner_dsn), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO retention_lock (file_id, tenant_id, mode, retain_until, placed_by,"
            " created_at, updated_at) VALUES (%s, %s, 'compliance', now() + interval '1 second',"
            " %s, now(), now())",
            (uuid4(), tenant.tenant_id, uuid4()),
        )
        with pytest.raises(Exception, match="compliance locks"):
            migrate(owner_dsn, "-1")
        connection.execute("SELECT pg_sleep(1.1)")
    migrate(owner_dsn, "-1")
    assert revision_of(owner_dsn) != "0046"
    migrate(owner_dsn)
