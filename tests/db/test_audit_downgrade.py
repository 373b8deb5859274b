"""The audit trail's tree goes down with its tables, and all events are queued anew when it comes back."""

from pathlib import Path

import psycopg

from activities.audit.sealing import Sealer
from db.audit import Act, record
from db.migrate import migrate
from db.session import Database
from muniment.audit.signing_keys import load_signing_keys
from tests.conftest import make_tenant
from tests.db.test_downgrades import dsn_of, revision_of


async def test_a_trail_whose_details_were_erased_goes_down_and_is_queued_anew(
    owner_dsn: str, tmp_path: Path
) -> None:
    tenant = make_tenant(dsn_of("postgres", owner_dsn))
    database = Database(dsn_of("muniment_app", owner_dsn))
    keys = load_signing_keys(tmp_path / "audit-signing.pem", "muniment.test")
    async with database.transaction(tenant.system) as session:
        record(session, Act("file.opened", "file", None, tenant.tenant_id))
    await Sealer(database, keys).seal(tenant.tenant_id)
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        connection.execute("UPDATE audit_event SET payload = NULL, salt = NULL, origin = NULL")
    while revision_of(owner_dsn) != "0042":
        migrate(owner_dsn, "-1")
    migrate(owner_dsn)
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM audit_unsealed), (SELECT count(*) FROM audit_event)"
        ).fetchone()
    assert counts is not None
    assert counts[0] == counts[1] > 0
    sealed = await Sealer(database, keys).seal(tenant.tenant_id)
    assert sealed.events == counts[0]
    await database.close()
