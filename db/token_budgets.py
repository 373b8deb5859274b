"""`python -m db.token_budgets --tenant NAME [--monthly N | --default]`.

Gives a tenant a number of its own of tokens that language models may read and write for it in a month, or
with `--default` takes it away again, so that the settings hold. `none` is any number. Prints what is used.
Connects as the schema's owner: no key of the API can do this.
"""

import argparse
import json
import os
import sys
from uuid import UUID

import psycopg

from db.models import new_id, now
from db.quotas import act_for, amount
from muniment.errors import ConfigurationError
from muniment.settings import load_settings

_SALT_BYTES = 16


def set_budget(owner_url: str, tenant: str, monthly_tokens: int | None) -> None:
    """From the commit on; None: any number. Raises ConfigurationError where there is no such tenant."""
    with psycopg.connect(owner_url, connect_timeout=10) as connection:
        tenant_id = act_for(connection, tenant)
        connection.execute(
            "INSERT INTO token_budget (tenant_id, monthly_tokens, updated_at)"
            " VALUES (%s, %s, now()) ON CONFLICT (tenant_id) DO UPDATE SET"
            " monthly_tokens = excluded.monthly_tokens, updated_at = excluded.updated_at",
            (tenant_id, monthly_tokens),
        )
        _record(connection, tenant_id, json.dumps({"monthly_tokens": monthly_tokens}))


def drop_budget(owner_url: str, tenant: str) -> None:
    """The default of the settings holds from the commit on."""
    with psycopg.connect(owner_url, connect_timeout=10) as connection:
        tenant_id = act_for(connection, tenant)
        connection.execute("DELETE FROM token_budget WHERE tenant_id = %s", (tenant_id,))
        _record(connection, tenant_id, json.dumps({"default": True}))


def standing(owner_url: str, tenant: str, default: int | None) -> tuple[int, int | None]:
    """Tokens used in this month, and how many there may be."""
    with psycopg.connect(owner_url, connect_timeout=10) as connection:
        tenant_id = act_for(connection, tenant)
        used = connection.execute(
            "SELECT tokens FROM token_usage WHERE tenant_id = %s AND month = %s",
            (tenant_id, now().date().replace(day=1)),
        ).fetchone()
        own = connection.execute(
            "SELECT monthly_tokens FROM token_budget WHERE tenant_id = %s", (tenant_id,)
        ).fetchone()
    return 0 if used is None else int(used[0]), default if own is None else own[0]


def _record(connection: psycopg.Connection, tenant_id: UUID, payload: str) -> None:
    connection.execute(
        "INSERT INTO audit_event (id, tenant_id, at, actor_kind, action, object_type, object_id,"
        " payload, salt) VALUES (%s, %s, now(), 'system', 'token_budget.set', 'tenant', %s, %s, %s)",
        (new_id(), tenant_id, tenant_id, payload, os.urandom(_SALT_BYTES)),
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="db.token_budgets", description=__doc__)
    parser.add_argument("--tenant", required=True)
    changes = parser.add_mutually_exclusive_group()
    changes.add_argument("--monthly", type=amount, default=argparse.SUPPRESS)
    changes.add_argument("--default", action="store_true")
    options = parser.parse_args(arguments)
    settings = load_settings()
    if settings.database.owner_url is None:
        raise ConfigurationError("MUNIMENT_DATABASE__OWNER_URL is not set")
    owner_url = settings.database.owner_url.get_secret_value()
    if options.default:
        drop_budget(owner_url, options.tenant)
    elif "monthly" in options:
        set_budget(owner_url, options.tenant, options.monthly)
    used, limit = standing(owner_url, options.tenant, settings.models.monthly_tokens)
    sys.stdout.write(f"tokens this month: {used} of {'any' if limit is None else limit}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
