"""`python -m db.migrate [REVISION]`: brings the schema to a revision (default: the newest).

Connects as the schema's owner (`MUNIMENT_DATABASE__OWNER_URL`), makes the application role where it
is missing, and holds an advisory lock, so that several starting processes migrate once. After a restore
into another cluster it takes its events in (db/restored.py).
"""

import sys
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from db.restored import take_in_restored_events
from db.session import sqlalchemy_url
from db.transport import owner_url, tls_refusals_as_ours
from muniment.errors import MunimentError
from muniment.settings import load_settings
from muniment.telemetry.logs import configure_logging

_APPLICATION_ROLE = "muniment_app"
NEWEST = "head"
_LOCK = 0x6D756E69  # an arbitrary constant that only migrations take


def migrate(owner_url: str, revision: str = NEWEST) -> None:
    """Upgrades, or downgrades when `revision` is `base`, `-1` (by one) or such as `0018-1` (to the one
    before that). Of the newest schema it takes in what was restored from another cluster
    (db/restored.py). Raises what the database raises, and DatabaseUnavailable where TLS refuses the
    connection to it."""
    engine = sqlalchemy.create_engine(
        sqlalchemy_url(owner_url), connect_args={"connect_timeout": 10}
    )
    try:
        with tls_refusals_as_ours(), engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
            connection.commit()
            _ensure_application_role(connection)
            config = alembic_config(connection)
            if revision == "base" or "-" in revision:
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
            connection.commit()
            if revision == NEWEST:
                take_in_restored_events(connection)
    finally:
        engine.dispose()


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration over an open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _ensure_application_role(connection: Connection) -> None:
    exists = connection.scalar(
        text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": _APPLICATION_ROLE}
    )
    if exists is None:
        connection.execute(text(f"CREATE ROLE {_APPLICATION_ROLE} LOGIN"))
    connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {_APPLICATION_ROLE}"))
    connection.commit()


def main(arguments: list[str]) -> int:
    try:
        settings = load_settings()
        configure_logging("migrations", settings.telemetry.level)
        migrate(owner_url(settings), *arguments[:1])
    except MunimentError as error:
        sys.stderr.write(f"{error.detail}\n{error.remedy}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
