"""An answer on its way to the form of a chat completion."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from api.openai_compatible.chat_completions.schemas import (
    AssistantMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
    Circumstances,
    Delta,
    FileCitation,
    Usage,
)
from api.openai_compatible.ids import IdPrefix, shown_id
from db.models import new_id
from retrieval.response import Answer, AnswerEvent, Citation, CitationEvent, TokenEvent

END_OF_STREAM = b"data: [DONE]\n\n"


@dataclass
class Completion:
    """Collects the events of one answer. A citation comes behind its mark: the nearest one before it in the
    text is its own."""

    model: str
    ignored: Sequence[str]
    id: str = field(default_factory=lambda: shown_id(IdPrefix.CHAT_COMPLETION, new_id()))
    created: int = field(default_factory=lambda: int(time.time()))
    annotations: list[FileCitation] = field(default_factory=list)
    _text: str = ""

    def take(self, event: AnswerEvent) -> None:
        if isinstance(event, TokenEvent):
            self._text += event.text
        elif isinstance(event, CitationEvent):
            self.annotations.append(self._annotation(event.citation))

    def _annotation(self, citation: Citation) -> FileCitation:
        mark = f"[{citation.n}]"
        place = self._text.rfind(mark)
        start = len(self._text) if place < 0 else place
        return FileCitation(
            file_id=shown_id(IdPrefix.FILE, citation.file_id),
            filename=citation.name,
            index=start,
            end_index=start if place < 0 else start + len(mark),
            quote=citation.quote,
            page=citation.page,
            verified=citation.verified,
            chunk_id=citation.chunk_id,
        )

    def whole(self, answer: Answer) -> ChatCompletion:
        message = AssistantMessage(content=answer.answer, annotations=self.annotations)
        return ChatCompletion(
            id=self.id,
            created=self.created,
            model=self.model,
            choices=[Choice(message=message)],
            usage=_usage(answer),
            muniment=self._circumstances(answer),
        )

    def opening(self) -> bytes:
        return self._piece(ChunkChoice(delta=Delta(role="assistant", content="")))

    def piece(self, content: str) -> bytes:
        return self._piece(ChunkChoice(delta=Delta(content=content)))

    def closing(self, answer: Answer, *, include_usage: bool) -> bytes:
        """The last delta, the usage where it was asked for, and the end of the stream."""
        last = ChunkChoice(delta=Delta(annotations=self.annotations), finish_reason="stop")
        pieces = self._piece(last, self._circumstances(answer))
        if include_usage:
            pieces += _event(self._chunk([], usage=_usage(answer)))
        return pieces + END_OF_STREAM

    def _piece(self, choice: ChunkChoice, circumstances: Circumstances | None = None) -> bytes:
        return _event(self._chunk([choice], circumstances=circumstances))

    def _chunk(
        self,
        choices: list[ChunkChoice],
        *,
        usage: Usage | None = None,
        circumstances: Circumstances | None = None,
    ) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self.id,
            created=self.created,
            model=self.model,
            choices=choices,
            usage=usage,
            muniment=circumstances,
        )

    def _circumstances(self, answer: Answer) -> Circumstances:
        meta = answer.meta
        return Circumstances(
            answered_by=meta.model,
            degraded=meta.degraded,
            reasons=list(meta.reasons),
            truncated=meta.truncated,
            ignored=list(self.ignored),
        )


def _usage(answer: Answer) -> Usage:
    tokens = answer.meta.tokens
    return Usage(
        prompt_tokens=tokens.prompt,
        completion_tokens=tokens.completion,
        total_tokens=tokens.prompt + tokens.completion,
    )


def _event(chunk: ChatCompletionChunk) -> bytes:
    """Server-sent events without names (WHATWG HTML, 9.2); what is null in a delta is left out."""
    return f"data: {chunk.model_dump_json(exclude_none=True)}\n\n".encode()
