"""Settings of the language models that word answers."""

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, SecretStr, field_validator

from muniment.settings.group import Group

OURS = frozenset({"messages", "model", "stream", "n", "tools", "functions", "tool_choice"})
"""Members of a request that no setting changes: an answer is one, is streamed, and has no tools."""


class LanguageModel(Group):
    """A model on a server that speaks OpenAI's chat completions, by its name here."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")]
    url: str
    """The base URL, to which `/chat/completions` is added: `http://127.0.0.1:11434/v1` of an Ollama."""
    model: Annotated[str, Field(min_length=1, max_length=200)]
    api_key: SecretStr | None = None
    local: bool = False
    """It runs in the house: collections whose texts may not leave it may be read by it."""
    context_tokens: Annotated[int, Field(ge=2_048, le=10_000_000)] = 8_192
    first_token_seconds: Annotated[float, Field(gt=0, le=600)] = 20.0
    """How long its first word is waited for, and every further one."""
    total_seconds: Annotated[float, Field(gt=0, le=3_600)] = 120.0
    ca_file: Path | None = None
    request: Annotated[dict[str, JsonValue], Field(default_factory=dict)]
    """Further members of the request's body; null takes one away that is sent otherwise."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError("an address begins with https:// or http:// and has no query")
        if parts.port == 0:
            raise ValueError("no server listens at port 0")
        if parts.username or parts.password:
            raise ValueError("a password belongs into `api_key`")
        return url.rstrip("/")

    @field_validator("api_key")
    @classmethod
    def _fits_into_a_header(cls, api_key: SecretStr | None) -> SecretStr | None:
        if api_key is not None and not re.fullmatch(r"[!-~]+", api_key.get_secret_value()):
            raise ValueError("a key is of visible ASCII characters, without spaces")
        return api_key

    @field_validator("request")
    @classmethod
    def _changes_nothing_of_ours(cls, request: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if changed := OURS & request.keys():
            raise ValueError(f"{sorted(changed)[0]} is not a setting")
        return request


class ModelSettings(Group):
    """Language models that word answers. Without any, answers are made of the documents' sentences."""

    providers: Annotated[
        tuple[LanguageModel, ...],
        Field(
            description="JSON list of models, asked in this order, each with `name`, `url`, `model`,"
            " and as needed `api_key`, `local` (it runs in the house), `context_tokens`,"
            " `first_token_seconds`, `total_seconds`, `ca_file`, `request` (docs/answers.md).",
            max_length=16,
        ),
    ] = ()
    prompt: Annotated[
        Literal["answer-1"],
        Field(description="Version of the prompt, a folder of `retrieval/prompts`."),
    ] = "answer-1"
    max_answer_tokens: Annotated[
        int, Field(description="Longest answer of a model, in its tokens.", ge=16, le=32_000)
    ] = 800
    monthly_tokens: Annotated[
        int | None,
        Field(
            description="Tokens that models may read and write for a tenant in a month (UTC), where"
            " `python -m db.token_budgets` set no other number; unset: any.",
            ge=0,
            le=2**63 - 1,
        ),
    ] = None
    max_concurrent: Annotated[
        int,
        Field(description="Answers by a model that one API process makes at a time.", ge=1),
    ] = 64

    @field_validator("providers")
    @classmethod
    def _have_different_names(
        cls, providers: tuple[LanguageModel, ...]
    ) -> tuple[LanguageModel, ...]:
        if len({each.name for each in providers}) < len(providers):
            raise ValueError("two models have the same name")
        return providers
