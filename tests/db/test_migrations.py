"""The schema goes up from nothing and down again, and the models say what it says."""

import warnings

import psycopg
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

import db.models  # noqa: F401 - fills the metadata
from db.migrate import migrate
from db.session import sqlalchemy_url
from tests.conftest import make_database


def public_objects(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'v', 'S')"
            " UNION SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')"
        ).fetchall()
    return {row[0] for row in rows}


def test_up_from_nothing_down_and_up_again(postgres_server: str) -> None:
    dsn = make_database(postgres_server)
    first = public_objects(dsn)
    assert {"file", "job_event", "visible_files", "unstarted_jobs"} <= first
    migrate(dsn, "base")
    assert public_objects(dsn) == {"alembic_version"}
    migrate(dsn)
    assert public_objects(dsn) == first


def test_migrating_twice_changes_nothing(postgres_dsn: str) -> None:
    before = public_objects(postgres_dsn)
    migrate(postgres_dsn)
    assert public_objects(postgres_dsn) == before


def _is_of_the_schema(_item: object, name: str | None, *_: object) -> bool:
    """Graphs of large index versions are made while the service runs."""
    return not (name or "").startswith("embedding_graph_")


def test_the_models_are_the_schema(postgres_dsn: str) -> None:
    engine = sqlalchemy.create_engine(sqlalchemy_url(postgres_dsn))
    with engine.connect() as connection, warnings.catch_warnings():
        # SQLAlchemy does not know PostgreSQL's xid8, which one column of ours has
        warnings.simplefilter("ignore", sqlalchemy.exc.SAWarning)
        context = MigrationContext.configure(connection, opts={"include_object": _is_of_the_schema})
        assert compare_metadata(context, SQLModel.metadata) == []
    engine.dispose()
