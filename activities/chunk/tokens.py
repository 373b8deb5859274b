"""Counting tokens as the embedder will."""

from collections.abc import Callable
from functools import lru_cache

from docling_core.transforms.chunker.tokenizer.base import BaseTokenizer
from pydantic import ConfigDict

from muniment.embedding.tokenizer import SPECIAL_TOKENS, load_tokenizer

CHARACTERS_PER_TOKEN = 16
"""WordPiece makes one [UNK] of any word over 100 characters, so that a page of Thai or of base64
would count as one token and make a chunk of any length. Ordinary text has 3 to 6 characters a
token, so this lower bound on the count holds only there."""

COUNTED_CHARACTERS = 16_384
"""A text that is longer has too many tokens for any window: how many its beginning has is enough."""

_KNOWN_WORDS = 32_768
LONGEST_KNOWN_WORD = 512


class WindowTokenizer(BaseTokenizer):
    """docling's view of the embedder's tokenizer: `window_tokens` less the special ones."""

    model_config = ConfigDict(frozen=True)

    window_tokens: int

    def count_tokens(self, text: str) -> int:
        """Tokens that the text takes up in the window; never less than its length allows."""
        return max(count_exactly(text[:COUNTED_CHARACTERS]), len(text) // CHARACTERS_PER_TOKEN)

    def get_max_tokens(self) -> int:
        return self.window_tokens - SPECIAL_TOKENS

    def get_tokenizer(self) -> Callable[[str], int]:
        """A counting function: it is given to semchunk, which takes one in a tokenizer's place."""
        return self.count_tokens


def count_exactly(text: str) -> int:
    """Tokens of the text without special ones, as the embedder's tokenizer makes them.

    BERT's pre-tokenizer splits at white space before all else, so the words' counts add up to the
    text's; remembering them counts a passage 20 times as fast as encoding it anew.
    """
    return sum(_count_word(word) for line in text.split("\n") for word in line.split(" "))


def token_starts(text: str) -> list[int]:
    """Where each token of the text begins, in characters."""
    return [start for start, _ in load_tokenizer().encode(text, add_special_tokens=False).offsets]


def _count_word(word: str) -> int:
    return _count_known(word) if len(word) <= LONGEST_KNOWN_WORD else _encode(word)


@lru_cache(maxsize=_KNOWN_WORDS)
def _count_known(word: str) -> int:
    return _encode(word)


def _encode(word: str) -> int:
    return len(load_tokenizer().encode(word, add_special_tokens=False))
