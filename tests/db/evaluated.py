"""A row in every table of evaluations, of analytics, of cached responses, and of lists of questions."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import (
    AlikeQuestionPolicy,
    AnalyticsPolicy,
    AskedQuery,
    CachedResponse,
    EvaluationMetric,
    EvaluationQuestion,
    EvaluationResult,
    EvaluationRun,
    EvaluationSet,
    QuestionList,
    QuestionListSource,
    now,
)
from db.queries import question_lists
from muniment.objects import SealedBlob
from tests.conftest import TenantFixture


async def add_question_list(
    session: AsyncSession, tenant: TenantFixture, key: SealedBlob, file_id: UUID
) -> None:
    """With a question, and an answer for which the file was read."""
    made = QuestionList(
        tenant_id=tenant.tenant_id,
        principal_id=tenant.principal_id,
        text_key_id=key.blob_id,
        generate="auto",
        top_k=8,
        question_count=1,
        keep_days=7,
        state="completed",
    )
    await question_lists.add_list(session, made, key, [(2, b"sealed")])
    session.add(
        QuestionListSource(list_id=made.id, ordinal=0, tenant_id=tenant.tenant_id, file_id=file_id)
    )
    await session.flush()


async def add_evaluation(session: AsyncSession, tenant: TenantFixture) -> None:
    asked = EvaluationSet(
        tenant_id=tenant.tenant_id,
        principal_id=tenant.principal_id,
        name="set",
        digest=b"1",
        is_nightly=True,
        mode="hybrid",
        identified_by="name",
        answers="none",
        is_judged=False,
        tolerance=0.02,
        question_count=1,
    )
    run = EvaluationRun(
        tenant_id=tenant.tenant_id, set_id=asked.id, workflow_id="w", state="completed"
    )
    of_question = {"tenant_id": tenant.tenant_id, "ordinal": 0}
    for rows in (
        [
            asked,
            AlikeQuestionPolicy(tenant_id=tenant.tenant_id, least_likeness=0.97),
            AnalyticsPolicy(tenant_id=tenant.tenant_id, keeps="text", keep_days=1),
            AskedQuery(
                tenant_id=tenant.tenant_id,
                kind="search",
                key=b"k",
                text="x",
                found=1,
                milliseconds=1.0,
            ),
            CachedResponse(
                tenant_id=tenant.tenant_id,
                kind="search",
                key=b"k",
                epoch=0,
                file_ids=[],
                sealed=b"s",
                size=1,
                expires_at=now(),
            ),
        ],
        [run],
        [
            EvaluationQuestion(
                set_id=asked.id, question_id="q", text="x", judgements={}, answers=[], **of_question
            ),
            EvaluationResult(run_id=run.id, figures={"ndcg@10": 1.0}, **of_question),
            EvaluationMetric(run_id=run.id, tenant_id=tenant.tenant_id, name="ndcg@10", value=1.0),
        ],
    ):
        session.add_all(rows)
        await session.flush()
