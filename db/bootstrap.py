"""`python -m db.bootstrap [--tenant NAME] [--principal NAME] [--scopes a,b] [--not-admin] [--operator]`.

Makes a tenant, its default collection and a principal with an API key, as far as they are missing,
and prints the new key once. The tenant `default`, when it is made, and every one that is bootstrapped
with `--operator` makes and disables other tenants. Connects as the schema's owner.
"""

import argparse
import sys
from uuid import UUID

import psycopg

from db.models import new_id
from db.transport import owner_url, tls_refusals_as_ours
from muniment.api_keys import ALL_SCOPES, NewApiKey, new_api_key
from muniment.errors import ConfigurationError, MunimentError
from muniment.settings import load_settings

DEFAULT_TENANT = "default"
DEFAULT_COLLECTION = "default"


def bootstrap(
    dsn: str,
    *,
    tenant: str = DEFAULT_TENANT,
    principal: str = "administrator",
    is_admin: bool = True,
    scopes: tuple[str, ...] = ALL_SCOPES,
    is_operator: bool = False,
) -> NewApiKey:
    """Returns a new key of the principal; tenant, collection and principal are made when missing.

    Raises DatabaseUnavailable where TLS refuses the connection."""
    key = new_api_key()
    with tls_refusals_as_ours(), psycopg.connect(dsn, connect_timeout=10) as connection:
        tenant_id = _get_or_create_tenant(connection, tenant)
        if is_operator:
            connection.execute("UPDATE tenant SET is_operator = true WHERE id = %s", (tenant_id,))
        principal_id = _get_or_create_principal(connection, tenant_id, principal, is_admin)
        connection.execute(
            "INSERT INTO api_key (id, tenant_id, principal_id, name, prefix, key_hash, scopes, created_at)"
            " VALUES (%s, %s, %s, 'bootstrap', %s, %s, %s, now())",
            (new_id(), tenant_id, principal_id, key.prefix, key.hash, list(scopes)),
        )
    return key


def _get_or_create_tenant(connection: psycopg.Connection, name: str) -> UUID:
    connection.execute(
        "INSERT INTO tenant (id, name, is_operator, revision, created_at)"
        " VALUES (%s, %s, %s, 1, now()) ON CONFLICT DO NOTHING",
        (new_id(), name, name == DEFAULT_TENANT),
    )
    tenant_id = _only(connection.execute("SELECT id FROM tenant WHERE name = %s", (name,)))
    connection.execute("SELECT set_config('app.tenant', %s, true)", (str(tenant_id),))
    connection.execute(
        "INSERT INTO collection (id, tenant_id, name, visibility, revision, created_at)"
        " VALUES (%s, %s, %s, 'tenant', 1, now()) ON CONFLICT DO NOTHING",
        (new_id(), tenant_id, DEFAULT_COLLECTION),
    )
    return tenant_id


def _get_or_create_principal(
    connection: psycopg.Connection, tenant_id: UUID, name: str, is_admin: bool
) -> UUID:
    connection.execute(
        "INSERT INTO principal (id, tenant_id, kind, name, is_admin, revision,"
        " disabled_with_tenant, created_at)"
        " VALUES (%s, %s, 'service', %s, %s, 1, false, now()) ON CONFLICT DO NOTHING",
        (new_id(), tenant_id, name, is_admin),
    )
    return _only(
        connection.execute(
            "SELECT id FROM principal WHERE tenant_id = %s AND name = %s AND deleted_at IS NULL",
            (tenant_id, name),
        )
    )


def _only(cursor: psycopg.Cursor) -> UUID:
    row = cursor.fetchone()
    if row is None or not isinstance(row[0], UUID):
        raise ConfigurationError(
            "the owner role cannot see the rows it wrote",
            remedy="Let MUNIMENT_DATABASE__OWNER_URL name the role that ran the migrations.",
        )
    return row[0]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="db.bootstrap", description=__doc__)
    parser.add_argument("--tenant", default=DEFAULT_TENANT)
    parser.add_argument("--principal", default="administrator")
    parser.add_argument("--scopes", default=",".join(ALL_SCOPES))
    parser.add_argument("--not-admin", action="store_true")
    parser.add_argument("--operator", action="store_true")
    options = parser.parse_args(arguments)
    try:
        key = bootstrap(
            owner_url(load_settings()),
            tenant=options.tenant,
            principal=options.principal,
            is_admin=not options.not_admin,
            scopes=tuple(options.scopes.split(",")),
            is_operator=options.operator,
        )
    except MunimentError as error:
        sys.stderr.write(f"{error.detail}\n{error.remedy}\n")
        return 2
    sys.stdout.write(key.secret + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
