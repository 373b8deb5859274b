"""How many tokens a text comes to, before the model's own count is known."""

import re

_BYTES_PER_TOKEN = 3
"""Of UTF-8: a character of Chinese is about a token, one of English a third (the tokenizers of GPT-4o,
Llama 3 and Qwen 2.5 need fewer for prose)."""

_ALONE = re.compile(r"[!-@\[-`{-~]")
"""Digits, punctuation, signs: in tables many tokenizers make a token of each."""

PER_MESSAGE = 8
"""What a server's template puts around a message."""


def estimate(text: str) -> int:
    """Rather too many than too few; in scripts that a tokenizer does not know it may need more."""
    alone = len(_ALONE.findall(text))
    return alone - (alone - len(text.encode(errors="replace"))) // _BYTES_PER_TOKEN
