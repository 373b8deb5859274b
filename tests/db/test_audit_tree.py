"""The audit trail's tree: all that is committed gets its place, once, whoever writes beside whom."""

import asyncio
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.audit.activity import AuditSealing
from activities.audit.sealing import Sealer, copy_key, newest_copy_key
from db.audit import Act, record
from db.queries import audit_checkpoints, audit_tree
from db.session import Access, Database
from muniment.audit import merkle
from muniment.audit.checkpoints import Checkpoint, opened, origin_of
from muniment.audit.exported import ExportedCheckpoint, ExportedEvent
from muniment.audit.signing_keys import SigningKeys, load_signing_keys
from muniment.audit.verification import Verification, Verifier
from muniment.contracts.seal_audit import SealAuditInput
from muniment.errors import AuditTampered, CheckpointInvalid, ObjectStoreUnavailable
from muniment.objects import FilesystemObjectStore
from muniment.task_group import task_group
from tests.conftest import TenantFixture

WRITERS = 16


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    return load_signing_keys(tmp_path / "audit-signing.pem", "muniment.test")


@pytest.fixture
def sealer(database: Database, keys: SigningKeys) -> Sealer:
    return Sealer(database, keys, batch_events=300)


async def write(database: Database, access: Access, number: int = 1) -> None:
    async with database.transaction(access) as session:
        for _ in range(number):
            act = Act(
                "file.opened", "file", access.tenant_id, access.tenant_id, access.principal_id
            )
            record(session, act)


async def seal_all(sealer: Sealer, tenant: TenantFixture) -> int:
    """How many batches it took."""
    batches = 1
    while not (await sealer.seal(tenant.tenant_id)).is_last:
        batches += 1
    return batches


async def verified(database: Database, tenant: TenantFixture, keys: SigningKeys) -> Verification:
    verifier = Verifier(keys.verifier_keys)
    async with database.transaction(tenant.system) as session:
        events = await audit_checkpoints.sealed_events(session, 0, 2**62, 100_000)
        checkpoints = await audit_checkpoints.checkpoints_between(session, 0, 2**62)
    notes = {each.size: each.note for each in checkpoints}
    for each in events:
        verifier.take(ExportedEvent.model_validate(dict(each)))
        if each["seq"] + 1 in notes:
            verifier.take(ExportedCheckpoint(note=notes[each["seq"] + 1]))
    return verifier.ended()


async def test_what_is_sealed_proves_itself(
    database: Database, tenant: TenantFixture, sealer: Sealer, keys: SigningKeys
) -> None:
    sizes = []
    for number in (1, 2, 600, 5):
        await write(database, tenant.access, number)
        await seal_all(sealer, tenant)
        async with database.transaction(tenant.system) as session:
            newest = await audit_tree.newest_checkpoint(session)
        assert newest is not None
        sizes.append(newest.size)
    found = await verified(database, tenant, keys)
    assert found.is_sound
    assert found.proven == found.events == sizes[-1] == found.commitments_sound
    async with database.transaction(tenant.system) as session:
        leaves = await audit_checkpoints.sealed_events(session, 0, 2**62, 10_000)
        hashes = [each["leaf_hash"] for each in leaves]
        for size in sizes:
            root = merkle.root_of(hashes[:size])
            checkpoint = await audit_checkpoints.checkpoint_at(session, size)
            assert checkpoint is not None
            assert checkpoint.root == root == opened(checkpoint.note, keys.verifier_keys).root
            for seq in {0, size // 2, size - 1}:
                proof = await audit_checkpoints.inclusion_proof(session, seq, size)
                assert merkle.includes(root, size, seq, hashes[seq], proof)
            proof = await audit_checkpoints.consistency_proof(session, size, sizes[-1])
            newest_root = merkle.root_of(hashes)
            assert merkle.is_consistent(root, size, newest_root, sizes[-1], proof)


async def test_who_commits_late_is_sealed_late_and_never_passed_over(
    database: Database, tenant: TenantFixture, sealer: Sealer, keys: SigningKeys
) -> None:
    async with database.transaction(tenant.access) as session:
        act = Act("file.late", "file", None, tenant.tenant_id)
        record(session, act)
        await session.flush()
        await write(database, tenant.access, 3)
        await seal_all(sealer, tenant)
    before = await verified(database, tenant, keys)
    await seal_all(sealer, tenant)
    after = await verified(database, tenant, keys)
    assert (after.events, after.proven) == (before.events + 1, before.events + 1)


async def write_for(
    seconds: float, database: Database, tenant: TenantFixture, sealer: Sealer
) -> int:
    """Sixteen writers, who commit in transactions of their own lengths, while two seal; how many events."""
    end, written, over = time.monotonic() + seconds, 0, asyncio.Event()

    async def writer(number: int) -> None:
        nonlocal written
        while time.monotonic() < end:
            await write(database, tenant.access, 1 + number % 5)
            written += 1 + number % 5

    async def seal() -> None:
        while not over.is_set():
            await sealer.seal(tenant.tenant_id)
            await asyncio.sleep(0.02)

    async with task_group() as sealing:
        for _ in range(2):
            sealing.create_task(seal())
        async with task_group() as writing:
            for number in range(WRITERS):
                writing.create_task(writer(number))
        over.set()
    await seal_all(sealer, tenant)
    return written


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.slow)])
async def test_sixteen_writers_lose_nothing(
    application_dsn: str,
    database: Database,
    tenant: TenantFixture,
    sealer: Sealer,
    keys: SigningKeys,
    seconds: int,
) -> None:
    writing = Database(application_dsn, pool_size=WRITERS)
    try:
        before = await count(database, tenant)
        written = await write_for(seconds, writing, tenant, sealer)
    finally:
        await writing.close()
    found = await verified(database, tenant, keys)
    assert found.is_sound
    assert found.proven == found.events == before + written


async def count(database: Database, tenant: TenantFixture) -> int:
    async with database.transaction(tenant.system) as session:
        found = await session.execute(text("SELECT count(*) FROM audit_event"))
        return int(found.scalar_one())


async def test_nothing_is_built_on_leaves_that_were_changed(
    postgres_dsn: str, database: Database, tenant: TenantFixture, sealer: Sealer
) -> None:
    await write(database, tenant.access, 3)
    await seal_all(sealer, tenant)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE audit_leaf SET hash = sha256('x') WHERE tenant_id = %s AND seq = 1",
            (tenant.tenant_id,),
        )
    await write(database, tenant.access)
    with pytest.raises(AuditTampered):
        await sealer.seal(tenant.tenant_id)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "DELETE FROM audit_leaf WHERE tenant_id = %s AND seq = 1", (tenant.tenant_id,)
        )
    with pytest.raises(AuditTampered):
        await sealer.seal(tenant.tenant_id)


async def test_a_checkpoint_that_another_key_signed_is_not_built_on(
    database: Database, tenant: TenantFixture, sealer: Sealer, tmp_path: Path
) -> None:
    await write(database, tenant.access)
    await seal_all(sealer, tenant)
    await write(database, tenant.access)
    others = load_signing_keys(tmp_path / "others.pem", "muniment.test")
    with pytest.raises(CheckpointInvalid):
        await Sealer(database, others).seal(tenant.tenant_id)


async def test_an_erased_payload_leaves_the_proof(
    database: Database,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    sealer: Sealer,
    keys: SigningKeys,
) -> None:
    await write(database, tenant.access, 2)
    async with database.transaction(tenant.system) as session:
        rows = await session.execute(text("SELECT id FROM audit_event"))
        event_ids = list(rows.scalars())
        assert await audit_checkpoints.erase_details(session, event_ids) == 0  # not sealed yet
    await seal_all(sealer, tenant)
    async with database.transaction(other_tenant.system) as session:
        assert await audit_checkpoints.erase_details(session, event_ids) == 0
    async with database.transaction(tenant.system) as session:
        assert await audit_checkpoints.erase_details(session, event_ids[:2]) == 2
    found = await verified(database, tenant, keys)
    assert found.is_sound
    assert found.proven == len(event_ids)
    assert found.commitments_erased == 2


async def test_events_that_a_restore_queues_again_are_sealed_once(
    postgres_dsn: str,
    database: Database,
    tenant: TenantFixture,
    sealer: Sealer,
    keys: SigningKeys,
) -> None:
    await write(database, tenant.access, 4)
    await seal_all(sealer, tenant)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "INSERT INTO audit_unsealed (tenant_id, id) SELECT tenant_id, id FROM audit_event"
            " WHERE tenant_id = %s",
            (tenant.tenant_id,),
        )
    await write(database, tenant.access)
    await seal_all(sealer, tenant)
    found = await verified(database, tenant, keys)
    assert found.is_sound
    assert found.events == await count(database, tenant)
    async with database.across_tenants() as session:
        assert tenant.tenant_id not in await audit_tree.tenants_with_unsealed(session, None, 10_000)


async def test_checkpoints_are_copied_once(
    database: Database, tenant: TenantFixture, keys: SigningKeys, tmp_path: Path
) -> None:
    copies = FilesystemObjectStore(tmp_path / "copies")
    sealer = Sealer(database, keys, copies)
    await write(database, tenant.access)
    await seal_all(sealer, tenant)
    async with database.across_tenants() as session:
        assert tenant.tenant_id in await audit_tree.tenants_with_uncopied(session, None, 10_000)
    assert await sealer.copy(tenant.tenant_id) == 1
    assert await sealer.copy(tenant.tenant_id) == 0
    async with database.transaction(tenant.system) as session:
        newest = await audit_tree.newest_checkpoint(session)
    assert newest is not None
    copied = (tmp_path / "copies" / copy_key(tenant.tenant_id, newest.size)).read_text()
    assert copied == newest.note


async def test_another_copy_of_that_size_is_not_overwritten(
    database: Database, tenant: TenantFixture, keys: SigningKeys, tmp_path: Path
) -> None:
    sealer = Sealer(database, keys, FilesystemObjectStore(tmp_path / "copies"))
    await write(database, tenant.access)
    await seal_all(sealer, tenant)
    async with database.transaction(tenant.system) as session:
        newest = await audit_tree.newest_checkpoint(session)
    assert newest is not None
    copied = tmp_path / "copies" / copy_key(tenant.tenant_id, newest.size)
    copied.parent.mkdir(parents=True)
    copied.write_text("what was signed before")
    with pytest.raises(AuditTampered):
        await sealer.copy(tenant.tenant_id)
    assert copied.read_text() == "what was signed before"


async def test_leaves_behind_the_newest_checkpoint_are_not_built_on(
    postgres_dsn: str, database: Database, tenant: TenantFixture, sealer: Sealer
) -> None:
    for _ in range(2):
        await write(database, tenant.access, 2)
        await seal_all(sealer, tenant)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "DELETE FROM audit_checkpoint WHERE tenant_id = %(tenant)s AND size ="
            " (SELECT max(size) FROM audit_checkpoint WHERE tenant_id = %(tenant)s)",
            {"tenant": tenant.tenant_id},
        )
    await write(database, tenant.access)
    with pytest.raises(AuditTampered):
        await sealer.seal(tenant.tenant_id)


async def test_what_was_removed_before_it_was_sealed_is_told(
    postgres_dsn: str, database: Database, tenant: TenantFixture, sealer: Sealer
) -> None:
    await write(database, tenant.access, 2)
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "DELETE FROM audit_event WHERE id = (SELECT id FROM audit_event WHERE tenant_id = %s"
            " ORDER BY id DESC LIMIT 1) RETURNING id",
            (tenant.tenant_id,),
        ).fetchone()
    assert row is not None
    sealed = await sealer.seal(tenant.tenant_id)
    assert sealed.events == await count(database, tenant)
    assert list(sealed.removed) == [row[0]]


async def test_a_checkpoint_of_another_tenants_trail_is_not_built_on(
    postgres_dsn: str,
    database: Database,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    sealer: Sealer,
) -> None:
    await write(database, other_tenant.access, 2)
    await seal_all(sealer, other_tenant)
    with psycopg.connect(postgres_dsn) as connection:
        for table, columns in (
            ("audit_leaf", "seq, event_id, commitment, hash"),
            ("audit_checkpoint", "size, root, note, verifier_key, created_at"),
        ):
            connection.execute(
                f"INSERT INTO {table} (tenant_id, {columns})"  # noqa: S608 - constants
                f" SELECT %s, {columns} FROM {table} WHERE tenant_id = %s",
                (tenant.tenant_id, other_tenant.tenant_id),
            )
    await write(database, tenant.access)
    with pytest.raises(AuditTampered):
        await sealer.seal(tenant.tenant_id)


async def test_the_application_can_change_nothing_of_what_seals(
    database: Database, tenant: TenantFixture
) -> None:
    for statement in (
        "UPDATE audit_leaf SET hash = ''",
        "DELETE FROM audit_leaf",
        "UPDATE audit_subtree SET hash = ''",
        "DELETE FROM audit_subtree",
        "UPDATE audit_checkpoint SET note = ''",
        "DELETE FROM audit_checkpoint",
        "INSERT INTO audit_unsealed (tenant_id, id) VALUES (gen_random_uuid(), gen_random_uuid())",
    ):
        with pytest.raises(Exception, match="permission denied"):
            async with database.transaction(tenant.system) as session:
                await session.execute(text(statement))


async def test_a_batch_that_ends_before_it_is_committed_leaves_nothing(
    database: Database, tenant: TenantFixture, sealer: Sealer, keys: SigningKeys
) -> None:
    await write(database, tenant.access, 300)

    async def interrupted() -> None:
        async with database.transaction(tenant.system) as session:
            await audit_tree.seal_queued(session, tenant.tenant_id, None, 1_000)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await interrupted()
    await seal_all(sealer, tenant)
    found = await verified(database, tenant, keys)
    assert found.is_sound
    assert found.events == await count(database, tenant)


async def test_one_seals_at_a_time(
    database: Database, tenant: TenantFixture, sealer: Sealer
) -> None:
    await write(database, tenant.access)
    async with database.transaction(tenant.system) as session:
        assert await audit_tree.take_turn(session, tenant.tenant_id)
        assert (await sealer.seal(tenant.tenant_id)).events == 0
    assert (await sealer.seal(tenant.tenant_id)).events > 0


async def test_a_database_that_was_restored_is_not_sealed_any_further(
    postgres_dsn: str,
    database: Database,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    keys: SigningKeys,
    tmp_path: Path,
) -> None:
    """The trail as it was: no leaf, checkpoint or event of later is there."""
    copies = FilesystemObjectStore(tmp_path / "copies")
    sealer = Sealer(database, keys, copies)
    await write(database, tenant.access, 2)
    await seal_all(sealer, tenant)
    assert await sealer.copy(tenant.tenant_id) == 1
    with psycopg.connect(postgres_dsn) as connection:
        (before,) = connection.execute(
            "SELECT max(size) FROM audit_checkpoint WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone() or (0,)
    await write(database, tenant.access, 3)
    await seal_all(sealer, tenant)
    assert await sealer.copy(tenant.tenant_id) == 1
    with psycopg.connect(postgres_dsn) as connection:
        cut = {"tenant": tenant.tenant_id, "before": before}
        for statement in (
            "DELETE FROM audit_checkpoint WHERE tenant_id = %(tenant)s AND size > %(before)s",
            "DELETE FROM audit_event WHERE id IN (SELECT event_id FROM audit_leaf"
            " WHERE tenant_id = %(tenant)s AND seq >= %(before)s)",
            "DELETE FROM audit_leaf WHERE tenant_id = %(tenant)s AND seq >= %(before)s",
            "UPDATE audit_checkpoint SET copied_at = NULL WHERE tenant_id = %(tenant)s",
        ):
            connection.execute(statement, cut)
    await write(database, tenant.access)
    restarted = Sealer(database, keys, copies)
    for _ in range(2):  # neither does a copy make it forget what lies there
        with pytest.raises(AuditTampered, match="the database has none"):
            await restarted.seal(tenant.tenant_id)
        with pytest.raises(AuditTampered, match="the database has none"):
            await restarted.copy(tenant.tenant_id)
    await write(database, other_tenant.access)
    assert (await restarted.seal(other_tenant.tenant_id)).events

    (tmp_path / "copies" / newest_copy_key(tenant.tenant_id)).unlink()  # somebody meant it
    assert (await restarted.seal(tenant.tenant_id)).events == 1


async def test_another_trail_than_the_copied_one_is_not_sealed_any_further(
    database: Database,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    keys: SigningKeys,
    tmp_path: Path,
) -> None:
    sealer = Sealer(database, keys, FilesystemObjectStore(tmp_path / "copies"))
    await write(database, tenant.access)
    await seal_all(sealer, tenant)
    await sealer.copy(tenant.tenant_id)
    async with database.transaction(tenant.system) as session:
        newest = await audit_tree.newest_checkpoint(session)
    assert newest is not None
    kept = tmp_path / "copies" / newest_copy_key(tenant.tenant_id)
    await write(database, tenant.access)
    for tenant_id, reason in (
        (tenant.tenant_id, "another checkpoint"),
        (other_tenant.tenant_id, "another tenant"),
    ):
        said = Checkpoint(origin_of(keys.signer.name, tenant_id), newest.size, b"x" * 32)
        kept.write_text(keys.signer.sign(said))
        with pytest.raises(AuditTampered, match=reason):
            await sealer.seal(tenant.tenant_id)
    kept.write_text("no note")
    with pytest.raises(CheckpointInvalid):
        await sealer.seal(tenant.tenant_id)
    kept.write_text(newest.note)
    assert (await sealer.seal(tenant.tenant_id)).events == 1


async def test_a_second_place_that_does_not_answer_keeps_nothing_unsealed(
    database: Database, tenant: TenantFixture, keys: SigningKeys, tmp_path: Path
) -> None:
    sealer = Sealer(database, keys, FilesystemObjectStore(tmp_path / "copies"))
    await write(database, tenant.access)
    newest = tmp_path / "copies" / newest_copy_key(tenant.tenant_id)
    newest.parent.mkdir(parents=True)
    newest.symlink_to(newest)  # cannot be read
    with pytest.raises(ObjectStoreUnavailable):
        await sealer.seal(tenant.tenant_id)
    sealing = AuditSealing(database, sealer)
    await ActivityEnvironment().run(sealing.seal_audit, SealAuditInput())
    async with database.transaction(tenant.system) as session:
        assert await audit_tree.newest_checkpoint(session) is not None
