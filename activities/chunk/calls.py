"""What the engine `chunk` is asked; its content is DoclingDocument JSON, its answer a ChunkList."""

from pydantic import Field

from muniment.contracts.base import Contract
from muniment.embedding import WINDOW_TOKENS


class MaskedValue(Contract):
    """What no passage holds, and what stands there instead."""

    value: str
    token: str


class ChunkRequest(Contract):
    """`window_tokens` bounds headings and text of a chunk together, special tokens included."""

    window_tokens: int = Field(default=WINDOW_TOKENS, ge=32, le=WINDOW_TOKENS)
    masks: tuple[MaskedValue, ...] = ()
