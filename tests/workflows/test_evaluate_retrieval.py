"""Questions of a set are asked, measured and summed up; a worker that dies meanwhile asks none twice."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.evaluation.activity import Evaluations
from db.models import EvaluationQuestion, EvaluationSet, IndexVersion, new_id
from db.queries import evaluations
from db.queries.analytics import Keeps, QueryPolicy
from db.session import Access
from muniment.contracts import queues
from muniment.contracts.evaluate_retrieval import (
    EvaluateQuestionsInput,
    EvaluateRetrievalInput,
    schedule_id,
    workflow_id,
)
from muniment.errors import DatabaseTooSlow, InvalidRequest, MunimentError
from retrieval.question_evaluation import Asking, Measured, Question, QuestionEvaluator
from tests.patience import on_a_busy_machine
from tests.retrieval.published import publish_file
from tests.workflows.test_verify_integrity import rows
from tests.workflows.workshop import TenantIds, Workshop
from worker.spent_queries import SpentQueries
from worker.tenant_schedules import EVALUATIONS, TenantSchedules
from workflows.starting import start_evaluation

pytestmark = pytest.mark.asyncio(loop_scope="session")

ONLY = (queues.WORKFLOWS, queues.EVALUATE)
QUESTIONS = {"oak": "oak.txt", "elm": "elm.txt", "ash": "oak.txt"}


class Failing(QuestionEvaluator):
    """Fails at one of the questions as a search of it does; the others are evaluated."""

    def __init__(self, inner: QuestionEvaluator, error: type[MunimentError]) -> None:
        self.__dict__.update(inner.__dict__)
        self._error = error

    async def evaluate(self, access: Access, asking: Asking, question: Question) -> Measured:
        if question.text == "elm":
            raise self._error("too much")
        return await super().evaluate(access, asking, question)


async def made_set(
    workshop: Workshop,
    owner: TenantIds,
    *,
    is_nightly: bool = False,
    answers: str = "none",
    copies: int = 1,
) -> EvaluationSet:
    """Three questions, of which the last is judged by a document that does not answer it."""
    asked = [each for each in QUESTIONS.items() for _ in range(copies)]
    made = EvaluationSet(
        tenant_id=owner.tenant_id,
        principal_id=owner.principal_id,
        name="trees",
        digest=os.urandom(32),
        is_nightly=is_nightly,
        mode="lexical",
        identified_by="name",
        answers=answers,
        is_judged=answers != "none",
        tolerance=0.02,
        question_count=len(asked),
    )
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        session.add(made)
        await session.flush()
        session.add_all(
            EvaluationQuestion(
                set_id=made.id,
                ordinal=ordinal,
                tenant_id=owner.tenant_id,
                question_id=f"q{ordinal}",
                text=word,
                judgements={document: 1.0},
                answers=[f"The {word} stands in the park"],
            )
            for ordinal, (word, document) in enumerate(asked)
        )
    return made


async def published(workshop: Workshop, owner: TenantIds) -> None:
    for word in QUESTIONS:
        await publish_file(
            workshop.database,
            Access(owner.tenant_id),
            owner.collection_id,
            [f"The {word} stands in the park."],
            name=f"{word}.txt",
            owner_id=owner.principal_id,
        )


async def begun(workshop: Workshop, owner: TenantIds, made: EvaluationSet) -> UUID:
    """A run of it that no workflow has yet."""
    run_id = new_id()
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await evaluations.open_run(session, made, run_id, workflow_id(run_id))
    return run_id


async def started(workshop: Workshop, owner: TenantIds, run_id: UUID) -> WorkflowHandle[Any, Any]:
    request = EvaluateRetrievalInput(tenant_id=owner.tenant_id, run_ids=(run_id,))
    await start_evaluation(workshop.client, workflow_id(run_id), request)
    return workshop.client.get_workflow_handle(workflow_id(run_id))


async def evaluation(workshop: Workshop, owner: TenantIds) -> WorkflowHandle[Any, Any]:
    """One that was just started, of published files."""
    await published(workshop, owner)
    return await started(
        workshop, owner, await begun(workshop, owner, await made_set(workshop, owner))
    )


async def metrics(workshop: Workshop, owner: TenantIds, run_id: UUID) -> dict[str, float]:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        return (await evaluations.metrics_of(session, [run_id])).get(run_id, {})


async def test_every_question_is_asked_and_measured(workshop: Workshop, owner: TenantIds) -> None:
    await published(workshop, owner)
    made = await made_set(workshop, owner, answers="extractive")
    run_id = await begun(workshop, owner, made)
    async with workshop.working(names=ONLY):
        await (await started(workshop, owner, run_id)).result()
    (run,) = await rows(workshop, owner, "evaluation_run")
    assert (run["state"], run["finished_at"] is not None) == ("completed", True)
    assert run["index_version_id"] is None  # nothing has vectors here
    assert len(run["notes"]) == 1  # no language model is there to judge
    measured = await metrics(workshop, owner, run_id)
    assert measured["ndcg@10"] == pytest.approx(2 / 3)
    assert measured["mrr@10"] == measured["recall@100"] == pytest.approx(2 / 3)
    assert measured["exact_match"] == measured["token_f1"] == 1.0
    assert measured["citation_precision"] == pytest.approx(2 / 3)
    assert measured["search_ms_p50"] <= measured["search_ms_p95"]
    assert measured["tokens"] == 0.0


async def test_a_run_names_the_index_version_that_it_began_with(
    workshop: Workshop, owner: TenantIds
) -> None:
    await published(workshop, owner)
    run_id = await begun(workshop, owner, await made_set(workshop, owner))
    for number in (1, 2):
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            await session.execute(text("UPDATE index_version SET state = 'superseded'"))
            index = IndexVersion(
                tenant_id=owner.tenant_id,
                model_id="model",
                model_version=str(number),
                dimensions=3,
                state="active",
            )
            session.add(index)
            await session.flush()
            found = await evaluations.get_run(session, run_id)
            assert found is not None
            for _ in range(2):
                await evaluations.note_index(session, found[0])
        (run,) = await rows(workshop, owner, "evaluation_run")
        assert (run["index_version_id"] == index.id) == (number == 1)
    assert run["notes"] == [evaluations.OTHER_INDEX]


async def test_a_question_finds_what_its_principal_may_read_alone(
    workshop: Workshop, owner: TenantIds
) -> None:
    await published(workshop, owner)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(text("UPDATE principal SET is_admin = false"))
        await session.execute(text("UPDATE collection SET visibility = 'private', owner_id = NULL"))
        await session.execute(text("UPDATE file SET owner_id = NULL WHERE name <> 'elm.txt'"))
    run_id = await begun(workshop, owner, await made_set(workshop, owner))
    async with workshop.working(names=ONLY):
        await (await started(workshop, owner, run_id)).result()
    assert (await metrics(workshop, owner, run_id))["recall@100"] == pytest.approx(1 / 3)


async def test_the_set_of_somebody_who_was_disabled_is_not_evaluated(
    workshop: Workshop, owner: TenantIds
) -> None:
    await published(workshop, owner)
    run_id = await begun(workshop, owner, await made_set(workshop, owner, is_nightly=True))
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(text("UPDATE principal SET disabled_at = now()"))
    async with workshop.working(names=ONLY):
        with pytest.raises(WorkflowFailureError):
            await (await started(workshop, owner, run_id)).result()
    assert [run["state"] for run in await rows(workshop, owner, "evaluation_run")] == ["failed"]
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        assert await evaluations.begin_nightly_runs(session, "night") == []


async def test_a_tenants_schedule_evaluates_its_nightly_sets(
    workshop: Workshop, owner: TenantIds
) -> None:
    await published(workshop, owner)
    nightly = [await made_set(workshop, owner, is_nightly=True) for _ in range(2)]
    await made_set(workshop, owner)
    await TenantSchedules(
        workshop.database, workshop.client, EVALUATIONS, timedelta(days=1)
    ).round()
    ended = "evaluation_run WHERE state = 'completed'"
    async with workshop.working(names=ONLY):
        await workshop.client.get_schedule_handle(schedule_id(owner.tenant_id)).trigger()
        async with asyncio.timeout(on_a_busy_machine(60)):
            while len(await rows(workshop, owner, ended)) < 2:  # noqa: ASYNC110 - rows tell nobody
                await asyncio.sleep(0.1)
    assert {run["set_id"] for run in await rows(workshop, owner, "evaluation_run")} == {
        each.id for each in nightly
    }


async def test_a_cancelled_evaluation_sums_up_what_it_has(
    workshop: Workshop, owner: TenantIds
) -> None:
    await published(workshop, owner)
    run_id = await begun(workshop, owner, await made_set(workshop, owner, copies=600))
    async with workshop.working(names=ONLY):
        handle = await started(workshop, owner, run_id)
        async with asyncio.timeout(on_a_busy_machine(60)):
            while not await rows(workshop, owner, "evaluation_result"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    (run,) = await rows(workshop, owner, "evaluation_run")
    assert run["state"] == "cancelled"
    assert (await metrics(workshop, owner, run_id))["ndcg@10"] > 0


async def test_one_that_is_cancelled_before_a_worker_came_ends_all_the_same(
    workshop: Workshop, owner: TenantIds
) -> None:
    run_id = await begun(workshop, owner, await made_set(workshop, owner))
    handle = await started(workshop, owner, run_id)
    await handle.cancel()
    async with workshop.working(names=ONLY):
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    (run,) = await rows(workshop, owner, "evaluation_run")
    assert (run["state"], run["finished_at"] is not None) == ("cancelled", True)
    assert await rows(workshop, owner, "evaluation_result") == []


async def test_a_run_that_has_ended_is_not_begun(workshop: Workshop, owner: TenantIds) -> None:
    run_id = await begun(workshop, owner, await made_set(workshop, owner))
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(
            text("UPDATE evaluation_run SET state = 'cancelled', finished_at = now()")
        )
        assert await evaluations.begin_runs(session, [run_id], workflow_id(run_id)) == []
    (run,) = await rows(workshop, owner, "evaluation_run")
    assert run["state"] == "cancelled"


async def test_the_night_leaves_alone_what_somebody_else_is_at(
    workshop: Workshop, owner: TenantIds
) -> None:
    at_work, lost, former, fresh = [
        await made_set(workshop, owner, is_nightly=True) for _ in range(4)
    ]
    ids = {made.id: await begun(workshop, owner, made) for made in (at_work, lost, former)}
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        for change in (
            f"created_at = now() - interval '1 h', state = 'running' WHERE set_id = '{at_work.id}'",
            f"created_at = now() - interval '1 h' WHERE set_id = '{lost.id}'",
            f"workflow_id = 'last night', state = 'running' WHERE set_id = '{former.id}'",
        ):
            await session.execute(text(f"UPDATE evaluation_run SET {change}"))  # noqa: S608
        begun_by_night = await evaluations.begin_nightly_runs(session, "night")
        assert await evaluations.count_open_runs(session) == 1
    found = await rows(workshop, owner, "evaluation_run")
    owners = {run["set_id"]: (run["id"], run["workflow_id"]) for run in found}
    assert owners[at_work.id] == (ids[at_work.id], workflow_id(ids[at_work.id]))
    assert owners[lost.id] == (ids[lost.id], "night")
    assert owners[former.id] == (ids[former.id], "night")
    assert begun_by_night == [owners[made.id][0] for made in (lost, former, fresh)]
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        before = ids[lost.id]
        assert await evaluations.begin_runs(session, [before], workflow_id(before)) == []


@pytest.mark.parametrize(("error", "attempt"), [(InvalidRequest, 1), (DatabaseTooSlow, 3)])
async def test_a_question_that_fails_for_good_is_counted_and_the_others_are_asked(
    workshop: Workshop, owner: TenantIds, error: type[MunimentError], attempt: int
) -> None:
    await published(workshop, owner)
    run_id = await begun(workshop, owner, await made_set(workshop, owner))
    evaluations_of = workshop.parts.asking.evaluations
    inner = evaluations_of._evaluator
    activities = Evaluations(workshop.database, Failing(inner, error))
    request = EvaluateQuestionsInput(tenant_id=owner.tenant_id, run_id=run_id)
    environment = ActivityEnvironment()
    environment.info = replace(
        environment.info, workflow_id=workflow_id(run_id), attempt=attempt - 1
    )
    if attempt > 1:
        with pytest.raises(ApplicationError):
            await environment.run(activities.evaluate_questions, request)
    environment.info = replace(environment.info, attempt=attempt)
    await environment.run(activities.evaluate_questions, request)
    found = await rows(workshop, owner, "evaluation_result ORDER BY ordinal")
    assert [row["figures"]["failed"] for row in found] == [0.0, 1.0, 0.0]
    (run,) = await rows(workshop, owner, "evaluation_run")
    assert run["notes"] == [f"some questions failed: {error.problem}"]


async def test_a_worker_that_is_killed_meanwhile_asks_no_question_twice(
    workshop: Workshop, owner: TenantIds
) -> None:
    await published(workshop, owner)
    run_id = await begun(workshop, owner, await made_set(workshop, owner))
    url = workshop.settings.database.url.get_secret_value()
    died = await asyncio.to_thread(
        subprocess.run,
        [
            sys.executable,
            "-m",
            "tests.workflows.killed_evaluation",
            str(owner.tenant_id),
            str(run_id),
            url,
        ],
        env=os.environ,
        timeout=on_a_busy_machine(60),
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    before = await rows(workshop, owner, "evaluation_result ORDER BY ordinal")
    assert [row["ordinal"] for row in before] == [0]
    async with workshop.working(names=ONLY):
        await (await started(workshop, owner, run_id)).result()
    after = await rows(workshop, owner, "evaluation_result ORDER BY ordinal")
    assert [row["ordinal"] for row in after] == [0, 1, 2]
    assert after[0] == before[0]


async def test_what_was_measured_long_ago_is_forgotten(
    workshop: Workshop, owner: TenantIds
) -> None:
    for is_nightly in (False, True):
        made = await made_set(workshop, owner, is_nightly=is_nightly)
        await begun(workshop, owner, made)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(
            text("UPDATE evaluation_run SET finished_at = now() - interval '9 d'")
        )
        await session.execute(text("UPDATE evaluation_set SET created_at = now() - interval '9 d'"))
        assert await evaluations.count_nightly_sets(session) == 1
    default = QueryPolicy(Keeps.COUNTS, timedelta(days=30))
    spent = SpentQueries(workshop.database, default, timedelta(days=8))
    await spent.round()
    (nightly,) = await rows(workshop, owner, "evaluation_set")
    assert nightly["is_nightly"]
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(text("UPDATE principal SET disabled_at = now()"))
        assert await evaluations.count_nightly_sets(session) == 0
    await spent.round()
    for table in ("evaluation_run", "evaluation_set", "evaluation_question"):
        assert await rows(workshop, owner, table) == []
