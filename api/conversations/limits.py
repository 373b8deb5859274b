"""What conversations may come to, and what this process does for them at a time."""

from dataclasses import dataclass, field

from api.slots import Slots

MOST_SEARCHES = 2
"""Of one process: each opens the words of up to 200 conversations."""


@dataclass(frozen=True)
class ConversationLimits:
    """`conversations` and `size_bytes` of a tenant, `messages` of one conversation. For `resume_seconds`
    after its last reader has left an answer is made on. A WebSocket over which nothing was asked for
    `socket_idle_seconds` is closed."""

    conversations: int = 20_000
    messages: int = 1_000
    size_bytes: int = 4 * 1024**3
    resume_seconds: float = 30.0
    socket_idle_seconds: float = 900.0
    searches: Slots = field(
        default_factory=lambda: Slots(MOST_SEARCHES, "searches of conversations")
    )
