"""The questions of a list, in a process of its own that kills itself before it commits what came of the
second."""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from sqlalchemy import event
from temporalio.testing import ActivityEnvironment

from activities.question_lists.activity import QuestionLists
from db.session import Database
from muniment.contracts.answer_questions import AnswerQuestionsInput, workflow_id
from muniment.objects import SealedTexts
from muniment.stores import open_stores
from retrieval.answer import Answerer
from retrieval.listed_questions import ListedQuestions
from retrieval.search import Searcher
from tests.workflows.workshop import make_settings

kept = 0


def die(*executed: object) -> None:
    global kept
    statement = executed[2]
    if isinstance(statement, str) and "UPDATE question_list_item" in statement:
        kept += 1
        if kept == 2:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(tenant_id: UUID, list_id: UUID, folder: Path, url: str) -> None:
    database = Database(url)
    event.listen(database._engine.sync_engine, "after_cursor_execute", die)
    blobs = open_stores(make_settings(folder, url)).blobs
    texts = SealedTexts(blobs)
    answerer = Answerer(database, Searcher(database, None, texts))
    activities = QuestionLists(database, texts, ListedQuestions(database, blobs, answerer))
    request = AnswerQuestionsInput(tenant_id=tenant_id, list_id=list_id)
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_id=workflow_id(list_id))
    await environment.run(activities.answer_questions, request)


if __name__ == "__main__":
    asyncio.run(main(UUID(sys.argv[1]), UUID(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]))
