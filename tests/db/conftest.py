"""A database whose owner may do no more than own it, as on servers that others run."""

import psycopg
import pytest
from psycopg import sql

from db.migrate import migrate
from db.models import new_id
from tests.conftest import keep_era


@pytest.fixture(scope="session")
def owned_database(postgres_server: str, postgres_dsn: str) -> str:
    """The name of a migrated database, and of its owner, who has no privilege but that; the
    application's role is there since `postgres_dsn` was. Nobody connects to it: it is copied."""
    name = f"owned_{new_id().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name)))
    superuser = postgres_server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(name)))
    migrate(superuser.replace("//postgres:@", f"//{name}@"))
    return name


@pytest.fixture
def owner_dsn(postgres_server: str, owned_database: str) -> str:
    """The owner's DSN of a copy of it, the test's own."""
    name, owner = f"copy_{new_id().hex}", owned_database
    made = sql.SQL("CREATE DATABASE {0} OWNER {1} TEMPLATE {1}")
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(made.format(sql.Identifier(name), sql.Identifier(owner)))
    copy = postgres_server.replace("/postgres?", f"/{name}?")
    keep_era(copy)
    return copy.replace("//postgres:@", f"//{owner}@")
