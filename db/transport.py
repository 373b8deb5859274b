"""How a DSN protects what goes to PostgreSQL and back, and what TLS refused on the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.exc import DBAPIError

from muniment.errors import ConfigurationError, DatabaseUnavailable
from muniment.exposure import Exposure, refuse_exposed, unintended
from muniment.settings import Settings
from muniment.transport import TlsSettings, refusal_of

VERIFIED = "verify-full"
"""The one `sslmode` that neither falls back to plaintext nor takes any certificate (libpq, SSL
support)."""
URL_VARIABLE = "MUNIMENT_DATABASE__URL"
OWNER_URL_VARIABLE = "MUNIMENT_DATABASE__OWNER_URL"
POSTGRESQL = TlsSettings(
    "PostgreSQL",
    authorities="`sslmode=verify-full` and `sslrootcert` in the DSN",
    address="the DSN's host",
    identity="`sslcert` and `sslkey` in the DSN",
)


def database_exposures(dsn: str, variable: str = URL_VARIABLE) -> list[Exposure]:
    """The hosts of the DSN that are not spoken with over verified TLS; sockets are this machine's.
    What the DSN leaves open libpq takes from the environment, and so does this.

    `variable` is the setting that the DSN comes from. Raises ConfigurationError where libpq cannot
    read it, without a word of it: it holds a password.
    """
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.Error:
        raise ConfigurationError(
            f"{variable} is no DSN that libpq reads",
            remedy="Write `postgresql://user:password@host:port/database`, with `%40` and the like for"
            " what is not a letter or digit in the password.",
        ) from None
    parameters = {**_taken_from_the_environment(), **given}
    if parameters.get("sslmode") == VERIFIED:
        return []
    advice = f"Add `sslmode=verify-full` and `sslrootcert` to the DSN in {variable}."
    # A service's file names the host, where nothing else does.
    named = (parameters.get(each) for each in ("hostaddr", "host", "service"))
    hosts = str(next((each for each in named if each), "")).split(",")
    return [Exposure("PostgreSQL", host, advice) for host in hosts if host and not _is_socket(host)]


def client_certificate(dsn: str) -> Path | None:
    """The file with the certificate that PostgreSQL is shown, where the DSN or the environment names
    one."""
    named = {**_taken_from_the_environment(), **conninfo_to_dict(dsn)}.get("sslcert")
    return Path(str(named)) if named else None


def owner_url(settings: Settings) -> str:
    """The DSN of the schema's owner. Raises ConfigurationError where it is not set, or would go to
    another machine without TLS where that is required."""
    dsn = settings.database.owner_url
    if dsn is None:
        raise ConfigurationError(
            f"{OWNER_URL_VARIABLE} is not set",
            remedy="Set it to a DSN of the role that owns the schema.",
        )
    found = database_exposures(dsn.get_secret_value(), OWNER_URL_VARIABLE)
    refuse_exposed(settings, unintended(settings, found))
    return dsn.get_secret_value()


def refused_by_tls(error: BaseException) -> DatabaseUnavailable | None:
    """Ours, with the remedy, for a connection that TLS refused; None for every other error."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    # With a code it is the answer to a statement, and may quote a document.
    if not isinstance(cause, psycopg.OperationalError) or cause.sqlstate is not None:
        return None
    refusal = refusal_of(cause)
    if refusal is None:
        return None
    return DatabaseUnavailable(refusal.detail(POSTGRESQL), remedy=refusal.remedy(POSTGRESQL))


@contextmanager
def tls_refusals_as_ours() -> Iterator[None]:
    """Raises DatabaseUnavailable where TLS refused a connection, and all else as it is."""
    try:
        yield
    except (psycopg.OperationalError, DBAPIError) as error:
        refused = refused_by_tls(error)
        if refused is None:
            raise
        raise refused from error


def _taken_from_the_environment() -> dict[str, str]:
    """`PGHOST`, `PGSSLMODE` and the like, or what libpq takes where neither they nor the DSN say."""
    return {
        each.keyword.decode(): each.val.decode()
        for each in psycopg.pq.Conninfo.get_defaults()
        if each.val is not None
    }


def _is_socket(host: str) -> bool:
    """A folder, or an abstract one."""
    return host.startswith(("/", "@"))
