"""A row in every table of evaluations, of analytics, and of cached responses."""

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import (
    AnalyticsPolicy,
    AskedQuery,
    CachedResponse,
    EvaluationMetric,
    EvaluationQuestion,
    EvaluationResult,
    EvaluationRun,
    EvaluationSet,
    now,
)
from tests.conftest import TenantFixture


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
