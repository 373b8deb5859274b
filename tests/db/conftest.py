"""A database whose owner may do no more than own it, as on servers that others run."""

import psycopg
import pytest
from psycopg import sql

from db.migrate import migrate
from db.models import new_id


@pytest.fixture
def owner_dsn(postgres_server: str, postgres_dsn: str) -> str:
    """The DSN of an owner without any privilege but its own database, which is migrated; the
    application's role is there since `postgres_dsn` was."""
    name = f"owned_{new_id().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name)))
    superuser = postgres_server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(name)))
    dsn = superuser.replace("//postgres:@", f"//{name}@")
    migrate(dsn)
    return dsn
