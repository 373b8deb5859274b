"""`python -m db.quotas --tenant NAME [--bytes N] [--files N] [--pages N] [--default] [--recount]`.

Gives a tenant a quota of its own, or with `--default` takes it away again, so that the settings hold.
`none` is any amount; what is not named stays as it is. `--recount` counts anew what the tenant keeps, and
prints by how much the count was wrong. Prints what the tenant keeps and may keep.
Connects as the schema's owner: no key of the API can do this, an administrator's of the tenant neither.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict, astuple, replace
from typing import LiteralString
from uuid import UUID

import psycopg

from db.models import new_id
from db.queries.quotas import Amounts, Quota, Standing
from muniment.errors import ConfigurationError
from muniment.settings import load_settings

_SALT_BYTES = 16
_AMOUNTS = ("bytes", "files", "pages")
_MOST = 2**63 - 1


def set_quota(owner_url: str, tenant: str, quota: Quota | None) -> None:
    """The tenant has this quota from the commit on; None: the default. What it keeps above it stays,
    and nothing is added. Raises ConfigurationError where there is no such tenant."""
    with psycopg.connect(owner_url, connect_timeout=10) as connection:
        tenant_id = act_for(connection, tenant)
        if quota is None:
            connection.execute("DELETE FROM tenant_quota WHERE tenant_id = %s", (tenant_id,))
        else:
            connection.execute(
                "INSERT INTO tenant_quota (tenant_id, max_bytes, max_files, max_pages, updated_at)"
                " VALUES (%s, %s, %s, %s, now()) ON CONFLICT (tenant_id) DO UPDATE SET"
                " max_bytes = excluded.max_bytes, max_files = excluded.max_files,"
                " max_pages = excluded.max_pages, updated_at = excluded.updated_at",
                (tenant_id, quota.max_bytes, quota.max_files, quota.max_pages),
            )
        _record(connection, tenant_id, "quota.set", _payload(quota))


def get_standing(owner_url: str, tenant: str, default: Quota) -> Standing:
    """What the tenant keeps and may keep; raises ConfigurationError where there is none."""
    with psycopg.connect(owner_url, connect_timeout=10) as connection:
        tenant_id = act_for(connection, tenant)
        used = connection.execute(
            "SELECT bytes, files, pages FROM tenant_usage WHERE tenant_id = %s", (tenant_id,)
        ).fetchone()
        own = connection.execute(
            "SELECT max_bytes, max_files, max_pages FROM tenant_quota WHERE tenant_id = %s",
            (tenant_id,),
        ).fetchone()
    return Standing(
        Amounts() if used is None else Amounts(*used), default if own is None else Quota(*own)
    )


def recount(owner_url: str, tenant: str) -> tuple[Amounts, Amounts]:
    """What was counted, and what the rows come to, which is the count from here on. Whoever adds or
    erases meanwhile waits, and is counted behind it. Raises ConfigurationError where there is none."""
    with psycopg.connect(owner_url, connect_timeout=10) as connection:
        tenant_id = act_for(connection, tenant)
        counted = _amounts(connection, "SELECT bytes, files, pages FROM take_usage_turn()")
        # A statement of its own: it sees what was committed before the turn came.
        kept = _amounts(connection, _SUM)
        connection.execute(
            "UPDATE tenant_usage SET bytes = %s, files = %s, pages = %s WHERE tenant_id = %s",
            (kept.bytes, kept.files, kept.pages, tenant_id),
        )
        payload = json.dumps({"counted": asdict(counted), "kept": asdict(kept)})
        _record(connection, tenant_id, "quota.recounted", payload)
    return counted, kept


_SUM = """
    SELECT coalesce(sum(content.bytes), 0)::bigint, count(*), coalesce(sum(content.pages), 0)::bigint
    FROM file
    LEFT JOIN (
        SELECT file_id, sum(size) AS bytes, sum(counted_pages) AS pages
        FROM file_version WHERE tenant_id = (SELECT current_tenant()) GROUP BY file_id
    ) content ON content.file_id = file.id
    WHERE file.tenant_id = (SELECT current_tenant()) AND file.state <> 'erased'
"""


def _amounts(connection: psycopg.Connection, statement: LiteralString) -> Amounts:
    found = connection.execute(statement).fetchone()
    return Amounts() if found is None else Amounts(*found)


def _record(connection: psycopg.Connection, tenant_id: UUID, action: str, payload: str) -> None:
    connection.execute(
        "INSERT INTO audit_event (id, tenant_id, at, actor_kind, action, object_type, object_id,"
        " payload, salt) VALUES (%s, %s, now(), 'system', %s, 'tenant', %s, %s, %s)",
        (new_id(), tenant_id, action, tenant_id, payload, os.urandom(_SALT_BYTES)),
    )


def act_for(connection: psycopg.Connection, tenant: str) -> UUID:
    """The id of the tenant, for which the transaction acts from here on. Raises ConfigurationError where
    there is none of this name."""
    found = connection.execute("SELECT id FROM tenant WHERE name = %s", (tenant,)).fetchone()
    if found is None:
        raise ConfigurationError(
            f"there is no tenant {tenant}",
            remedy="Correct the name; `python -m db.bootstrap` makes one.",
        )
    connection.execute("SELECT set_config('app.tenant', %s, true)", (str(found[0]),))
    return UUID(str(found[0]))


def _payload(quota: Quota | None) -> str:
    if quota is None:
        return json.dumps({"default": True})
    limits = {"bytes": quota.max_bytes, "files": quota.max_files, "pages": quota.max_pages}
    return json.dumps(limits)


def amount(argument: str) -> int | None:
    """Of an argument of a command: None for `none`. Raises ValueError."""
    if argument == "none":
        return None
    amount = int(argument)
    if not 0 <= amount <= _MOST:
        raise ValueError
    return amount


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="db.quotas", description=__doc__)
    parser.add_argument("--tenant", required=True)
    for name in _AMOUNTS:
        # Left out where it is not named, which is not the same as `none`.
        parser.add_argument(f"--{name}", type=amount, default=argparse.SUPPRESS)
    parser.add_argument("--default", action="store_true")
    parser.add_argument("--recount", action="store_true")
    options = parser.parse_args(arguments)
    named = {f"max_{name}": limit for name, limit in vars(options).items() if name in _AMOUNTS}
    if options.default and named:
        parser.error("--default takes the tenant's own quota away: name no amounts with it")
    settings = load_settings()
    if settings.database.owner_url is None:
        raise ConfigurationError("MUNIMENT_DATABASE__OWNER_URL is not set")
    owner_url = settings.database.owner_url.get_secret_value()
    default = Quota(**settings.quotas.model_dump())
    if options.default:
        set_quota(owner_url, options.tenant, None)
    elif named:
        present = get_standing(owner_url, options.tenant, default).quota
        set_quota(owner_url, options.tenant, replace(present, **named))
    if options.recount:
        sys.stdout.write(_compared(*recount(owner_url, options.tenant)))
    sys.stdout.write(_shown(get_standing(owner_url, options.tenant, default)))
    return 0


def _compared(counted: Amounts, kept: Amounts) -> str:
    """What was wrong, if anything."""
    return "".join(
        f"{name}: {before} were counted, {there} are kept\n"
        for name, before, there in zip(_AMOUNTS, astuple(counted), astuple(kept), strict=True)
        if before != there
    )


def _shown(standing: Standing) -> str:
    used, quota = standing.used, standing.quota
    return "".join(
        f"{name}: {amount} of {'any' if limit is None else limit}\n"
        for name, amount, limit in (
            ("bytes", used.bytes, quota.max_bytes),
            ("files", used.files, quota.max_files),
            ("pages", used.pages, quota.max_pages),
        )
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
