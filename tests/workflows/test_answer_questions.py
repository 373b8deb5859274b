"""Questions of a list are answered, graded and kept sealed; a worker that dies meanwhile asks none twice."""

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
from temporalio.client import (
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.testing import ActivityEnvironment

from activities.erasure.stores import store_named
from activities.question_lists.activity import (
    LIST_TOKENS_USED,
    TENANT_TOKENS_USED,
    QuestionLists,
)
from db.models import QuestionList, now
from db.queries import question_lists
from db.session import Access
from muniment.contracts import queues
from muniment.contracts.answer_questions import (
    PROGRESS,
    AnsweredSoFar,
    AnsweringState,
    AnswerQuestionsInput,
    ListedAnswer,
    ListedQuestion,
    ListState,
    workflow_id,
)
from muniment.errors import (
    InvalidRequest,
    KeyDestroyed,
    MunimentError,
    SealBroken,
    TokenBudgetExhausted,
)
from muniment.objects import SealedText, SealedTexts
from muniment.objects.sealed_texts import answer_place, question_place
from retrieval.listed_questions import Answered, ListAsking, ListedQuestions
from tests.patience import on_a_busy_machine
from tests.retrieval.published import publish_file, set_state
from tests.workflows.test_verify_integrity import rows
from tests.workflows.workshop import TenantIds, Workshop
from worker.reconciler import Reconciler
from worker.spent_question_lists import SpentQuestionLists
from workflows.starting import start_answering

pytestmark = pytest.mark.asyncio(loop_scope="session")

ONLY = (queues.WORKFLOWS, queues.EVALUATE)
OAK = ListedQuestion(
    text="Where does the oak stand?",
    expected_answer="The oak stands in the park",
    expected_file="oak.txt",
    expected_page=1,
)
ELM = ListedQuestion(text="Where does the elm stand?", expected_file="oak", expected_page=2)
WHALE = ListedQuestion(text="Whale?", expected_file="whale.txt")
QUESTIONS = (OAK, ELM, WHALE)
FINISHED = "question_list WHERE finished_at IS NOT NULL"
ANSWERED = "question_list_item WHERE outcome IS NOT NULL ORDER BY ordinal"


class Failing(ListedQuestions):
    """Fails at one of the questions as an answer to it does; the others are answered."""

    def __init__(self, inner: ListedQuestions, error: type[MunimentError]) -> None:
        self.__dict__.update(inner.__dict__)
        self._error = error

    async def answer(
        self, access: Access, asking: ListAsking, question: ListedQuestion
    ) -> Answered:
        if question.text == ELM.text:
            raise self._error("too much")
        return await super().answer(access, asking, question)


async def published(workshop: Workshop, owner: TenantIds) -> dict[str, UUID]:
    """By name."""
    made: dict[str, UUID] = {}
    for word in ("oak", "elm"):
        file = await publish_file(
            workshop.database,
            Access(owner.tenant_id),
            owner.collection_id,
            [f"The {word} stands in the park."],
            name=f"{word}.txt",
            owner_id=owner.principal_id,
        )
        made[word] = file.file_id
    return made


async def made_list(
    workshop: Workshop, owner: TenantIds, *, copies: int = 1, max_tokens: int | None = None
) -> UUID:
    """As the API commits it."""
    key = await SealedTexts(workshop.stores.blobs).make_key(owner.tenant_id)
    questions = [question for question in QUESTIONS for _ in range(copies)]
    made = QuestionList(
        tenant_id=owner.tenant_id,
        principal_id=owner.principal_id,
        text_key_id=key.blob.blob_id,
        generate="extractive",
        top_k=8,
        question_count=len(questions),
        max_tokens=max_tokens,
        keep_days=7,
        state="queued",
        expires_at=now() + question_lists.LONGEST_OPEN,
    )
    sealed = [
        key.key.seal(
            question.model_dump_json().encode(), question_place(owner.tenant_id, made.id, ordinal)
        )
        for ordinal, question in enumerate(questions)
    ]
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await question_lists.add_list(session, made, key.blob, list(enumerate(sealed, start=2)))
    return made.id


async def started(workshop: Workshop, owner: TenantIds, list_id: UUID) -> WorkflowHandle[Any, Any]:
    request = AnswerQuestionsInput(tenant_id=owner.tenant_id, list_id=list_id)
    await start_answering(workshop.client, request)
    return workshop.client.get_workflow_handle(workflow_id(list_id))


async def answering(workshop: Workshop, owner: TenantIds) -> WorkflowHandle[Any, Any]:
    """One that was just started, of published files."""
    await published(workshop, owner)
    return await started(workshop, owner, await made_list(workshop, owner))


async def answers(workshop: Workshop, owner: TenantIds) -> list[ListedAnswer]:
    """Of the tenant's only list."""
    (found,) = await rows(workshop, owner, "question_list")
    sealed = [
        SealedText(
            owner.tenant_id,
            found["text_key_id"],
            answer_place(owner.tenant_id, found["id"], row["ordinal"]),
            bytes(row["answer"]),
        )
        for row in await rows(workshop, owner, ANSWERED)
    ]
    return await SealedTexts(workshop.stores.blobs).opened(sealed, ListedAnswer)


async def changed(workshop: Workshop, owner: TenantIds, statement: str) -> None:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(text(statement))


async def until_some(workshop: Workshop, owner: TenantIds, what: str) -> None:
    async with asyncio.timeout(on_a_busy_machine(60)):
        while not await rows(workshop, owner, what):  # noqa: ASYNC110 - rows tell nobody
            await asyncio.sleep(0.05)


class OutOfReach(ListedQuestions):
    """Each answer costs tokens, and reads a file that may be out of reach before it is kept."""

    def __init__(self, inner: ListedQuestions, file_id: UUID) -> None:
        self.__dict__.update(inner.__dict__)
        self._file_id = file_id

    async def answer(
        self, access: Access, asking: ListAsking, question: ListedQuestion
    ) -> Answered:
        said = await super().answer(access, asking, question)
        return replace(said, sources=said.sources | {self._file_id}, tokens=7)


async def once(
    workshop: Workshop, owner: TenantIds, list_id: UUID, error: type[MunimentError]
) -> AnsweredSoFar:
    """A batch that fails at the second question so."""
    questions = Failing(workshop.parts.asking.question_lists._questions, error)
    return await batch(workshop, owner, list_id, questions)


async def batch(
    workshop: Workshop, owner: TenantIds, list_id: UUID, questions: ListedQuestions
) -> AnsweredSoFar:
    texts = workshop.parts.asking.question_lists._texts
    activities = QuestionLists(workshop.database, texts, questions)
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_id=workflow_id(list_id))
    request = AnswerQuestionsInput(tenant_id=owner.tenant_id, list_id=list_id)
    answered: AnsweredSoFar = await environment.run(activities.answer_questions, request)
    return answered


async def test_every_question_is_answered_and_graded(workshop: Workshop, owner: TenantIds) -> None:
    files = await published(workshop, owner)
    list_id = await made_list(workshop, owner)
    async with workshop.working(names=ONLY):
        handle = await started(workshop, owner, list_id)
        await handle.result()
        so_far = await handle.query(PROGRESS, result_type=AnsweredSoFar)
    assert so_far == AnsweredSoFar(state=AnsweringState.ANSWERED, done=3, total=3)
    (found,) = await rows(workshop, owner, "question_list")
    assert (found["state"], found["expires_at"] - found["finished_at"]) == (
        "completed",
        timedelta(days=7),
    )
    items = await rows(workshop, owner, ANSWERED)
    assert [item["outcome"] for item in items] == ["answered", "answered", "unanswered"]
    assert b"park" not in b"".join(bytes(item["answer"]) for item in items)
    oak, elm, whale = await answers(workshop, owner)
    assert oak.citations[0].file_id == files["oak"]
    assert (oak.citations[0].file, oak.citations[0].page) == ("oak.txt", 1)
    assert oak.citations[0].quote in oak.answer
    assert (oak.grades.token_f1, oak.grades.file_cited, oak.grades.page_cited) == (1.0, 1.0, 1.0)
    assert elm.grades.token_f1 is None
    assert (elm.grades.page_cited, whale.grades.file_cited) == (0.0, 0.0)
    assert whale.citations == ()
    sources = await rows(workshop, owner, "question_list_source")
    assert {source["file_id"] for source in sources} == set(files.values())
    events = await rows(workshop, owner, "audit_event WHERE action = 'question_list.ended'")
    assert (events[0]["payload"]["answered"], events[0]["payload"]["unanswered"]) == (2, 1)


async def test_a_quote_of_a_text_that_was_read_is_verified_on_its_page(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, b"The oak stands in the park.\n", "oak.txt")
    async with workshop.working():
        await (await workshop.start(job)).result()
        await (await started(workshop, owner, await made_list(workshop, owner))).result()
    oak, *_ = await answers(workshop, owner)
    assert oak.citations[0].verified


async def test_a_question_finds_what_its_principal_may_read_at_that_moment(
    workshop: Workshop, owner: TenantIds
) -> None:
    await published(workshop, owner)
    await changed(workshop, owner, "UPDATE principal SET is_admin = false")
    hidden = "UPDATE collection SET visibility = 'private', owner_id = NULL"
    await changed(workshop, owner, hidden)
    await changed(workshop, owner, "UPDATE file SET owner_id = NULL WHERE name <> 'elm.txt'")
    async with workshop.working(names=ONLY):
        await (await started(workshop, owner, await made_list(workshop, owner))).result()
    oak, elm, _ = await answers(workshop, owner)
    assert "oak" not in oak.answer
    assert elm.citations[0].file == "elm.txt"


async def test_whoever_was_disabled_is_answered_no_further(
    workshop: Workshop, owner: TenantIds
) -> None:
    await published(workshop, owner)
    await changed(workshop, owner, "UPDATE principal SET disabled_at = now()")
    async with workshop.working(names=ONLY):
        with pytest.raises(WorkflowFailureError):
            await (await started(workshop, owner, await made_list(workshop, owner))).result()
    (found,) = await rows(workshop, owner, "question_list")
    assert (found["state"], "disabled" in found["reason"]) == ("failed", True)
    assert await rows(workshop, owner, ANSWERED) == []


@pytest.mark.parametrize("error", [InvalidRequest, KeyDestroyed, SealBroken])
async def test_a_question_that_fails_for_good_is_told_and_the_others_are_asked(
    workshop: Workshop, owner: TenantIds, error: type[MunimentError]
) -> None:
    await published(workshop, owner)
    list_id = await made_list(workshop, owner)
    answered = await once(workshop, owner, list_id, error)
    assert answered.state is AnsweringState.ANSWERED
    items = await rows(workshop, owner, ANSWERED)
    assert [item["outcome"] for item in items] == ["answered", "failed", "unanswered"]
    assert (await answers(workshop, owner))[1].reasons == (error.problem,)


async def test_answers_that_are_not_kept_cost_their_tokens(
    workshop: Workshop, owner: TenantIds
) -> None:
    files = await published(workshop, owner)
    asker = Access(owner.tenant_id, owner.principal_id)
    await set_state(workshop.database, asker, files["elm"], "trashed")
    questions = OutOfReach(workshop.parts.asking.question_lists._questions, files["elm"])
    list_id = await made_list(workshop, owner, max_tokens=21)
    answered = await batch(workshop, owner, list_id, questions)
    assert (answered.state, answered.done) == (AnsweringState.PAUSED, 1)
    (item,) = await rows(workshop, owner, ANSWERED)
    assert (item["outcome"], item["tokens"]) == ("failed", 3 * 7)


async def test_it_pauses_when_the_tenants_tokens_are_used_up(
    workshop: Workshop, owner: TenantIds
) -> None:
    await published(workshop, owner)
    list_id = await made_list(workshop, owner)
    answered = await once(workshop, owner, list_id, TokenBudgetExhausted)
    assert (answered.state, answered.done) == (AnsweringState.PAUSED, 1)
    (found,) = await rows(workshop, owner, "question_list")
    assert (found["state"], found["reason"]) == ("paused", TENANT_TOKENS_USED)


async def test_it_pauses_when_its_own_tokens_are_used_up_and_goes_on_when_told(
    workshop: Workshop, owner: TenantIds
) -> None:
    await published(workshop, owner)
    list_id = await made_list(workshop, owner, max_tokens=10)
    await changed(workshop, owner, "UPDATE question_list_item SET tokens = 10 WHERE ordinal = 0")
    async with workshop.working(names=ONLY):
        handle = await started(workshop, owner, list_id)
        await until_some(workshop, owner, "question_list WHERE state = 'paused'")
        (found,) = await rows(workshop, owner, "question_list")
        assert found["reason"] == LIST_TOKENS_USED
        assert await rows(workshop, owner, ANSWERED) == []
        await changed(
            workshop, owner, "UPDATE question_list SET state = 'running', max_tokens = 11"
        )
        assert await started(workshop, owner, list_id)
        await handle.result()
    assert len(await rows(workshop, owner, ANSWERED)) == 3


async def test_a_list_that_is_over_keeps_no_further_answer(
    workshop: Workshop, owner: TenantIds
) -> None:
    await published(workshop, owner)
    list_id = await made_list(workshop, owner, copies=300)
    async with workshop.working(names=ONLY):
        handle = await started(workshop, owner, list_id)
        await until_some(workshop, owner, ANSWERED)
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            found = await question_lists.get_list(session, list_id, for_update=True)
            assert found is not None
            await question_lists.end_list(session, found, ListState.CANCELLED, None)
        kept = len(await rows(workshop, owner, ANSWERED))
        await handle.result()
    assert len(await rows(workshop, owner, ANSWERED)) == kept


async def test_one_that_an_operator_cancels_is_over(workshop: Workshop, owner: TenantIds) -> None:
    handle = await started(workshop, owner, await made_list(workshop, owner))
    await handle.cancel()
    async with workshop.working(names=ONLY):
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert [found["state"] for found in await rows(workshop, owner, FINISHED)] == ["cancelled"]


async def test_a_long_list_continues_as_new(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.question_lists.activity.BATCH_QUESTIONS", 1)
    monkeypatch.setattr("workflows.answer_questions.ANSWER_BATCHES", 2)
    await published(workshop, owner)
    list_id = await made_list(workshop, owner)
    async with workshop.working(names=ONLY):
        handle = await started(workshop, owner, list_id)
        first = (await handle.describe()).run_id
        await handle.result()
    assert (await handle.describe()).run_id != first, "another run went on"
    began = workshop.client.get_workflow_handle(workflow_id(list_id), run_id=first)
    assert (await began.describe()).status is WorkflowExecutionStatus.CONTINUED_AS_NEW
    assert len(await rows(workshop, owner, ANSWERED)) == 3
    assert len(await rows(workshop, owner, FINISHED)) == 1


async def test_a_list_that_was_never_started_is_started(
    lone_workshop: Workshop, lone_owner: TenantIds
) -> None:
    workshop, owner = lone_workshop, lone_owner
    await published(workshop, owner)
    list_id = await made_list(workshop, owner)
    reconciler = Reconciler(workshop.database, workshop.client, 1.0, min_age=timedelta(0))
    assert await reconciler.start_question_lists() == 1
    assert await reconciler.start_question_lists() == 0
    async with workshop.working(names=ONLY):
        await workshop.client.get_workflow_handle(workflow_id(list_id)).result()
    assert len(await rows(workshop, owner, FINISHED)) == 1


async def test_an_erased_file_takes_the_answers_that_read_it(
    workshop: Workshop, owner: TenantIds
) -> None:
    files = await published(workshop, owner)
    async with workshop.working(names=ONLY):
        await (await started(workshop, owner, await made_list(workshop, owner))).result()
    store = store_named("listed_answers")
    assert store is not None
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await store.erase(session, files["oak"])
    read_oak = [
        item["ordinal"]
        for item in await rows(workshop, owner, ANSWERED)
        if item["outcome"] == "erased"
    ]
    assert 0 in read_oak
    assert await rows(workshop, owner, "question_list_item WHERE ordinal = 0 AND answer IS NULL")
    left = await rows(workshop, owner, "question_list_source")
    assert files["oak"] not in {source["file_id"] for source in left}


async def test_an_answer_whose_file_goes_out_of_reach_meanwhile_is_not_kept(
    workshop: Workshop, owner: TenantIds
) -> None:
    files = await published(workshop, owner)
    list_id = await made_list(workshop, owner)
    outcome = question_lists.Outcome(
        question_lists.QuestionOutcome.ANSWERED, b"sealed", frozenset(files.values()), 0
    )
    asker = Access(owner.tenant_id, owner.principal_id)
    await set_state(workshop.database, asker, files["elm"], "trashed")
    async with workshop.database.transaction(asker) as session:
        assert not await question_lists.keep_outcome(session, list_id, 0, outcome)
        withheld = await question_lists.out_of_reach(session, list_id, [0])
    assert withheld == frozenset()
    await set_state(workshop.database, asker, files["elm"], "ready")
    async with workshop.database.transaction(asker) as session:
        assert await question_lists.keep_outcome(session, list_id, 0, outcome)
    await set_state(workshop.database, asker, files["elm"], "trashed")
    async with workshop.database.transaction(asker) as session:
        assert await question_lists.out_of_reach(session, list_id, [0]) == {0}


async def test_what_has_expired_is_forgotten_with_its_key(
    lone_workshop: Workshop, lone_owner: TenantIds
) -> None:
    workshop, owner = lone_workshop, lone_owner
    await made_list(workshop, owner)
    (found,) = await rows(workshop, owner, "question_list")
    clearing = SpentQuestionLists(workshop.database, workshop.stores.blobs)
    assert await clearing.round() == 0
    await changed(workshop, owner, "UPDATE question_list SET expires_at = now()")
    assert await clearing.round() == 1
    for table in ("question_list", "question_list_item"):
        assert await rows(workshop, owner, table) == []
    with pytest.raises(KeyDestroyed):
        await SealedTexts(workshop.stores.blobs).key(owner.tenant_id, found["text_key_id"])


async def test_a_worker_that_is_killed_meanwhile_asks_no_question_twice(
    workshop: Workshop, owner: TenantIds
) -> None:
    await published(workshop, owner)
    list_id = await made_list(workshop, owner)
    settings = workshop.settings
    died = await asyncio.to_thread(
        subprocess.run,
        [
            sys.executable,
            "-m",
            "tests.workflows.killed_answers",
            str(owner.tenant_id),
            str(list_id),
            str(settings.keys.root.parent),
            settings.database.url.get_secret_value(),
        ],
        env=os.environ,
        timeout=on_a_busy_machine(60),
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    before = await rows(workshop, owner, ANSWERED)
    assert [row["ordinal"] for row in before] == [0]
    async with workshop.working(names=ONLY):
        await (await started(workshop, owner, list_id)).result()
    after = await rows(workshop, owner, ANSWERED)
    assert [row["ordinal"] for row in after] == [0, 1, 2]
    assert after[0] == before[0]
