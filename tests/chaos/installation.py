"""An API process over servers of its own, each behind a line: all of them can be struck and mended."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from db.session import Database
from muniment.objects import connect_s3
from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.test_upload_pieces import blob_store
from tests.chaos.line import Line, line_to
from tests.chaos.postgres_process import PostgresProcess, own_postgres
from tests.chaos.small_disk import SmallDisk, small_disk
from tests.conformance.s3_server import S3Bucket, S3Process, S3Server
from tests.conftest import TenantFixture, free_port, make_database, make_tenant
from tests.patience import on_a_busy_machine
from worker.spent_uploads import SpentUploads
from worker.sweep import Sweep

STORE_MEGABYTES = 512
DATABASE_MEGABYTES = 64
READY_SECONDS = 30
STATEMENT_TIMEOUT_SECONDS = 8
UNFORESEEN = "an unexpected error"


@dataclass
class Installation:
    """`s3` and `store_line` where the ciphertexts lie on an S3 server; disks where we are root."""

    api: ApiProcess
    client_line: Line
    postgres: PostgresProcess
    database_line: Line
    owner_dsn: str
    s3: S3Process | None
    store_line: Line | None
    store_disk: SmallDisk | None
    database_disk: SmallDisk | None

    def new_tenant(self) -> TenantFixture:
        return make_tenant(self.owner_dsn)

    def client(self, tenant: TenantFixture, *, by_line: bool = False) -> httpx.AsyncClient:
        client = client_of(self.api, tenant.api_key)
        client.timeout = httpx.Timeout(240)
        if by_line:
            client.base_url = httpx.URL(f"http://127.0.0.1:{self.client_line.port}")
        return client

    def kill_api(self) -> None:
        self.api.process.kill()
        self.api.process.wait()

    def start_api(self) -> None:
        """A successor at the same address."""
        self.api = start_api(self.api.home, self.api.environment, self.api.bucket)

    async def until_told(self, missing: str | None) -> None:
        """Until `/readyz` says that this dependency, or none that is required, is down."""
        async with asyncio.timeout(on_a_busy_machine(READY_SECONDS)):
            while await self._down() != ({missing} if missing else set()):  # noqa: ASYNC110 - others
                await asyncio.sleep(0.2)

    async def _down(self) -> set[str]:
        async with httpx.AsyncClient(trust_env=False, timeout=15) as client:
            answer = await client.get(f"{self.api.url}/readyz")
        down = {
            each["name"]
            for each in answer.json()["dependencies"]
            if each["required"] and each["state"] == "down"
        }
        assert answer.status_code == (503 if down else 200)
        return down

    def end_leases(self) -> None:
        """Lets the time pass for which a request that was killed is waited for."""
        with psycopg.connect(self.owner_dsn) as connection:
            connection.execute("UPDATE idempotency_key SET lease_until = now() - interval '1 s'")

    async def sweep(self) -> None:
        """What workers do every day and every few seconds, at once and without a grace period."""
        database = Database(self.owner_dsn.replace("//postgres:@", "//muniment_app@"))
        async with blob_store(self.api) as blobs:
            await SpentUploads(database, blobs).round()
            await Sweep(database, blobs, timedelta(0), timedelta(0)).round()
        await database.close()

    def require_rows_and_blobs_agree(self, tenant_id: UUID) -> None:
        """No blob without a row, no row without ciphertext and key, nothing half-written."""
        with psycopg.connect(self.owner_dsn) as connection:
            rows = connection.execute(
                "SELECT id FROM blob WHERE tenant_id = %(tenant)s AND destroyed_at IS NULL"
                " UNION ALL SELECT blob_id FROM upload_part WHERE tenant_id = %(tenant)s",
                {"tenant": tenant_id},
            ).fetchall()
        known = sorted(row[0] for row in rows)
        keys = self.api.home / "keys" / "wrapped"
        for root in (self.api.objects, keys):
            assert _blobs_below(root / str(tenant_id)) == known, root.name
            assert list((root / ".uploads").glob("*")) == []
        if self.api.bucket is not None:
            server = self.api.bucket.server
            client = connect_s3(server.endpoint, server.access_key, server.secret_key, secure=False)
            assert client._list_multipart_uploads(self.api.bucket.name).uploads == []
            client._http.clear()

    def forget(self, tenant_id: UUID) -> None:
        """Makes room on the small disk: nobody asks for the tenant's content again."""
        shutil.rmtree(self.api.objects / str(tenant_id))

    def require_nothing_unforeseen(self) -> None:
        log = (self.api.home / "api.jsonl").read_text(encoding="utf-8")
        assert UNFORESEEN not in log, log[log.index(UNFORESEEN) - 500 :][:6000]


def _blobs_below(folder: Path) -> list[UUID]:
    return sorted(UUID(path.name) for path in folder.rglob("*") if path.is_file())


@contextmanager
def installed(home: Path, temporal_address: str, *, on_s3: bool) -> Iterator[Installation]:
    """Everything runs, and is ended on leaving."""
    home.mkdir()
    with ExitStack() as running:
        disks = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="muniment-disks-")))
        disks.chmod(0o711)  # PostgreSQL's account goes through
        store_disk = _disk(running, disks / "store", STORE_MEGABYTES)
        database_disk = _disk(running, disks / "database", DATABASE_MEGABYTES)
        postgres = running.enter_context(own_postgres())
        owner_dsn = make_database(postgres.dsn)
        if database_disk is not None:
            _move_to(postgres, owner_dsn, database_disk.root)
        database_line = running.enter_context(line_to(postgres.socket))
        s3 = store_line = bucket = None
        store = (store_disk.root if store_disk else disks) / "objects"
        if on_s3:
            s3 = S3Process(store)
            running.callback(s3.stop)
            s3.start()
            store_line = running.enter_context(line_to(s3.server.endpoint))
            through_line = S3Server(f"127.0.0.1:{store_line.port}", s3.server.folder)
            bucket = S3Bucket(through_line, s3.server.new_bucket().name)
        else:
            store.mkdir()
            (home / "objects").symlink_to(store)
        name = conninfo_to_dict(owner_dsn)["dbname"]
        environment = {
            "MUNIMENT_DATABASE__URL": "postgresql://muniment_app@127.0.0.1:"
            f"{database_line.port}/{name}",
            "MUNIMENT_DATABASE__STATEMENT_TIMEOUT_SECONDS": str(STATEMENT_TIMEOUT_SECONDS),
            "MUNIMENT_TEMPORAL__ADDRESS": temporal_address,
            "MUNIMENT_API__PORT": str(port := free_port()),
        }
        api = start_api(home, environment, bucket)
        client_line = running.enter_context(line_to(f"127.0.0.1:{port}"))
        installation = Installation(
            api, client_line, postgres, database_line, owner_dsn,
            s3, store_line, store_disk, database_disk,
        )  # fmt: skip
        running.callback(lambda: stop_api(installation.api))
        yield installation


def _disk(running: ExitStack, root: Path, megabytes: int) -> SmallDisk | None:
    """None without root's rights: what needs it says so."""
    if os.geteuid() != 0:
        return None
    return running.enter_context(small_disk(root, megabytes))


def _move_to(postgres: PostgresProcess, owner_dsn: str, disk: Path) -> None:
    """All of the database's tables and indexes to a disk of their own; its log stays where it was."""
    postgres.give(disk)
    name = conninfo_to_dict(owner_dsn)["dbname"]
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(str(disk)))
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET TABLESPACE small").format(sql.Identifier(str(name)))
        )
