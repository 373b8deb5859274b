"""A conversation over a WebSocket, of both clients."""

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Self

from muniment.client.answering import Part
from muniment.client.awaiting import Awaiting
from muniment.client.blocking import Blocking
from muniment.client.building import Id
from muniment.client.protocol import Protocol
from muniment.client.resources.answers import Generate
from muniment.client.socket_answers import SocketAnswers


class ConversationSocket:
    """Opened with the first question, and anew where it drops: what was asked is then gone on with.

        with muniment.conversations.socket(conversation.id) as socket:
            for part in socket.ask("When does the lease end?"):
                ...

    Each iterator ends with the whole Answer; one that is left early is closed before the next question.
    """

    def __init__(self, protocol: Protocol, run: Blocking, conversation_id: Id) -> None:
        self._answers = SocketAnswers(protocol, conversation_id)
        self._run = run
        self._connection = run.connection()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends no answer: `resume` goes on with it."""
        self._connection.close()

    def ask(
        self,
        question: str,
        *,
        follows: Id | None = None,
        edits: Id | None = None,
        top_k: int = 8,
        generate: Generate = "auto",
    ) -> Iterator[Part]:
        """Behind the newest answer, behind `follows`, or in the place of the question `edits`."""
        asked = self._answers.ask(
            question, follows=follows, edits=edits, top_k=top_k, generate=generate
        )
        return self._run.iterate(asked, self._connection)

    def regenerate(
        self, message_id: Id, *, top_k: int = 8, generate: Generate = "auto"
    ) -> Iterator[Part]:
        """A further answer to a question."""
        asked = self._answers.regenerate(message_id, top_k=top_k, generate=generate)
        return self._run.iterate(asked, self._connection)

    def resume(self, message_id: Id, *, after: int = 0) -> Iterator[Part]:
        """The answer that this message is, behind the event with that number."""
        asked = self._answers.resume(message_id, after=after)
        return self._run.iterate(asked, self._connection)


class AsyncConversationSocket:
    """The same, with `async with` and `async for`. An iterator that is left early is closed with
    `contextlib.aclosing`."""

    def __init__(self, protocol: Protocol, run: Awaiting, conversation_id: Id) -> None:
        self._answers = SocketAnswers(protocol, conversation_id)
        self._run = run
        self._connection = run.connection()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends no answer: `resume` goes on with it."""
        await self._connection.close()

    def ask(
        self,
        question: str,
        *,
        follows: Id | None = None,
        edits: Id | None = None,
        top_k: int = 8,
        generate: Generate = "auto",
    ) -> AsyncIterator[Part]:
        """Behind the newest answer, behind `follows`, or in the place of the question `edits`."""
        asked = self._answers.ask(
            question, follows=follows, edits=edits, top_k=top_k, generate=generate
        )
        return self._run.iterate(asked, self._connection)

    def regenerate(
        self, message_id: Id, *, top_k: int = 8, generate: Generate = "auto"
    ) -> AsyncIterator[Part]:
        """A further answer to a question."""
        asked = self._answers.regenerate(message_id, top_k=top_k, generate=generate)
        return self._run.iterate(asked, self._connection)

    def resume(self, message_id: Id, *, after: int = 0) -> AsyncIterator[Part]:
        """The answer that this message is, behind the event with that number."""
        asked = self._answers.resume(message_id, after=after)
        return self._run.iterate(asked, self._connection)
