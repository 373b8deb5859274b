"""The embedder's own tokenizer, for those who must know beforehand what fits the window."""

from functools import cache
from typing import TYPE_CHECKING

from muniment.embedding.model import packaged_weights_directory

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL_TOKENS = 2
"""[CLS] and [SEP], which the model puts around every text."""


@cache
def load_tokenizer() -> "Tokenizer":
    """The tokenizer without truncation and padding, read once per process from the weights'
    package; the file itself would cut at 128 tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(packaged_weights_directory() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
