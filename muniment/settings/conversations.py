"""Settings of conversations."""

from typing import Annotated

from pydantic import Field

from muniment.settings.group import Group


class ConversationSettings(Group):
    """Questions in a row, with their answers (docs/conversations.md)."""

    keep_days: Annotated[
        int,
        Field(
            description="Conversations that nobody wrote to for so many days are deleted; 0: kept until"
            " their owner deletes them.",
            ge=0,
            le=36_500,
        ),
    ] = 0
    max_conversations: Annotated[
        int, Field(description="Of a tenant; more get 429.", ge=1, le=1_000_000)
    ] = 20_000
    max_messages: Annotated[
        int,
        Field(description="Questions and answers of a conversation.", ge=2, le=10_000),
    ] = 1_000
    max_bytes: Annotated[
        int,
        Field(description="What a tenant's conversations take together, in bytes.", ge=1_000_000),
    ] = 4 * 1024**3
    resume_seconds: Annotated[
        float,
        Field(
            description="So long after its last reader has left, an answer is made on for whoever comes"
            " back; then the language model's work ends.",
            ge=0,
            le=600,
        ),
    ] = 30.0
    rewrite_seconds: Annotated[
        float,
        Field(
            description="So long a language model may take to put a question that goes on from former ones;"
            " then a rule does it. 0: always the rule.",
            ge=0,
            le=60,
        ),
    ] = 4.0
    socket_idle_seconds: Annotated[
        float,
        Field(
            description="A WebSocket over which nothing was asked for so long is closed.",
            gt=0,
            le=86_400,
        ),
    ] = 900.0
    sockets_of_principal: Annotated[
        int,
        Field(
            description="WebSockets of one principal at one process; more get 429.", ge=1, le=1000
        ),
    ] = 10
