"""The judgement of policies and locks: the longest keeps, deletion needs all to agree, and ten years pass in
one test."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from db.models import File, RetentionLock, RetentionPolicy, new_id, now
from db.queries.preservation import preservations
from db.queries.preservation_kinds import PreservationKind
from db.queries.retention import UNTOUCHED, Judgement, judge
from db.queries.tiers import note_access
from db.session import Database
from muniment.contracts.retention import Disposition, LockMode, Trigger
from tests.conftest import TenantFixture, make_tenant
from tests.db.retained import DAY, START, Archive, add_file, end_of, fill, policy, reaches

YEARS = [START + timedelta(days=days) for days in range(0, 3700, 121)]
FOREVER = datetime.max.replace(tzinfo=UTC)


async def judged(
    database: Database, tenant: TenantFixture, file: File, as_of: datetime
) -> Judgement:
    async with database.transaction(tenant.system) as session:
        return (await judge(session, [file.id], as_of)).get(file.id, UNTOUCHED)


async def place(
    database: Database,
    tenant: TenantFixture,
    *rows: RetentionPolicy | RetentionLock,
    **fields: object,
) -> File:
    """A file of the first day, and what is to keep it."""
    async with database.transaction(tenant.system) as session:
        session.add_all(rows)
        return await add_file(session, tenant, [START], **fields)


@pytest.mark.parametrize("seed", range(4))
async def test_ten_years_of_policies_and_locks_are_judged_as_a_plain_reading_of_them(
    database: Database, tenant: TenantFixture, seed: int
) -> None:
    async with database.transaction(tenant.system) as session:
        archive = await fill(session, tenant, random.Random(seed))  # noqa: S311 - a test's own
        for as_of in YEARS:
            found = await judge(session, [*archive.files], as_of)
            kept = await preservations(session, [*archive.files], as_of)
            for file_id in archive.files:
                expected = claims_of(archive, file_id, as_of)
                judgement = found.get(file_id, UNTOUCHED)
                assert ends(judgement) == expected
                standing = [end for _, end in expected if end > as_of]
                assert len(kept.get(file_id, ())) == len(standing)
                require_disposition(archive, file_id, as_of, judgement, expected)


def lineage_of(archive: Archive, file_id: UUID | None) -> list[UUID]:
    found = []
    while file_id is not None:
        found.append(file_id)
        file_id = archive.files[file_id].file.parent_id
    return found


def claims_of(archive: Archive, file_id: UUID, as_of: datetime) -> list[tuple[UUID, datetime]]:
    found = []
    for ancestor_id in lineage_of(archive, file_id):
        kept = archive.files[ancestor_id]
        found += [
            (each.id, end_of(each, kept) or FOREVER)
            for each in archive.policies
            if reaches(each, kept.file, as_of)
        ]
        if kept.lock is not None:
            found.append((ancestor_id, kept.lock.retain_until))
    return sorted(found)


def ends(judgement: Judgement) -> list[tuple[UUID, datetime]]:
    return sorted((each.reference, each.until or FOREVER) for each in judgement.claims)


def require_disposition(
    archive: Archive,
    file_id: UUID,
    as_of: datetime,
    judgement: Judgement,
    claims: Sequence[tuple[UUID, datetime]],
) -> None:
    kept = archive.files[file_id]
    own = [
        each
        for each in archive.policies
        if reaches(each, kept.file, as_of) and each.relabel_to not in kept.file.labels
    ]
    deciding = [each for each in own if each.label] or own
    order = [*Disposition]
    wanted = min(
        (Disposition(each.disposition) for each in deciding), key=order.index, default=order[0]
    )
    assert judgement.disposition is wanted
    if wanted is Disposition.NONE:
        assert (judgement.disposition_at, judgement.delete_at, judgement.is_due) == (
            None,
            None,
            False,
        )
        return
    last = max(end_of(each, kept) or FOREVER for each in deciding)
    assert set(judgement.deciding) == {each.id for each in deciding}
    assert (judgement.disposition_at or FOREVER) == last
    assert judgement.is_due == all(end <= as_of for _, end in claims)
    if judgement.is_due:
        assert last <= as_of
    if wanted is Disposition.RELABEL:
        assert judgement.relabel_to in {each.relabel_to for each in deciding}


async def test_the_longest_retention_wins_and_precedence_is_told(
    database: Database, tenant: TenantFixture
) -> None:
    rows = [
        policy(tenant, days=10, lock_mode=LockMode.GOVERNANCE),
        policy(tenant, days=20),
        policy(tenant, days=5, lock_mode=LockMode.COMPLIANCE, disposition=Disposition.DELETE),
    ]
    file = await place(database, tenant, *rows)
    judgement = await judged(database, tenant, file, START)
    assert judgement.retain_until == START + 20 * DAY
    assert [each.kind for each in judgement.claims] == [
        PreservationKind.COMPLIANCE_LOCK,
        PreservationKind.RETENTION,
        PreservationKind.GOVERNANCE_LOCK,
    ]
    # Two of the three say nothing of deleting it.
    assert (judgement.disposition, judgement.delete_at) == (Disposition.NONE, None)


async def test_deletion_needs_all_to_agree_and_a_label_beats_other_policies(
    database: Database, tenant: TenantFixture
) -> None:
    rows = [
        policy(tenant, days=10, disposition=Disposition.DELETE),
        policy(tenant, days=20, disposition=Disposition.REVIEW),
    ]
    file = await place(database, tenant, *rows, labels=["contract"])
    before = await judged(database, tenant, file, START + 19 * DAY)
    assert (before.disposition, before.delete_at) == (Disposition.REVIEW, START + 20 * DAY)
    assert not before.is_due
    assert (await judged(database, tenant, file, START + 20 * DAY)).is_due
    async with database.transaction(tenant.system) as session:
        session.add(policy(tenant, days=3, label="contract", disposition=Disposition.DELETE))
    by_label = await judged(database, tenant, file, START + 5 * DAY)
    # The label says that it is deleted after three days; the others still keep it for twenty.
    assert (by_label.disposition, by_label.delete_at) == (Disposition.DELETE, START + 3 * DAY)
    assert (by_label.retain_until, by_label.is_due) == (START + 20 * DAY, False)
    assert (await judged(database, tenant, file, START + 20 * DAY)).is_due


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "soon",
        "now",
        "infinity",
        "2027-02-30",
        "2027-13-01T00:00:00Z",
        "2027-01-01T00:00",
        2027,
        ["2027-01-01"],
        {"a": 1},
        True,
        "9" * 10_000,
        "\u0661\u0669\u0669\u0669-01-01",
    ],
)
async def test_an_event_without_a_date_keeps_for_ever(
    database: Database, tenant: TenantFixture, value: object
) -> None:
    row = policy(
        tenant, trigger=Trigger.EVENT, event_field="ended on", days=0, disposition="delete"
    )
    file = await place(database, tenant, row, attributes={"ended on": value})
    judgement = await judged(database, tenant, file, START + 99_999 * DAY)
    assert (judgement.is_indefinite, judgement.retain_until) == (True, None)
    assert (judgement.delete_at, judgement.is_due) == (None, False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2027-01-01", datetime(2027, 1, 2, tzinfo=UTC)),
        ("2027-01-01T02:00+02:00", datetime(2027, 1, 2, tzinfo=UTC)),
        ("2027-01-01 00:00:00.5Z", datetime(2027, 1, 2, microsecond=500_000, tzinfo=UTC)),
        ("9999-12-31", datetime(9999, 12, 30, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", datetime(1, 1, 2, tzinfo=UTC)),
    ],
)
async def test_an_events_date_is_read_to_the_end_of_the_calendar(
    database: Database, tenant: TenantFixture, value: str, expected: datetime
) -> None:
    row = policy(tenant, trigger=Trigger.EVENT, event_field="e", days=1)
    file = await place(database, tenant, row, attributes={"e": value})
    assert (await judged(database, tenant, file, START)).retain_until == expected


async def test_a_label_that_was_given_is_not_given_again(
    database: Database, tenant: TenantFixture
) -> None:
    row = policy(tenant, days=1, disposition=Disposition.RELABEL, relabel_to="old")
    file = await place(database, tenant, row)
    due = await judged(database, tenant, file, START + DAY)
    assert (due.is_due, due.relabel_to, due.deciding) == (True, "old", (row.id,))
    async with database.transaction(tenant.system) as session:
        (await session.get_one(File, file.id)).labels = ["old"]
    assert not (await judged(database, tenant, file, START + DAY)).is_due


async def test_another_tenants_policies_and_locks_keep_nothing(
    database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    stranger = make_tenant(postgres_dsn)
    file = await place(database, tenant)
    lock = RetentionLock(
        file_id=file.id,
        tenant_id=stranger.tenant_id,
        mode=LockMode.COMPLIANCE,
        retain_until=now() + DAY,
        placed_by=stranger.principal_id,
    )
    await place(database, stranger, policy(stranger), lock)
    assert await judged(database, tenant, file, START) is UNTOUCHED
    async with database.transaction(stranger.system) as session:
        assert await judge(session, [file.id], START) == {}


async def test_the_last_access_is_noted_once_a_day(
    database: Database, tenant: TenantFixture
) -> None:
    file = await place(database, tenant, policy(tenant, trigger=Trigger.LAST_ACCESS, days=1))
    assert (await judged(database, tenant, file, START)).retain_until == START + DAY
    for age in (timedelta(hours=23), timedelta(hours=25)):
        async with database.transaction(tenant.system) as session:
            await note_access(session, [], [file.id, file.id])
            aged = {"id": file.id, "age": age}
            await session.execute(
                text("UPDATE file_access SET accessed_at = now() - :age WHERE file_id = :id"), aged
            )
        async with database.transaction(tenant.system) as session:
            await note_access(session, [], [file.id])
        until = (await judged(database, tenant, file, START)).retain_until
        expected = now() + DAY if age > DAY else now() + DAY - age
        assert until is not None
        assert abs(until - expected) < timedelta(minutes=5)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE retention_lock SET mode = 'governance'",
        "UPDATE retention_lock SET retain_until = retain_until - interval '1 second'",
        "UPDATE retention_policy SET days = days - 1",
        "UPDATE retention_policy SET lock_mode = NULL",
        "UPDATE retention_policy SET label = 'other'",
        "UPDATE retention_policy SET ended_at = now()",
        "DELETE FROM retention_lock",
        "DELETE FROM retention_policy",
    ],
)
async def test_the_database_itself_shortens_no_compliance_lock(
    database: Database, tenant: TenantFixture, application_dsn: str, change: str
) -> None:
    lock = RetentionLock(
        file_id=new_id(),
        tenant_id=tenant.tenant_id,
        mode=LockMode.COMPLIANCE,
        retain_until=now() + DAY,
        placed_by=tenant.principal_id,
    )
    await place(database, tenant, lock, policy(tenant, lock_mode=LockMode.COMPLIANCE))
    with psycopg.connect(application_dsn) as connection:
        connection.execute("SELECT set_config('app.tenant', %s, true)", (str(tenant.tenant_id),))
        with pytest.raises(psycopg.Error, match=r"only ever made longer|permission denied"):
            connection.execute(change)
