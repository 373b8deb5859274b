"""Lists of questions: made, answered question by question, told and forgotten."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Blob, Principal, QuestionList, QuestionListItem, now
from muniment.contracts.answer_questions import ListState, QuestionOutcome
from muniment.objects import SealedBlob

_KIND = "question-list"
_MOST_FOUND = 100

LONGEST_OPEN = timedelta(days=30)
"""One that is not over by then, since it stays paused perhaps, is forgotten all the same."""


@dataclass(frozen=True)
class FoundList:
    tenant_id: UUID
    list_id: UUID


@dataclass(frozen=True)
class SpentList:
    """One whose time is over, and the blob of its key."""

    tenant_id: UUID
    list_id: UUID
    blob_id: UUID


@dataclass(frozen=True)
class Standing:
    """How a list stands at this moment, and whether who asked may still come in."""

    state: ListState
    tokens: int
    max_tokens: int | None
    is_disabled: bool


@dataclass(frozen=True)
class Outcome:
    """What came of a question: `answer` sealed, `sources` the files whose passages were read for it."""

    kind: QuestionOutcome
    answer: bytes
    sources: frozenset[UUID]
    tokens: int


async def add_list(
    session: AsyncSession,
    made: QuestionList,
    key: SealedBlob,
    questions: Sequence[tuple[int, bytes]],
) -> None:
    """With its sealed questions, each with its row's number."""
    session.add(
        Blob(
            id=key.blob_id,
            tenant_id=made.tenant_id,
            kind=_KIND,
            size=key.size,
            sha256=key.sha256,
            created_at=now(),
        )
    )
    await session.flush()
    session.add(made)
    await session.flush()
    session.add_all(
        QuestionListItem(
            list_id=made.id,
            ordinal=ordinal,
            tenant_id=made.tenant_id,
            row_number=row_number,
            question=question,
        )
        for ordinal, (row_number, question) in enumerate(questions)
    )
    await session.flush()


async def lock_lists(session: AsyncSession, tenant_id: UUID) -> None:
    """Until the transaction ends nobody else makes one of the tenant's."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('question_list:' || :id, 0))"),
        {"id": str(tenant_id)},
    )


async def count_open(session: AsyncSession, principal_id: UUID) -> int:
    """Of the principal's, paused ones too."""
    found = await session.execute(
        text(
            "SELECT count(*) FROM question_list WHERE principal_id = :principal_id"
            " AND finished_at IS NULL AND expires_at > now()"
        ),
        {"principal_id": principal_id},
    )
    return int(found.scalar_one())


async def count_at_work(session: AsyncSession) -> int:
    """Of the tenant's: paused ones keep nobody waiting."""
    found = await session.execute(
        text(
            "SELECT count(*) FROM question_list WHERE state IN ('queued', 'running')"
            " AND expires_at > now()"
        )
    )
    return int(found.scalar_one())


async def get_list(
    session: AsyncSession, list_id: UUID, *, for_update: bool = False
) -> QuestionList | None:
    """None too where its time is over."""
    found = await session.get(QuestionList, list_id, with_for_update=for_update)
    return found if found is not None and found.expires_at > now() else None


async def list_lists(
    session: AsyncSession,
    principal_id: UUID,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> Sequence[QuestionList]:
    """The principal's, newest first."""
    statement = (
        select(QuestionList)
        .where(col(QuestionList.principal_id) == principal_id, col(QuestionList.expires_at) > now())
        .order_by(col(QuestionList.created_at).desc(), col(QuestionList.id).desc())
        .limit(limit)
    )
    if after is not None:
        at, list_id = after
        statement = statement.where(
            text("(question_list.created_at, question_list.id) < (:at, :list_id)").bindparams(
                at=at, list_id=list_id
            )
        )
    return (await session.scalars(statement)).all()


async def counts_of(
    session: AsyncSession, list_ids: Sequence[UUID]
) -> Mapping[UUID, Mapping[str, int]]:
    """By list, how many questions came to what, and under `tokens` what was spent."""
    rows = await session.execute(
        text(
            "SELECT list_id, outcome, count(*) AS questions, sum(tokens) AS tokens"
            " FROM question_list_item WHERE list_id = ANY(:ids) AND outcome IS NOT NULL"
            " GROUP BY list_id, outcome"
        ),
        {"ids": list(list_ids)},
    )
    found: dict[UUID, dict[str, int]] = {list_id: {"tokens": 0} for list_id in list_ids}
    for row in rows:
        found[row.list_id][row.outcome] = int(row.questions)
        found[row.list_id]["tokens"] += int(row.tokens)
    return found


async def standing(session: AsyncSession, list_id: UUID) -> Standing | None:
    """None where it is gone."""
    found = await get_list(session, list_id)
    if found is None:
        return None
    principal = await session.get_one(Principal, found.principal_id)
    spent = await session.execute(
        text("SELECT coalesce(sum(tokens), 0) FROM question_list_item WHERE list_id = :id"),
        {"id": list_id},
    )
    return Standing(
        ListState(found.state),
        int(spent.scalar_one()),
        found.max_tokens,
        principal.disabled_at is not None,
    )


async def begin(session: AsyncSession, list_id: UUID) -> None:
    """It is at work, if it was queued."""
    await session.execute(
        text("UPDATE question_list SET state = 'running' WHERE id = :id AND state = 'queued'"),
        {"id": list_id},
    )


async def unanswered(
    session: AsyncSession, list_id: UUID, max_rows: int
) -> Sequence[QuestionListItem]:
    """The next questions that were not asked."""
    rows = await session.scalars(
        select(QuestionListItem)
        .where(col(QuestionListItem.list_id) == list_id, col(QuestionListItem.outcome).is_(None))
        .order_by(col(QuestionListItem.ordinal))
        .limit(max_rows)
    )
    return rows.all()


async def items_after(
    session: AsyncSession, list_id: UUID, after: int, max_rows: int
) -> Sequence[QuestionListItem]:
    """In their order, those behind that ordinal."""
    rows = await session.scalars(
        select(QuestionListItem)
        .where(col(QuestionListItem.list_id) == list_id, col(QuestionListItem.ordinal) > after)
        .order_by(col(QuestionListItem.ordinal))
        .limit(max_rows)
    )
    return rows.all()


async def out_of_reach(
    session: AsyncSession, list_id: UUID, ordinals: Sequence[int]
) -> frozenset[int]:
    """Those of them for whose answers a file was read that the caller may not read now."""
    rows = await session.scalars(
        text(
            "SELECT DISTINCT source.ordinal FROM question_list_source source"
            " WHERE source.list_id = :list_id AND source.ordinal = ANY(:ordinals)"
            " AND NOT EXISTS (SELECT 1 FROM file"
            " JOIN visible_files('read') AS visible(file_id) ON visible.file_id = file.id"
            " WHERE file.id = source.file_id AND file.state = 'ready')"
        ),
        {"list_id": list_id, "ordinals": list(ordinals)},
    )
    return frozenset(rows)


async def keep_outcome(
    session: AsyncSession, list_id: UUID, ordinal: int, outcome: Outcome
) -> bool:
    """What came first of a question stays; nothing is kept of a list that is over. The caller is who asked:
    false, and nothing is kept, where one of the sources is no longer its to read."""
    # An erasure that begins waits until this is committed, and then finds it.
    await session.execute(
        text("SELECT id FROM file WHERE id = ANY(:ids) ORDER BY id FOR SHARE"),
        {"ids": list(outcome.sources)},
    )
    readable = await session.scalars(
        text(
            "SELECT file.id FROM file"
            " JOIN visible_files('read') AS visible(file_id) ON visible.file_id = file.id"
            " WHERE file.id = ANY(:ids) AND file.state = 'ready'"
        ),
        {"ids": list(outcome.sources)},
    )
    if set(readable) != set(outcome.sources):
        return False
    kept = await session.execute(
        text(
            "UPDATE question_list_item item SET answer = :answer, outcome = :outcome,"
            " tokens = :tokens FROM question_list"
            " WHERE question_list.id = item.list_id AND question_list.finished_at IS NULL"
            " AND item.list_id = :list_id AND item.ordinal = :ordinal AND item.outcome IS NULL"
            " RETURNING item.ordinal"
        ),
        {
            "list_id": list_id,
            "ordinal": ordinal,
            "answer": outcome.answer,
            "outcome": outcome.kind.value,
            "tokens": outcome.tokens,
        },
    )
    if kept.scalar_one_or_none() is not None:
        await session.execute(
            text(
                "INSERT INTO question_list_source (list_id, ordinal, file_id, tenant_id)"
                " SELECT :list_id, :ordinal, file_id, current_tenant()"
                " FROM unnest(CAST(:ids AS uuid[])) AS file_id"
            ),
            {"list_id": list_id, "ordinal": ordinal, "ids": list(outcome.sources)},
        )
    return True


async def end_list(
    session: AsyncSession, found: QuestionList, state: ListState, reason: str | None
) -> None:
    """One that is open, and locked."""
    found.state, found.reason, found.finished_at = state.value, reason, now()
    found.expires_at = found.finished_at + timedelta(days=found.keep_days)
    await session.flush()


async def unstarted(session: AsyncSession, min_age: timedelta) -> list[FoundList]:
    """Of all tenants: those that no workflow is known to be at; needs no tenant."""
    rows = await session.execute(
        text("SELECT tenant_id, list_id FROM unstarted_question_lists(:min_age, :max_rows)"),
        {"min_age": min_age, "max_rows": _MOST_FOUND},
    )
    return [FoundList(**row) for row in rows.mappings()]


async def mark_started(session: AsyncSession, list_id: UUID) -> None:
    await session.execute(
        text("UPDATE question_list SET started_at = now() WHERE id = :id"), {"id": list_id}
    )


async def spent(session: AsyncSession, after: UUID | None) -> list[SpentList]:
    """Those of all tenants whose time is over, behind the given one; needs no tenant."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, list_id, blob_id"
            " FROM spent_question_lists(CAST(:after AS uuid), :max_rows)"
        ),
        {"after": after, "max_rows": _MOST_FOUND},
    )
    return [SpentList(**row) for row in rows.mappings()]


async def condemn_key(session: AsyncSession, found: SpentList) -> None:
    """It is about to be destroyed."""
    await session.execute(
        text("UPDATE blob SET destroyed_at = coalesce(destroyed_at, now()) WHERE id = :blob_id"),
        {"blob_id": found.blob_id},
    )


async def forget_list(session: AsyncSession, list_id: UUID) -> None:
    """With its questions and answers."""
    await session.execute(text("DELETE FROM question_list WHERE id = :id"), {"id": list_id})


async def forget_items(session: AsyncSession, list_id: UUID) -> None:
    """Its questions and answers."""
    await session.execute(
        text("DELETE FROM question_list_item WHERE list_id = :id"), {"id": list_id}
    )
