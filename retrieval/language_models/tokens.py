"""How many tokens a text comes to, before the model's own count is known."""

_BYTES_PER_TOKEN = 3
"""Of UTF-8: a character of Chinese is about a token, one of English a third (the tokenizers of GPT-4o,
Llama 3 and Qwen 2.5 need fewer, so that what is packed by this fits)."""

PER_MESSAGE = 8
"""What a server's template puts around a message."""


def estimate(text: str) -> int:
    return -(-len(text.encode(errors="replace")) // _BYTES_PER_TOKEN)
