"""Files, as clients of OpenAI know them."""
