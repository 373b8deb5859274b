"""What a stack holds of a job, counted: the same after a disturbed run as after a calm one."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx

from tests.stack import Stack


@dataclass(frozen=True)
class Account:
    """All that must not depend on what was killed meanwhile."""

    pages: dict[int, str]
    chunks: tuple[str, ...]
    layers: int
    results: Counter[str]
    outputs: Counter[str]
    page_events: Counter[tuple[int, str]]
    acts: Counter[str]


def account(stack: Stack, client: httpx.Client, file_id: object, job_id: object) -> Account:
    """Counts after the job has ended."""
    listed = client.get(f"/v1/files/{file_id}/pages", params={"limit": 100})
    assert listed.status_code == 200, listed.text
    version, job = _version_of(stack, job_id), UUID(str(job_id))
    return Account(
        pages={page["page"]: page["text"] for page in listed.json()["data"]},
        chunks=tuple(
            str(row[0])
            for row in _rows(
                stack, "SELECT text FROM chunk WHERE version_id = %s ORDER BY ordinal", version
            )
        ),
        layers=len(_rows(stack, "SELECT page FROM page_layer WHERE version_id = %s", version)),
        results=_counted(
            stack,
            "SELECT stage FROM stage_result JOIN blob_reference USING (blob_id)"
            " WHERE version_id = %s",
            version,
        ),
        outputs=_counted(stack, "SELECT stage FROM stage_output WHERE job_id = %s", job),
        page_events=Counter(
            (int(str(page)), str(state))
            for page, state in _rows(
                stack,
                "SELECT payload ->> 'page', payload ->> 'state' FROM job_event"
                " WHERE job_id = %s AND event = 'page'",
                job,
            )
        ),
        acts=_counted(
            stack,
            "SELECT action FROM audit_event WHERE object_id = ANY(%s) AND actor_kind = 'system'"
            " OR object_id = ANY(%s) AND action LIKE 'file.%%' AND action NOT LIKE '%%read%%'",
            [job, UUID(str(file_id))],
            [job, UUID(str(file_id))],
        ),
    )


def event_sequence(stack: Stack, job_id: object) -> list[int]:
    rows = _rows(
        stack, "SELECT seq FROM job_event WHERE job_id = %s ORDER BY id", UUID(str(job_id))
    )
    return [int(str(row[0])) for row in rows]


@dataclass(frozen=True)
class Stored:
    """What the object store and the rows do not agree on."""

    without_row: frozenset[UUID]
    without_object: frozenset[UUID]
    half_written: int


def stored(stack: Stack) -> Stored:
    """Compares every blob's row with its ciphertext and its key."""
    objects, keys = stack.home / "objects", stack.home / "keys" / "wrapped"
    rows = {
        UUID(str(row[0]))
        for row in _rows(stack, "SELECT id FROM blob WHERE destroyed_at IS NULL AND %s", True)
    }
    ciphertexts, wrapped = _ids(objects), _ids(keys)
    return Stored(
        without_row=frozenset((ciphertexts | wrapped) - rows),
        without_object=frozenset(rows - (ciphertexts & wrapped)),
        half_written=sum(1 for root in (objects, keys) for _ in (root / ".uploads").glob("*")),
    )


def _ids(root: Path) -> set[UUID]:
    return {UUID(path.name) for path in root.glob("*/*/*") if path.is_file()}


def _version_of(stack: Stack, job_id: object) -> UUID:
    ((version,),) = _rows(stack, "SELECT version_id FROM job WHERE id = %s", UUID(str(job_id)))
    return UUID(str(version))


def _counted(stack: Stack, query: str, *values: object) -> Counter[str]:
    return Counter(str(row[0]) for row in _rows(stack, query, *values))


def _rows(stack: Stack, query: str, *values: object) -> list[tuple[object, ...]]:
    with stack.database() as connection:
        return connection.execute(query, values).fetchall()  # type: ignore[call-overload, no-any-return] # a literal
