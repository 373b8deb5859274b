"""`/v1/feedback`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from api.authentication import Caller, require
from api.feedback import service
from api.feedback.schemas import Feedback, FeedbackQuestions, NewFeedback
from api.pagination import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    Page,
    TimeCursor,
    cut,
    decode_cursor,
    encode_cursor,
)
from api.problem_responses import problems
from api.services import Provided
from db.audit import record
from db.queries import feedback
from db.queries.feedback import FeedbackDetail
from muniment.contracts.conversations import Verdict

router = APIRouter(prefix="/v1/feedback", tags=["conversations"])

Searching = Annotated[Caller, Depends(require("search"))]
VerdictFilter = Annotated[Verdict | None, Query(description="With this verdict.")]


@router.post(
    "",
    status_code=200,
    summary="Say what an answer is worth",
    responses=problems(404, 409, 422, 503),
)
async def give_feedback(body: NewFeedback, services: Provided, caller: Searching) -> Feedback:
    """Of an answer in a conversation of one's own; said again, it takes the place of what was said before.
    Administrators see it, with the question where they export it, and not the conversation."""
    return await service.give(services, caller, body)


@router.get("", summary="List feedback, newest first", responses=problems(400, 422))
async def list_feedback(
    services: Provided,
    caller: Searching,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    verdict: VerdictFilter = None,
) -> Page[Feedback]:
    """The caller's own; for an administrator with `audit:read` all of the tenant's."""
    shown, following = await _page(services, caller, verdict, limit, cursor, "feedback.read")
    return Page(data=await service.views(services, caller, shown), next_cursor=following)


@router.get("/questions", summary="Export questions to evaluate by", responses=problems(400, 422))
async def export_questions(
    services: Provided,
    caller: Searching,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    verdict: VerdictFilter = None,
) -> FeedbackQuestions:
    """Of the same feedback those of which is known which files answer them, and that the caller may read:
    what a good answer cites, or the `expected_source` of a wrong one. With a `name` they are a body of
    `POST /v1/evaluations`. A page may be empty and have a `next_cursor`."""
    shown, following = await _page(services, caller, verdict, limit, cursor, "feedback.exported")
    questions = await service.questions(services, caller, shown)
    return FeedbackQuestions(identified_by="id", questions=questions, next_cursor=following)


@router.delete(
    "/{feedback_id}", status_code=204, summary="Take feedback back", responses=problems(404)
)
async def delete_feedback(feedback_id: UUID, services: Provided, caller: Searching) -> None:
    """By who gave it."""
    async with services.database.transaction(caller.access) as session:
        found = await service.require_feedback(session, caller, feedback_id)
        record(session, caller.act("feedback.deleted", "feedback", found.feedback.id))
        await feedback.delete_feedback(session, found.feedback.id)


async def _page(
    services: Provided,
    caller: Caller,
    verdict: Verdict | None,
    limit: int,
    cursor: str | None,
    action: str,
) -> tuple[list[FeedbackDetail], str | None]:
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await feedback.list_feedback(
            session,
            service.whose(caller),
            verdict,
            limit=limit + 1,
            after=place.key() if place else None,
        )
        shown, last = cut(rows, limit)
        record(session, caller.act(action, "feedback", None, {"found": len(shown)}))
    following = None
    if last is not None:
        at, feedback_id = last.feedback.created_at, last.feedback.id
        following = encode_cursor(TimeCursor(at=at, id=feedback_id))
    return [*shown], following
