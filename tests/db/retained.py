"""Files, policies and locks in the database, and a second judge of them, written plainly."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import (
    Blob,
    Collection,
    File,
    FileAccess,
    FileVersion,
    RetentionLock,
    RetentionPolicy,
    new_id,
)
from muniment.contracts.retention import Disposition, LockMode, Trigger
from tests.conftest import TenantFixture

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = ("text/plain", "image/png")
LABELS = ("contract", "invoice")


@dataclass
class Kept:
    """A file with all that retention looks at."""

    file: File
    versions: list[datetime]
    accessed_at: datetime | None = None
    lock: RetentionLock | None = None


@dataclass
class Archive:
    """What a tenant has."""

    files: dict[UUID, Kept] = field(default_factory=dict)
    policies: list[RetentionPolicy] = field(default_factory=list)


def policy(tenant: TenantFixture, **fields: object) -> RetentionPolicy:
    """A year from the file's creation, unless it is said otherwise."""
    columns: dict[str, object] = {
        "name": "a year",
        "trigger": Trigger.CREATION,
        "days": 365,
        "disposition": Disposition.NONE,
    }
    return RetentionPolicy(
        id=new_id(),
        tenant_id=tenant.tenant_id,
        created_by=tenant.principal_id,
        **{**columns, **fields},
    )


async def add_file(
    session: AsyncSession, tenant: TenantFixture, versions: Sequence[datetime], **fields: object
) -> File:
    """Created with the first of its versions."""
    blob = Blob(id=new_id(), tenant_id=tenant.tenant_id, kind="content", size=1, sha256=b"")
    columns: dict[str, object] = {"collection_id": tenant.collection_id, "media_type": TYPES[0]}
    file = File(
        id=new_id(),
        tenant_id=tenant.tenant_id,
        name="a.txt",
        state="ready",
        created_at=versions[0],
        **{**columns, **fields},
    )
    session.add_all([blob, file])
    await session.flush()
    session.add_all(
        FileVersion(
            tenant_id=tenant.tenant_id,
            file_id=file.id,
            number=number,
            blob_id=blob.id,
            name="a.txt",
            size=1,
            sha256=b"",
            declared_media_type="text/plain",
            created_at=moment,
        )
        for number, moment in enumerate(versions, 1)
    )
    await session.flush()
    return file


async def add_retention(session: AsyncSession, tenant: TenantFixture, file_id: UUID) -> None:
    """A policy, a lock of the file that has ended, and when somebody asked for it."""
    ids = {"file_id": file_id, "tenant_id": tenant.tenant_id}
    lock = RetentionLock(
        **ids, mode=LockMode.COMPLIANCE, retain_until=START, placed_by=tenant.principal_id
    )
    session.add_all([policy(tenant), lock, FileAccess(**ids, accessed_at=START)])
    await session.flush()


async def fill(session: AsyncSession, tenant: TenantFixture, chance: random.Random) -> Archive:
    """Files in two collections, a third of them out of others, under policies and locks of all kinds."""
    other = Collection(id=new_id(), tenant_id=tenant.tenant_id, name=f"other {new_id()}")
    session.add(other)
    await session.flush()
    collections = (tenant.collection_id, other.id)
    made = Archive(policies=[_any_policy(tenant, collections, chance) for _ in range(12)])
    session.add_all(made.policies)
    for _ in range(60):
        kept = await _any_file(session, tenant, collections, chance, [*made.files])
        made.files[kept.file.id] = kept
    await session.flush()
    return made


def _any_policy(
    tenant: TenantFixture, collections: Sequence[UUID], chance: random.Random
) -> RetentionPolicy:
    trigger = chance.choice([*Trigger])
    disposition = chance.choice([*Disposition, Disposition.DELETE])
    return policy(
        tenant,
        collection_id=chance.choice([None, *collections]),
        media_type=chance.choice([None, None, "text/plain", "image/*"]),
        label=chance.choice([None, None, *LABELS]),
        attributes=chance.choice([None, None, {"customer": "a"}]),
        trigger=trigger,
        event_field="ended_on" if trigger is Trigger.EVENT else None,
        days=chance.choice([0, 30, 365, 3650]),
        lock_mode=chance.choice([None, *LockMode]),
        disposition=disposition,
        relabel_to=chance.choice(["old", LABELS[0]])
        if disposition is Disposition.RELABEL
        else None,
        ended_at=chance.choice([None, None, START + 100 * DAY]),
    )


async def _any_file(
    session: AsyncSession,
    tenant: TenantFixture,
    collections: Sequence[UUID],
    chance: random.Random,
    others: Sequence[UUID],
) -> Kept:
    created = START + chance.randrange(60) * DAY
    versions = [created, *([created + 90 * DAY] if chance.random() < 0.3 else [])]
    customer: dict[str, JsonValue] = chance.choice([{}, {"customer": "a"}, {"customer": "b"}])
    dates: list[JsonValue] = ["2027-03-01", "2027-03-01T00:00:00Z", "soon", 2027, "2027-02-30"]
    event: dict[str, JsonValue] = chance.choice([{}, {"ended_on": chance.choice(dates)}])
    file = await add_file(
        session,
        tenant,
        versions,
        collection_id=chance.choice(collections),
        media_type=chance.choice(TYPES),
        labels=[label for label in LABELS if chance.random() < 0.4],
        attributes={**customer, **event},
        parent_id=chance.choice(others) if others and chance.random() < 0.3 else None,
    )
    kept = Kept(file, versions)
    if chance.random() < 0.3:
        kept.accessed_at = created + 45 * DAY
        session.add(
            FileAccess(file_id=file.id, tenant_id=tenant.tenant_id, accessed_at=kept.accessed_at)
        )
    if chance.random() < 0.3:
        kept.lock = RetentionLock(
            file_id=file.id,
            tenant_id=tenant.tenant_id,
            mode=chance.choice([*LockMode]),
            retain_until=START + chance.choice([10, 1000, 3000]) * DAY,
            placed_by=tenant.principal_id,
        )
        session.add(kept.lock)
    return kept


def reaches(each: RetentionPolicy, file: File, as_of: datetime) -> bool:
    wanted = each.attributes or {}
    kind = (each.media_type or "").removesuffix("*")
    return (
        (each.ended_at is None or each.ended_at > as_of)
        and each.collection_id in (None, file.collection_id)
        and file.media_type.startswith(kind)
        and (each.label is None or each.label in file.labels)
        and all(file.attributes.get(name) == value for name, value in wanted.items())
    )


def end_of(each: RetentionPolicy, kept: Kept) -> datetime | None:
    """None: nobody can say."""
    started: datetime | None
    match each.trigger:
        case Trigger.CREATION:
            started = kept.file.created_at
        case Trigger.VERSION:
            started = max(kept.versions)
        case Trigger.LAST_ACCESS:
            started = kept.accessed_at or kept.file.created_at
        case _:
            value = kept.file.attributes.get("ended_on")
            is_date = isinstance(value, str) and value.startswith("2027-03-01")
            started = datetime(2027, 3, 1, tzinfo=UTC) if is_date else None
    return None if started is None else started + each.days * DAY
