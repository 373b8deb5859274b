"""What a chat asks: its last message, with the questions before it, of the vector stores that it names."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import JsonValue

from api.openai_compatible.chat_completions.schemas import (
    ChatMessage,
    FileSearchTool,
    Ignored,
    NewChatCompletion,
    Unsupported,
)
from api.openai_compatible.errors import UnsupportedParameter
from api.openai_compatible.ids import IdPrefix, uuid_of
from api.openai_compatible.vector_stores.schemas import RankingOptions
from muniment.errors import InvalidRequest
from retrieval.request import MAX_QUERY_CHARACTERS, Generate, StoreQuestionRequest

_LIKE_NONE: dict[str, tuple[JsonValue, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "stop": ([],),
    "logit_bias": ({},),
    "functions": ([],),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "store": (False,),
}
"""Values that say the same as none."""
_TOOL_CHOICES = (None, "auto", "required", {"type": "file_search"})
_USUAL_TOP_K = 8
MOST_EARLIER_QUESTIONS = 2
MOST_EARLIER_CHARACTERS = 2_000


def refuse_unsupported(body: NewChatCompletion) -> None:
    """Raises UnsupportedParameter for the first of them."""
    for name in Unsupported.model_fields:
        value = getattr(body, name)
        if value is not None and value not in _LIKE_NONE.get(name, ()):
            raise UnsupportedParameter(name, "answers are plain text, one to a question")
    if body.tool_choice not in _TOOL_CHOICES:
        raise UnsupportedParameter("tool_choice", "every answer is made of a search")
    options = _tool(body).ranking_options if body.tools else None
    if options not in (None, RankingOptions()):
        raise UnsupportedParameter(
            "tools.0.ranking_options", "answers rank as the operator's settings say"
        )


def ignored_parameters(body: NewChatCompletion) -> list[str]:
    """Those that were sent and make no difference; messages of a system among them."""
    sent = [name for name in Ignored.model_fields if getattr(body, name) is not None]
    roles = {message.role for message in body.messages}
    return sent + [f"messages[{role}]" for role in ("system", "developer") if role in roles]


def question_of(body: NewChatCompletion, generate: Generate) -> StoreQuestionRequest:
    """Raises InvalidRequest where nothing is asked, NotFound for an id that is none."""
    tool = _tool(body) if body.tools else None
    return StoreQuestionRequest(
        query=_query(body.messages),
        top_k=_USUAL_TOP_K if tool is None else tool.max_num_results,
        filter={"where": tool.filters} if tool is not None and tool.filters is not None else {},
        generate=generate,
        vector_stores=_vector_stores(body, tool),
    )


def _tool(body: NewChatCompletion) -> FileSearchTool:
    return (body.tools or [])[0]


def _vector_stores(body: NewChatCompletion, tool: FileSearchTool | None) -> tuple[UUID, ...]:
    named = [*(body.vector_store_ids or ()), *(tool.vector_store_ids if tool else ())]
    return tuple(dict.fromkeys(uuid_of(IdPrefix.VECTOR_STORE, each) for each in named))


def asked_last(body: NewChatCompletion) -> str:
    """What is kept of a question: each of a chat's once, without those before it."""
    return _words(body.messages[-1]).strip()


def _query(messages: Sequence[ChatMessage]) -> str:
    """The last message first, then what was asked before it: `and when?` is found by nothing of its own. What
    was answered is not asked again."""
    *before, last = messages
    question = _words(last).strip()
    if last.role != "user" or not question:
        raise _no_question("the last message is a user's, and asks something")
    if len(question) > MAX_QUERY_CHARACTERS:
        raise _no_question(f"a question has at most {MAX_QUERY_CHARACTERS} characters")
    earlier = [words for each in before if each.role == "user" and (words := _words(each).strip())]
    told = "\n".join(earlier[-MOST_EARLIER_QUESTIONS:])[-MOST_EARLIER_CHARACTERS:]
    return f"{question}\n{told}"[:MAX_QUERY_CHARACTERS].rstrip() if told else question


def _words(message: ChatMessage) -> str:
    content = message.content or ""
    told = content if isinstance(content, str) else "\n".join(part.text for part in content)
    return told.replace("\0", " ")


def _no_question(detail: str) -> InvalidRequest:
    return InvalidRequest("there is no question", errors=[{"field": "messages", "detail": detail}])
