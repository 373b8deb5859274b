"""A language model as the gateway asks it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue, SecretStr

from muniment.contracts.language_models import ModelUse


@dataclass(frozen=True)
class Model:
    """`name` is the operator's, `model` the server's; `url` the base to which `/chat/completions` is
    added. Of `context_tokens` prompt and answer take their part. `first_token_seconds` is the longest
    silence before a word, `total_seconds` the longest answer. `request`: further members of the
    body; None takes one away."""

    name: str
    model: str
    url: str
    is_local: bool
    context_tokens: int
    first_token_seconds: float
    total_seconds: float
    api_key: SecretStr | None = None
    ca_file: Path | None = None
    request: Mapping[str, JsonValue] = field(default_factory=dict)

    def may_read(self, use: ModelUse) -> bool:
        """Whether a collection with this rule lets it."""
        return use is ModelUse.ANY or (use is ModelUse.LOCAL and self.is_local)
