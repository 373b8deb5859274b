"""Every migration goes down and up again over data, as an owner who is no superuser, and leaves
nothing behind that somebody could read and nobody would erase."""

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from db.migrate import migrate
from db.models import (
    Activity,
    Annotation,
    AnnotationAnchor,
    AnnotationComment,
    Batch,
    BatchItem,
    ComparedPage,
    File,
    FileVersion,
    IntegrityFault,
    IntegrityRun,
    Job,
    KeyRotation,
    ModelPause,
    PageLayer,
    ReadingComparison,
    ShareLink,
    ShareSession,
    ShareTry,
    Synonym,
    TierPolicy,
    TokenReservation,
    TokenUsage,
    Upload,
    UploadPart,
    UploadTimer,
    VectorStoreBatch,
    VectorStoreFile,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEvent,
    new_id,
    now,
)
from db.queries import webhooks
from db.queries.job_passwords import keep_password
from db.queries.quotas import Quota
from db.quotas import set_quota
from db.session import Database
from muniment.api_keys import ALL_SCOPES
from muniment.errors import KeyDestroyed
from muniment.objects import BlobStore, FilesystemObjectStore, SealedBlob
from muniment.sealing import KeyFile
from tests.conftest import TenantFixture, make_tenant
from tests.db.conversed import add_conversation
from tests.db.evaluated import add_evaluation, add_question_list
from tests.db.held import add_hold
from tests.db.judged import add_judgement
from tests.db.people import add_people
from tests.db.retained import add_retention
from tests.db.subjects import add_subject_request
from tests.worker.jobs import commit_job
from worker.sweep import Sweep

REVISIONS = 51
"""Migrations that there were when this was written: a later one adds its data below."""


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(
        FilesystemObjectStore(tmp_path / "objects"),
        KeyFile(tmp_path / "keys" / "tenants.json"),
        FilesystemObjectStore(tmp_path / "wrapped"),
    )


def dsn_of(role: str, owner_dsn: str) -> str:
    """The DSN of the same database for another role."""
    return f"postgresql://{role}@{owner_dsn.partition('@')[2]}"


def revision_of(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else "base"


async def fill(database: Database, tenant: TenantFixture, blobs: BlobStore) -> list[SealedBlob]:
    """Rows in every table that a migration after the first made or changed; the blobs that only they
    name: a password, a piece of an upload, and a secret of a webhook."""
    job, member = [await commit_job(database, tenant, startable=True) for _ in range(2)]
    password = await blobs.put_bytes(tenant.tenant_id, b"open sesame")
    piece = await blobs.put_bytes(tenant.tenant_id, b"as far as it came")
    secret = await blobs.put_bytes(tenant.tenant_id, b"signs")
    questions = await blobs.put_bytes(tenant.tenant_id, b"the key of what is asked")
    subject = await blobs.put_bytes(tenant.tenant_id, b"the key of who asks")
    async with database.transaction(tenant.system) as session:
        await keep_password(session, await session.get_one(Job, job.id), password)
        file = await session.get_one(File, member.file_id)
        file.parent_id, file.parent_version_id = job.file_id, job.version_id
        file.root_id, file.member_ordinal, file.member_path = job.file_id, 0, "a/b.txt"
        named, imported = [
            Batch(
                id=new_id(),
                tenant_id=tenant.tenant_id,
                workflow_id=f"batch-{new_id()}",
                state="running",
                total=1,
                requested_by=tenant.principal_id,
                source=source,
                prefix="private/" if source else "",
                collection_id=tenant.collection_id if source else None,
            )
            for source in (None, "inbox")
        ]
        session.add_all([named, imported])
        await session.flush()
        for batch, key in ((named, None), (imported, "private/name of a person.pdf")):
            session.add(
                BatchItem(
                    batch_id=batch.id,
                    number=1,
                    tenant_id=tenant.tenant_id,
                    file_id=None if key else job.file_id,
                    is_own=False,
                    object_key=key,
                    object_size=0,
                )
            )
        version = await session.get_one(FileVersion, job.version_id)
        session.add(
            PageLayer(
                version_id=version.id,
                page=1,
                engine="rapidocr",
                engine_version="1",
                tenant_id=tenant.tenant_id,
                source="ocr",
                blob_id=version.blob_id,
                position=0,
                is_current=True,
                read_at=now(),
            )
        )
        compared = ReadingComparison(
            version_id=version.id,
            candidate="tesseract",
            tenant_id=tenant.tenant_id,
            file_id=job.file_id,
            job_id=job.id,
            created_at=now(),
        )
        session.add_all(
            [
                compared,
                KeyRotation(tenant_id=tenant.tenant_id, state="running", provider="vault"),
                IntegrityRun(
                    tenant_id=tenant.tenant_id,
                    workflow_id=f"verify-{new_id()}",
                    state="completed",
                    finished_at=now(),
                ),
                IntegrityFault(
                    tenant_id=tenant.tenant_id, blob_id=version.blob_id, kind="seal-broken"
                ),
            ]
        )
        await session.flush()
        session.add(
            ComparedPage(
                version_id=version.id,
                candidate=compared.candidate,
                page=1,
                tenant_id=tenant.tenant_id,
                similarity=1.0,
                present_words=1,
                candidate_words=1,
                words_lost=0,
                words_gained=0,
            )
        )
        upload = Upload(
            tenant_id=tenant.tenant_id,
            principal_id=tenant.principal_id,
            state="open",
            received=piece.size,
            parts=1,
        )
        session.add_all([upload, UploadTimer(tenant_id=tenant.tenant_id)])
        session.add(
            Synonym(tenant_id=tenant.tenant_id, place=0, words=["a", "b"], also=[], keys=["a", "b"])
        )
        session.add(TierPolicy(tenant_id=tenant.tenant_id, collection_id=tenant.collection_id))
        await add_judgement(session, tenant, job)
        in_store = {"tenant_id": tenant.tenant_id, "collection_id": tenant.collection_id}
        session.add_all(
            [
                VectorStoreFile(file_id=job.file_id, **in_store),
                VectorStoreBatch(file_ids=[job.file_id], **in_store),
            ]
        )
        share = ShareLink(
            tenant_id=tenant.tenant_id,
            file_id=job.file_id,
            created_by=tenant.principal_id,
            token_hash=new_id().bytes,
            session_key=b"key",
            networks=["192.0.2.0/24"],
            expires_at=now(),
        )
        session.add(share)
        await session.flush()
        session.add(
            UploadPart(
                upload_id=upload.id,
                start=0,
                tenant_id=tenant.tenant_id,
                size=piece.size,
                blob_id=piece.blob_id,
            )
        )
        session.add(
            ShareSession(
                share_id=share.id,
                session_id=new_id(),
                tenant_id=tenant.tenant_id,
                expires_at=now(),
            )
        )
        session.add(
            ShareTry(tenant_id=tenant.tenant_id, share_id=share.id, address=b"address", at=now())
        )
        session.add_all(
            [
                ModelPause(tenant_id=tenant.tenant_id, model="hosted"),
                TokenUsage(tenant_id=tenant.tenant_id, month=now().date(), tokens=1),
                TokenReservation(
                    tenant_id=tenant.tenant_id, month=now().date(), tokens=1, expires_at=now()
                ),
            ]
        )
        await add_evaluation(session, tenant)
        await add_conversation(session, tenant, job.file_id)
        await add_question_list(session, tenant, questions, job.file_id)
        await add_hold(session, tenant, job.file_id)
        await add_subject_request(session, tenant, subject, job.file_id)
        await add_retention(session, tenant, job.file_id)
        await add_people(session, tenant, job.file_id)
        await _add_annotation(session, tenant, version)
        await add_webhook(session, tenant, secret)
    return [password, piece, secret, questions, subject]


async def add_webhook(session: AsyncSession, tenant: TenantFixture, secret: SealedBlob) -> None:
    """With its secret, and an event that was sent to it."""
    webhook = Webhook(
        tenant_id=tenant.tenant_id,
        principal_id=tenant.principal_id,
        url="https://example.com/",
        description="",
        events=["file.ready"],
    )
    event = WebhookEvent(tenant_id=tenant.tenant_id, type="file.ready", data={})
    session.add_all([webhook, event])
    await session.flush()
    await webhooks.add_secret(session, webhook, "hmac-sha256", None, secret)
    delivery = WebhookDelivery(
        tenant_id=tenant.tenant_id, webhook_id=webhook.id, event_id=event.id, state="delivered"
    )
    session.add(delivery)
    await session.flush()
    session.add(
        WebhookAttempt(
            delivery_id=delivery.id,
            round=1,
            number=1,
            tenant_id=tenant.tenant_id,
            outcome="delivered",
            duration_ms=1,
        )
    )


async def _add_annotation(
    session: AsyncSession, tenant: TenantFixture, version: FileVersion
) -> None:
    """With a comment and a place where it was found; the feed tells of it."""
    annotation = Annotation(
        tenant_id=tenant.tenant_id,
        file_id=version.file_id,
        version_id=version.id,
        author_id=tenant.principal_id,
        body="why?",
        tags=["legal"],
        page=1,
        region=[1, 2, 3, 4],
        quote="the lease of the mill",
    )
    session.add(annotation)
    await session.flush()
    session.add_all(
        [
            AnnotationAnchor(
                annotation_id=annotation.id,
                version_id=version.id,
                tenant_id=tenant.tenant_id,
                method=1,
                state="lost",
            ),
            AnnotationComment(
                tenant_id=tenant.tenant_id,
                annotation_id=annotation.id,
                file_id=version.file_id,
                body="because",
            ),
            Activity(
                tenant_id=tenant.tenant_id,
                kind="annotation.created",
                file_id=version.file_id,
                actor_id=tenant.principal_id,
                subject_id=annotation.id,
            ),
        ]
    )
    await session.flush()


async def test_down_step_by_step_and_up_again_with_data_in_the_tables(
    owner_dsn: str, blobs: BlobStore
) -> None:
    tenant = make_tenant(dsn_of("postgres", owner_dsn))
    database = Database(dsn_of("muniment_app", owner_dsn))
    named_by_them = await fill(database, tenant, blobs)
    await database.close()
    set_quota(owner_dsn, tenant.name, Quota(max_files=100))
    for _ in range(REVISIONS - 1):
        migrate(owner_dsn, "-1")
    assert revision_of(owner_dsn) == "0001"
    with psycopg.connect(owner_dsn) as connection:
        kept = connection.execute("SELECT name FROM tenant").fetchall()
    assert kept == [(tenant.name,)]
    migrate(owner_dsn)
    database = Database(dsn_of("muniment_app", owner_dsn))
    await Sweep(database, blobs, timedelta(0), timedelta(0)).round()
    for blob in named_by_them:
        with pytest.raises(KeyDestroyed):
            await blobs.read_all(tenant.tenant_id, blob.blob_id)
    await fill(database, tenant, blobs)
    await database.close()


async def test_down_to_nothing_and_up_again_with_data_in_the_tables(
    owner_dsn: str, blobs: BlobStore
) -> None:
    database = Database(dsn_of("muniment_app", owner_dsn))
    await fill(database, make_tenant(dsn_of("postgres", owner_dsn)), blobs)
    await database.close()
    migrate(owner_dsn, "base")
    with psycopg.connect(owner_dsn) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
    assert tables == [("alembic_version",)]
    migrate(owner_dsn)
    database = Database(dsn_of("muniment_app", owner_dsn))
    await fill(database, make_tenant(dsn_of("postgres", owner_dsn)), blobs)
    await database.close()


async def test_listings_that_ended_before_the_upgrade_forget_the_object_they_came_to(
    owner_dsn: str, blobs: BlobStore
) -> None:
    tenant = make_tenant(dsn_of("postgres", owner_dsn))
    database = Database(dsn_of("muniment_app", owner_dsn))
    await fill(database, tenant, blobs)
    await database.close()
    while revision_of(owner_dsn) != "0009":
        migrate(owner_dsn, "-1")
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        connection.execute("UPDATE batch SET listed_to = 'name of a person.pdf'")
        connection.execute("UPDATE batch SET listed_at = now() WHERE source IS NOT NULL")
    migrate(owner_dsn)
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        named = connection.execute(
            "SELECT listed_at IS NULL, count(*) FROM batch WHERE listed_to IS NOT NULL GROUP BY 1"
        ).fetchall()
    assert named == [(True, 1)], "one that goes on needs it"


async def test_content_in_the_cold_tier_is_not_left_behind_by_a_downgrade(
    owner_dsn: str, blobs: BlobStore
) -> None:
    tenant = make_tenant(dsn_of("postgres", owner_dsn))
    database = Database(dsn_of("muniment_app", owner_dsn))
    await fill(database, tenant, blobs)
    await database.close()
    while revision_of(owner_dsn) != "0021":
        migrate(owner_dsn, "-1")
    move = "INSERT INTO tier_move SELECT id, tenant_id, 'cold', now() FROM blob LIMIT 1"
    for keeping, releasing in (
        ("UPDATE blob SET tier = 'cold'", "UPDATE blob SET tier = 'hot'"),
        (move, "DELETE FROM tier_move"),
    ):
        with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
            connection.execute(keeping)
        with pytest.raises(Exception, match="lies in the cold tier"):
            migrate(owner_dsn, "-1")
        assert revision_of(owner_dsn) == "0021"
        with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
            connection.execute(releasing)
    migrate(owner_dsn, "-1")
    assert revision_of(owner_dsn) != "0021"


async def test_a_collection_that_keeps_models_away_is_not_opened_by_a_downgrade(
    owner_dsn: str,
) -> None:
    make_tenant(dsn_of("postgres", owner_dsn))
    while revision_of(owner_dsn) != "0029":
        migrate(owner_dsn, "-1")
    for use in ("none", "local"):
        with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
            connection.execute("UPDATE collection SET language_models = %s", (use,))
        with pytest.raises(Exception, match="keep models away"):
            migrate(owner_dsn, "-1")
        assert revision_of(owner_dsn) == "0029"
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        connection.execute("UPDATE collection SET language_models = 'any'")
    migrate(owner_dsn, "-1")
    assert revision_of(owner_dsn) == "0028"


async def test_what_remains_of_erased_files_has_a_collection_before_they_could_do_without(
    owner_dsn: str,
) -> None:
    tenants = [make_tenant(dsn_of("postgres", owner_dsn)) for _ in range(2)]
    database = Database(dsn_of("muniment_app", owner_dsn))
    jobs = [await commit_job(database, tenant, startable=True) for tenant in tenants for _ in "ab"]
    await database.close()
    superuser = dsn_of("postgres", owner_dsn)
    with psycopg.connect(superuser) as connection:
        erase = "UPDATE file SET state = 'erased', collection_id = NULL WHERE id = %s"
        for job in (jobs[0], jobs[1], jobs[2]):
            connection.execute(erase, (job.file_id,))
        # Made by a machine whose clock runs ahead.
        connection.execute("UPDATE collection SET created_at = now() + interval '1 day'")
    while revision_of(owner_dsn) != "0026":
        migrate(owner_dsn, "-1")
    with psycopg.connect(superuser) as connection:
        found = connection.execute(
            "SELECT collection.tenant_id = file.tenant_id, collection.name LIKE 'erased %', count(*)"
            " FROM file JOIN collection ON collection.id = file.collection_id"
            " GROUP BY 1, 2 ORDER BY 2"
        ).fetchall()
    assert found == [(True, False, 1), (True, True, 3)]
    migrate(owner_dsn)


async def test_a_key_of_every_scope_has_the_later_scopes_too(owner_dsn: str) -> None:
    everything = make_tenant(dsn_of("postgres", owner_dsn))
    some = make_tenant(dsn_of("postgres", owner_dsn), scopes=("files:read", "keys:manage"))
    while revision_of(owner_dsn) != "0012":
        migrate(owner_dsn, "-1")
    assert "shares:manage" not in scopes_of(owner_dsn, everything)
    migrate(owner_dsn)
    assert "shares:manage" in scopes_of(owner_dsn, everything)
    assert scopes_of(owner_dsn, some) == {"files:read", "keys:manage"}


def scopes_of(owner_dsn: str, tenant: TenantFixture) -> set[str]:
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        row = connection.execute(
            "SELECT scopes FROM api_key WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()
    assert row is not None
    return set(row[0])


async def test_an_administrators_key_that_has_every_scope_gets_the_new_one(owner_dsn: str) -> None:
    dsn = dsn_of("postgres", owner_dsn)
    earlier = ALL_SCOPES[: ALL_SCOPES.index("webhooks:manage")]
    for name, is_admin, scopes in (
        ("administrator", True, earlier),
        ("narrow", True, earlier[:-1]),
        ("program", False, earlier),
    ):
        make_tenant(dsn, "t", principal=name, is_admin=is_admin, scopes=scopes)
    while revision_of(owner_dsn) != "0012":
        migrate(owner_dsn, "-1")
    migrate(owner_dsn)
    with psycopg.connect(dsn) as connection:
        having = connection.execute(
            "SELECT principal.name FROM api_key JOIN principal ON principal.id = principal_id"
            " WHERE 'webhooks:manage' = ANY(scopes)"
        ).fetchall()
    assert having == [("administrator",)]
