"""Completions of a chat as OpenAI's clients see them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.openai_compatible.vector_stores.schemas import Asked, RankingOptions

MAX_MESSAGES = 200
MAX_CONTENT_CHARACTERS = 200_000
MAX_STORES = 20

StoreIds = Annotated[
    list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=MAX_STORES)
]


class TextPart(Asked):
    type: Literal["text"]
    text: str = Field(max_length=MAX_CONTENT_CHARACTERS)


class ChatMessage(BaseModel):
    """Of a user's message the words are read; of what answered it, nothing. What clients send back with an
    answer (`annotations`, `refusal` …) is taken and not looked at."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["user", "assistant", "system", "developer"]
    content: (
        Annotated[str, Field(max_length=MAX_CONTENT_CHARACTERS)]
        | Annotated[list[TextPart], Field(max_length=MAX_MESSAGES)]
        | None
    ) = None


class FileSearchTool(Asked):
    """In which vector stores is searched, and how."""

    type: Literal["file_search"]
    vector_store_ids: StoreIds
    max_num_results: int = Field(default=8, ge=1, le=50)
    filters: dict[str, JsonValue] | None = None
    ranking_options: RankingOptions | None = None


class StreamOptions(Asked):
    include_usage: bool = False
    include_obfuscation: bool | None = None


class Unsupported(Asked):
    """What is not done here, and would be missed by whoever sent it: refused, but for the value that says
    the same as none."""

    n: int | None = None
    stop: JsonValue = None
    response_format: JsonValue = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: JsonValue = None
    functions: JsonValue = None
    function_call: JsonValue = None
    audio: JsonValue = None
    modalities: JsonValue = None
    moderation: JsonValue = None
    prediction: JsonValue = None
    web_search_options: JsonValue = None
    store: bool | None = None


class Ignored(Asked):
    """What a model's words depend on: how it is asked is the operator's to say. `muniment.ignored` of the
    answer names those that were sent."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    reasoning_effort: JsonValue = None
    verbosity: JsonValue = None
    service_tier: JsonValue = None
    parallel_tool_calls: bool | None = None
    metadata: JsonValue = None
    prompt_cache_key: JsonValue = None
    prompt_cache_options: JsonValue = None
    prompt_cache_retention: JsonValue = None
    safety_identifier: JsonValue = None
    user: JsonValue = None


class NewChatCompletion(Unsupported, Ignored):
    """The last message is the question. It is answered from the vector stores that are named, in a tool
    `file_search` or in `vector_store_ids`, else from all files that the caller may read."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "model": "muniment",
                    "messages": [{"role": "user", "content": "when does the lease end?"}],
                }
            ]
        },
    )

    model: str = Field(max_length=200)
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    tools: Annotated[list[FileSearchTool], Field(max_length=1)] | None = None
    tool_choice: JsonValue = None
    vector_store_ids: StoreIds | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class FileCitation(BaseModel):
    """`index`: the code point of the message at which the citation's mark stands, up to `end_index`. What
    is `verified` stands so on its page (`POST /v1/query`)."""

    type: Literal["file_citation"] = "file_citation"
    file_id: str
    filename: str
    index: int
    end_index: int
    quote: str
    page: int | None
    verified: bool
    chunk_id: UUID


class AssistantMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None
    annotations: list[FileCitation]


class Choice(BaseModel):
    index: Literal[0] = 0
    message: AssistantMessage
    logprobs: None = None
    finish_reason: Literal["stop"] = "stop"


class Usage(BaseModel):
    """Tokens of language models; 0 where the documents' own sentences answered."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Circumstances(BaseModel):
    """How it was answered, which OpenAI's form has no place for: `answered_by` (`extractive`: the documents'
    own sentences), what was missing, and parameters that were sent and make no difference."""

    answered_by: str
    degraded: bool
    reasons: list[str]
    truncated: bool
    ignored: list[str]


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    muniment: Circumstances


class Delta(BaseModel):
    """`annotations` come in the last one."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    annotations: list[FileCitation] | None = None


class ChunkChoice(BaseModel):
    index: Literal[0] = 0
    delta: Delta
    logprobs: None = None
    finish_reason: Literal["stop"] | None = None


class ChatCompletionChunk(BaseModel):
    """A piece of the answer; with `stream_options.include_usage` the last one has no choice."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    muniment: Circumstances | None = None
