"""Settings of responses that are told again."""

from typing import Annotated

from pydantic import Field

from muniment.settings.group import Group


class CacheSettings(Group):
    """Answers and searches that are told again while nothing has changed (docs/answers.md)."""

    enabled: Annotated[
        bool,
        Field(description="Whether any is kept and told again; a request may say no (`cache`)."),
    ] = True
    keep_minutes: Annotated[
        int, Field(description="How long one is told again at most.", ge=1, le=7 * 24 * 60)
    ] = 24 * 60
    max_responses: Annotated[
        int, Field(description="Kept of a tenant; the oldest go.", ge=1, le=10_000)
    ] = 1_000
    max_bytes: Annotated[
        int, Field(description="Bytes kept of a tenant; the oldest go.", ge=65_536)
    ] = 32 * 1024**2
